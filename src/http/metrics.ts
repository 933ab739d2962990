/**
 * What Prometheus sees of the agent. Names and labels are stable: deploy/monitoring and people's rules
 * depend on them, docs/metrics.md lists them. Everything is read from the agent's view at the moment of
 * the scrape; only CNI calls are counted as they happen.
 */
import type { AgentStatus } from '../engine/view.ts';
import { Counter, exposition, type Family, Histogram } from './exposition.ts';

/** One CNI call that has ended. */
export interface CniCall {
  readonly command: string;
  /** `vf`, `macvlan` ...; absent where the call did not get so far. */
  readonly kind?: string;
  /** CNI error code; 0 is success. */
  readonly code: number;
  readonly reason?: string;
  readonly durationsMs: { readonly parse: number; readonly engine: number; readonly total: number };
}

export interface AgentMetrics {
  observeCni(call: CniCall): void;
  /** The text that is served. */
  render(status: AgentStatus): string;
}

const BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];

export function createAgentMetrics(): AgentMetrics {
  const durations = new Histogram(BUCKETS_SECONDS);
  const errors = new Counter();
  return {
    observeCni: ({ command, kind = '', code, reason, durationsMs }) => {
      for (const phase of ['parse', 'engine', 'total'] as const) {
        durations.observe({ command, kind, phase }, durationsMs[phase] / 1000);
      }
      if (code !== 0) errors.add({ command, code: String(code), reason: reason ?? 'unknown' });
    },
    render: (status) =>
      exposition([
        ...statusFamilies(status),
        {
          name: 'berth_cni_duration_seconds',
          help: 'CNI calls by command, link kind and phase.',
          type: 'histogram',
          samples: durations.samples(),
        },
        {
          name: 'berth_cni_errors_total',
          help: 'CNI calls that failed, by CNI code and reason.',
          type: 'counter',
          samples: errors.samples(),
        },
      ]),
  };
}

function statusFamilies(status: AgentStatus): readonly Family[] {
  const { attachments, configuration, installation, inventory, resources, spool } = status;
  const gauge = (name: string, help: string, ...samples: Family['samples']): Family => ({
    name,
    help,
    type: 'gauge',
    samples,
  });
  const announced = resources.filter(({ devices, registered }) => devices > 0 || registered);
  return [
    gauge('berth_build_info', 'Always 1; the release is a label.', { labels: { version: status.version }, value: 1 }),
    gauge('berth_start_time_seconds', 'When the agent started, since 1970.', {
      value: Date.parse(status.startedAt) / 1000,
    }),
    gauge(
      'berth_pool_devices',
      'Devices of a pool by state.',
      ...announced.flatMap(({ resource, devices, healthy }) => [
        { labels: { resource, state: 'healthy' }, value: healthy },
        { labels: { resource, state: 'unhealthy' }, value: devices - healthy },
      ]),
    ),
    gauge(
      'berth_pool_registered',
      '1 while kubelet knows the pool.',
      ...announced.map(({ resource, registered }) => ({ labels: { resource }, value: registered ? 1 : 0 })),
    ),
    gauge(
      'berth_attachments',
      'Attachments by state; stuck ones could not be undone yet.',
      { labels: { state: 'attached' }, value: attachments.total - attachments.stuck },
      { labels: { state: 'stuck' }, value: attachments.stuck },
    ),
    gauge('berth_attachment_records_unreadable', 'Records that this release cannot use.', {
      value: attachments.unreadable,
    }),
    gauge('berth_spool_entries', 'DELs that wait to be replayed.', { value: spool.entries }),
    gauge('berth_spool_unreadable_entries', 'Spooled DELs that this release cannot use.', { value: spool.unreadable }),
    gauge('berth_inventory_nics', 'NICs of the node.', { value: inventory.nics }),
    gauge('berth_inventory_vfs', 'Virtual functions of the node.', { value: inventory.vfs }),
    gauge('berth_inventory_read_time_seconds', 'When the inventory was last read, since 1970.', {
      value: Date.parse(inventory.readAt) / 1000,
    }),
    gauge(
      'berth_configuration_problems',
      'Errors of the newest configuration; while there are any, an older one runs.',
      {
        value: configuration.problems.length,
      },
    ),
    gauge(
      'berth_shim_installed',
      '1 while the CNI shim is in place in the folder.',
      ...(installation === undefined
        ? []
        : [{ labels: { folder: installation.folder }, value: installation.problem === undefined ? 1 : 0 }]),
    ),
    gauge('berth_event_loop_delay_max_seconds', 'Longest time the agent did nothing else, of late.', {
      value: status.process.eventLoopMaxMs / 1000,
    }),
    gauge('process_resident_memory_bytes', 'Resident memory of the agent.', { value: status.process.rssBytes }),
  ];
}
