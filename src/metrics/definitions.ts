/**
 * Every metric of the agent: name, type, labels, and what it says. Names follow the Prometheus
 * conventions (base units, `_total` for counters, no label values in names). docs/metrics.md has the
 * same list, and a test compares both with what is really served. A new metric begins here.
 */

export interface MetricDefinition {
  readonly name: string;
  readonly type: 'gauge' | 'counter' | 'histogram';
  /** One sentence; HELP of the text format. */
  readonly help: string;
  readonly labels: readonly string[];
}

/** A call is a few milliseconds; what waits for carriers or other holders takes seconds. */
export const DURATION_BUCKETS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;

/** VFs whose traffic is exported at most; those of pods come first. */
export const MOST_TRAFFIC_SERIES = 512;

const TRAFFIC_LABELS = ['pci', 'pf', 'vf', 'resource', 'namespace', 'pod', 'interface'] as const;

function gauge(name: string, help: string, ...labels: readonly string[]): MetricDefinition {
  return { name, type: 'gauge', help, labels };
}

function counter(name: string, help: string, ...labels: readonly string[]): MetricDefinition {
  return { name, type: 'counter', help, labels };
}

function histogram(name: string, help: string, ...labels: readonly string[]): MetricDefinition {
  return { name, type: 'histogram', help, labels };
}

/** In the order in which they are served. */
export const DEFINITIONS = {
  buildInfo: gauge('berth_build_info', 'Always 1; the labels say what runs.', 'version', 'nodejs_version'),
  devices: gauge('berth_pool_devices', 'Devices of a pool by state.', 'resource', 'state'),
  unhealthy: gauge(
    'berth_pool_devices_unhealthy',
    'Unhealthy devices of a pool by what keeps them from being used.',
    'resource',
    'cause',
  ),
  held: gauge('berth_pool_devices_held', 'Devices of a pool that attachments hold.', 'resource'),
  unused: gauge('berth_devices_unused', 'Network devices that could be offered and are in no pool.'),
  registered: gauge('berth_pool_registered', '1 while kubelet listens to the pool, else 0.', 'resource'),
  registrations: counter(
    'berth_kubelet_registrations_total',
    'Times that kubelet began to listen to the resource.',
    'resource',
  ),
  refusals: counter(
    'berth_namespace_refusals_total',
    'Attachments refused for the namespace of their pod.',
    'resource',
  ),
  attachments: gauge('berth_attachments', 'Attachments on record.', 'kind', 'state'),
  unreadable: gauge('berth_records_unreadable', 'Record files that this version cannot use.'),
  requests: histogram(
    'berth_cni_duration_seconds',
    'CNI calls by command, link kind and phase; total is from the request of the runtime to its answer.',
    'command',
    'kind',
    'phase',
  ),
  phases: histogram(
    'berth_attachment_phase_duration_seconds',
    'Where the time of attaching (add) and of taking back (del) goes.',
    'operation',
    'kind',
    'phase',
  ),
  errors: counter(
    'berth_cni_errors_total',
    'Requests that failed, by CNI code and reason.',
    'command',
    'code',
    'reason',
  ),
  restores: counter(
    'berth_restores_total',
    'Attachments taken back, by what asked for it; all but del, gc and rollback are leaks that were collected.',
    'cause',
    'result',
  ),
  shim: gauge('berth_shim_installed', '1 while the CNI shim is in place in the folder.', 'folder'),
  spool: gauge('berth_spool_entries', 'DELs on disk that wait for the agent.', 'state'),
  configBroken: gauge('berth_config_broken', '1 while the newest configuration file is one that cannot be used.'),
  configTaken: gauge(
    'berth_config_taken_timestamp_seconds',
    'When the running configuration was taken, in seconds since 1970.',
  ),
  reloads: counter('berth_config_reloads_total', 'Changes of the configuration file since the start.', 'result'),
  nics: gauge('berth_inventory_nics', 'NICs and PFs of the node.'),
  vfs: gauge('berth_inventory_vfs', 'VFs of the node.'),
  inventoryRead: gauge(
    'berth_inventory_read_timestamp_seconds',
    'When the inventory was last found to be right, in seconds since 1970.',
  ),
  inventoryBroken: gauge('berth_inventory_broken', '1 while the node cannot be read.'),
  loopP50: gauge(
    'berth_event_loop_delay_p50_seconds',
    'Median time for which one turn held the event loop, since the last scrape.',
  ),
  loopP99: gauge('berth_event_loop_delay_p99_seconds', '99th percentile of the same.'),
  loopMax: gauge(
    'berth_event_loop_delay_max_seconds',
    'Longest time for which one turn held the event loop, since the last scrape.',
  ),
  vfRxBytes: counter('berth_vf_receive_bytes_total', 'Bytes that the VF received, by its PF.', ...TRAFFIC_LABELS),
  vfTxBytes: counter('berth_vf_transmit_bytes_total', 'Bytes that the VF sent, by its PF.', ...TRAFFIC_LABELS),
  vfRxPackets: counter('berth_vf_receive_packets_total', 'Packets that the VF received, by its PF.', ...TRAFFIC_LABELS),
  vfTxPackets: counter('berth_vf_transmit_packets_total', 'Packets that the VF sent, by its PF.', ...TRAFFIC_LABELS),
  vfRxDropped: counter('berth_vf_receive_dropped_total', 'Packets for the VF that were dropped.', ...TRAFFIC_LABELS),
  vfTxDropped: counter('berth_vf_transmit_dropped_total', 'Packets of the VF that were dropped.', ...TRAFFIC_LABELS),
  trafficOmitted: gauge('berth_vf_traffic_omitted', 'VFs whose traffic is left out, to bound the number of series.'),
  trafficFailures: counter('berth_vf_traffic_read_failures_total', 'Scrapes for which the traffic could not be read.'),
  cpu: counter('process_cpu_seconds_total', 'CPU time of the agent.'),
  rss: gauge('process_resident_memory_bytes', 'Resident memory of the agent.'),
  fds: gauge('process_open_fds', 'Open file descriptors of the agent.'),
  started: gauge('process_start_time_seconds', 'When the agent started, in seconds since 1970.'),
} as const satisfies Readonly<Record<string, MetricDefinition>>;
