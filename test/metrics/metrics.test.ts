/** What Prometheus gets, taken from the real registry and read back line by line. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import type { AttachmentSummary } from '../../src/engine/attachments/model.ts';
import { evaluate } from '../../src/engine/pools/evaluate.ts';
import { parsePciAddress } from '../../src/engine/values.ts';
import type { AgentStatus, CountersView } from '../../src/engine/view.ts';
import { DEFINITIONS, MOST_TRAFFIC_SERIES } from '../../src/metrics/definitions.ts';
import { createMetrics, type MetricSources, type Metrics } from '../../src/metrics/index.ts';
import { context, inventory, nic, slotSpec, vf, vfSpec } from '../engine/pools/build.ts';

const test = suite('metrics');

const NODE = inventory([nic('eth0', [vf(0), vf(1, { driver: 'vfio-pci' })])]);
const PLAN = evaluate(
  [vfSpec({ resource: 'berth.dev/vf', selectors: [{ drivers: ['igbvf'] }] }), slotSpec('macvlan')],
  context([], [], { inventory: NODE } as never),
);

const STATUS = {
  version: '1.2.3',
  node: 'n',
  startedAt: '2026-01-01T00:00:00Z',
  configuration: {
    source: 'c',
    problems: ['c:1: x'],
    warnings: [],
    takenAt: '2026-01-01T00:00:01Z',
    reloads: { taken: 2, refused: 3 },
  },
  resources: [
    {
      resource: 'berth.dev/vf',
      devices: 1,
      healthy: 1,
      reasons: [],
      registered: true,
      registrations: 4,
      refused: { count: 5, lastPod: 'a/b', lastAt: '2026-01-01T00:00:00Z' },
    },
    { resource: 'berth.dev/vf-vfio', devices: 0, healthy: 0, reasons: [], registered: false },
  ],
  attachments: { total: 2, stuck: 1, unreadable: 7 },
  spool: { entries: 8, unreadable: 9 },
  inventory: { nics: 1, vfs: 2, readAt: '2026-01-01T00:00:02Z', problem: 'EMFILE' },
  installation: { folder: '/opt/cni/bin', names: ['berth'] },
  process: { rssBytes: 1, eventLoopMaxMs: 1 },
} as unknown as AgentStatus;

const ATTACHMENTS = [
  {
    kind: 'vf',
    device: '0000:41:10.0',
    ifname: 'net1',
    state: 'attached',
    containerId: 'c1',
    pod: { namespace: 'team-a', name: 'web' },
  },
  { kind: 'macvlan', device: 'eth0', slot: 'eth0-1', ifname: 'net2', state: 'stuck', containerId: 'c2' },
] as unknown as readonly AttachmentSummary[];

const COUNTED = {
  rxBytes: 1,
  txBytes: 2,
  rxPackets: 3,
  txPackets: 4,
  broadcast: 0,
  multicast: 0,
  rxDropped: 5,
  txDropped: 6,
};

function sources(more: Partial<MetricSources> = {}): MetricSources {
  return {
    status: () => STATUS,
    plan: () => PLAN,
    inventory: () => NODE,
    attachments: () => ATTACHMENTS,
    counters: () => Promise.resolve({ '0000:41:10.0': COUNTED } as CountersView),
    loop: () => ({ p50Ms: 1, p99Ms: 20, maxMs: 300 }),
    openFiles: () => 42,
    ...more,
  };
}

/** Sample lines by name and labels. */
async function samplesOf(metrics: Metrics): Promise<ReadonlyMap<string, number>> {
  const lines = (await metrics.render()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

function told(): Metrics {
  const metrics = createMetrics(sources());
  const durationsMs = { parse: 0.5, engine: 30, total: 31 };
  metrics.called({ command: 'ADD', kind: 'vf', code: 0, durationsMs });
  metrics.called({ command: 'ADD', kind: 'vf', code: 103, reason: 'namespace-not-allowed', durationsMs });
  metrics.called({ command: 'unknown', code: 4, durationsMs });
  metrics.phase('add', 'vf', 'link', 12);
  metrics.restored('namespace-gone', true);
  metrics.restored('del', false);
  return metrics;
}

test('what happened is counted, and what is so is read', async () => {
  const samples = await samplesOf(told());
  const traffic =
    'pci="0000:41:10.0",pf="eth0",vf="0",resource="berth.dev/vf",namespace="team-a",pod="web",interface="net1"';
  const expected: Readonly<Record<string, number>> = {
    [`berth_build_info{version="1.2.3",nodejs_version="${process.version}"}`]: 1,
    'berth_pool_devices{resource="berth.dev/vf",state="healthy"}': 1,
    'berth_pool_devices{resource="berth.dev/vf",state="unhealthy"}': 0,
    'berth_pool_devices_held{resource="berth.dev/vf"}': 1,
    'berth_pool_devices_held{resource="berth.dev/macvlan"}': 1,
    berth_devices_unused: 1,
    'berth_pool_registered{resource="berth.dev/vf"}': 1,
    'berth_kubelet_registrations_total{resource="berth.dev/vf"}': 4,
    'berth_namespace_refusals_total{resource="berth.dev/vf"}': 5,
    'berth_attachments{kind="vf",state="attached"}': 1,
    'berth_attachments{kind="macvlan",state="stuck"}': 1,
    berth_records_unreadable: 7,
    'berth_cni_duration_seconds_bucket{le="0.025",command="ADD",kind="vf",phase="engine"}': 0,
    'berth_cni_duration_seconds_bucket{le="0.05",command="ADD",kind="vf",phase="engine"}': 2,
    'berth_cni_duration_seconds_count{command="ADD",kind="vf",phase="total"}': 2,
    'berth_cni_duration_seconds_count{command="unknown",kind="none",phase="total"}': 1,
    'berth_attachment_phase_duration_seconds_sum{operation="add",kind="vf",phase="link"}': 0.012,
    'berth_cni_errors_total{command="ADD",code="103",reason="namespace-not-allowed"}': 1,
    'berth_cni_errors_total{command="unknown",code="4",reason="unknown"}': 1,
    'berth_restores_total{cause="namespace-gone",result="complete"}': 1,
    'berth_restores_total{cause="del",result="incomplete"}': 1,
    'berth_shim_installed{folder="/opt/cni/bin"}': 1,
    'berth_spool_entries{state="waiting"}': 8,
    'berth_spool_entries{state="unreadable"}': 9,
    berth_config_broken: 1,
    berth_config_taken_timestamp_seconds: Date.parse('2026-01-01T00:00:01Z') / 1000,
    'berth_config_reloads_total{result="taken"}': 2,
    'berth_config_reloads_total{result="refused"}': 3,
    berth_inventory_nics: 1,
    berth_inventory_vfs: 2,
    berth_inventory_broken: 1,
    berth_event_loop_delay_p50_seconds: 0.001,
    berth_event_loop_delay_p99_seconds: 0.02,
    berth_event_loop_delay_max_seconds: 0.3,
    [`berth_vf_receive_bytes_total{${traffic}}`]: 1,
    [`berth_vf_transmit_dropped_total{${traffic}}`]: 6,
    berth_vf_traffic_omitted: 0,
    process_open_fds: 42,
    process_start_time_seconds: Date.parse('2026-01-01T00:00:00Z') / 1000,
  };
  for (const [sample, value] of Object.entries(expected)) assert.equal(samples.get(sample), value, sample);
});

test('unhealthy devices are counted by what keeps them from being used', async () => {
  const node = inventory([nic('eth0', [vf(0), vf(1)], {}, { carrier: false })]);
  const plan = evaluate([vfSpec({ resource: 'berth.dev/vf' })], context([], [], { inventory: node } as never));
  const samples = await samplesOf(createMetrics(sources({ plan: () => plan })));
  assert.equal(samples.get('berth_pool_devices_unhealthy{resource="berth.dev/vf",cause="link"}'), 2);
  const healthy = await samplesOf(told());
  assert.ok([...healthy.keys()].every((name) => !name.startsWith('berth_pool_devices_unhealthy')));
});

test('a pool without devices, and what is gone, leaves no series behind', async () => {
  let attachments = ATTACHMENTS;
  let installation = STATUS.installation;
  const metrics = createMetrics(
    sources({ attachments: () => attachments, status: () => ({ ...STATUS, installation }) as AgentStatus }),
  );
  assert.equal(
    [...(await samplesOf(metrics)).keys()].some((key) => key.includes('vf-vfio')),
    false,
  );
  attachments = [];
  installation = undefined;
  const names = [...(await samplesOf(metrics)).keys()];
  assert.equal(
    names.some((key) => /^berth_(attachments|shim_installed)/.test(key) || key.includes('team-a')),
    false,
  );
  assert.equal(
    names.some((key) => key.includes('berth_vf_receive_bytes_total{pci="0000:41:10.0"')),
    true,
  );
});

test('traffic is bounded: VFs of pods stay, and what is left out is counted', async () => {
  const nics = Array.from({ length: 8 }, (_, at) => {
    const pf = parsePciAddress(`0000:4${at}:00.0`);
    const ours = Array.from({ length: MOST_TRAFFIC_SERIES / 8 + 1 }, (_unused, index) => vf(index, {}, pf));
    return nic(`eth${at}`, ours, { address: pf });
  });
  const vfs = nics.flatMap((entry) => entry.vfs);
  const last = vfs.at(-1)?.address ?? '';
  const counters = Object.fromEntries(vfs.map(({ address }) => [address, COUNTED])) as CountersView;
  const held = [{ ...ATTACHMENTS[0], device: last }] as readonly AttachmentSummary[];
  const samples = await samplesOf(
    createMetrics(
      sources({
        inventory: () => inventory(nics),
        counters: () => Promise.resolve(counters),
        attachments: () => held,
      }),
    ),
  );
  const series = [...samples.keys()].filter((key) => key.startsWith('berth_vf_receive_bytes_total'));
  assert.equal(series.length, MOST_TRAFFIC_SERIES);
  assert.equal(
    series.some((key) => key.includes(`pci="${last}"`)),
    true,
  );
  assert.equal(samples.get('berth_vf_traffic_omitted'), 8);
});

test('PFs are asked once for scrapes that come together, and a PF that fails costs the traffic only', async () => {
  let asked = 0;
  const metrics = createMetrics(
    sources({ counters: () => Promise.resolve({} as CountersView).finally(() => asked++) }),
  );
  await Promise.all([metrics.render(), metrics.render(), metrics.render()]);
  assert.equal(asked, 1);
  const failing = createMetrics(sources({ counters: () => Promise.reject(new Error('EIO')) }));
  await failing.render();
  const samples = await samplesOf(failing);
  assert.equal(samples.get('berth_inventory_nics'), 1);
  assert.equal(samples.get('berth_vf_traffic_read_failures_total'), 2);
});

test('scrapes at the same time all get the whole', async () => {
  const metrics = told();
  const texts = await Promise.all(Array.from({ length: 8 }, () => metrics.render()));
  // CPU time goes on; everything else is the same.
  const steady = texts.map((text) => text.replace(/^process_(cpu|resident).*$/gm, ''));
  assert.deepEqual([...new Set(steady)].length, 1);
});

test('every metric is served with help and type, and its name follows the rules', async () => {
  const text = await told().render();
  const served = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`);
  assert.deepEqual(
    served.toSorted(),
    Object.values(DEFINITIONS)
      .map(({ name, type }) => `${name} ${type}`)
      .toSorted(),
  );
  for (const { help, name, type } of Object.values(DEFINITIONS)) {
    assert.ok(text.includes(`# HELP ${name} ${help}\n`), name);
    assert.match(name, /^(berth|process)_[a-z0-9]+(_[a-z0-9]+)*$/);
    assert.equal(name.endsWith('_total'), type === 'counter', name);
    if (type === 'histogram') assert.match(name, /_seconds$/);
    assert.doesNotMatch(name, /_(milliseconds|ms|kb|mb|count|sum|bucket)$/);
  }
});

test('each line of the output is one that Prometheus parses', async () => {
  for (const line of (await told().render()).split('\n')) {
    assert.match(
      line,
      /^($|# (HELP|TYPE) [a-z_0-9]+ .*|[a-z_][a-z_0-9]*(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)*\})? [-+0-9.eE]+(Inf|NaN)?)$/,
    );
  }
});

test('docs/metrics.md has each metric with its type and labels, and no other', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/metrics.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `((?:berth|process)_[a-z0-9_]+)` \| (\w+) \| ([^|]*) \|/gm)];
  const documented = rows.map(
    ([, name, type, labels = '']) =>
      `${name} ${type} ${[...labels.matchAll(/`([a-z_]+)`/g)].map(([, label]) => label).join(',')}`,
  );
  assert.deepEqual(
    documented.toSorted(),
    Object.values(DEFINITIONS)
      .map(({ labels, name, type }) => `${name} ${type} ${labels.join(',')}`)
      .toSorted(),
  );
});

test.run();
