import assert from 'node:assert/strict';
import { test } from 'uvu';
import type { AttachmentSummary } from '../../../src/engine/attachments/model.ts';
import type { Inventory } from '../../../src/engine/inventory/model.ts';
import { evaluate } from '../../../src/engine/pools/evaluate.ts';
import type { PoolSpec } from '../../../src/engine/pools/model.ts';
import { type PlanReport, reportChange, reportNode, reportRunning } from '../../../src/engine/pools/plan-report.ts';
import { parseContainerId, parseIfName, parseNetworkName } from '../../../src/engine/values.ts';
import { away, context, inventory, nic, slotSpec, vf, vfSpec } from './build.ts';

const node = inventory([nic('eth0', [vf(0), vf(1), away(2), away(3)])]);

const all = vfSpec({ resource: 'berth.dev/all', selectors: [{}] });
const low = vfSpec({ resource: 'berth.dev/low', selectors: [{ pfNames: [{ pf: 'eth0', ranges: [[0, 2]] }] }] });
const macvlan = slotSpec('macvlan');
const ipvlan = slotSpec('ipvlan', { uplinks: [{ names: ['eth0'] }] });

function attachment(facts: Partial<AttachmentSummary>): AttachmentSummary {
  return {
    containerId: parseContainerId('c1'),
    ifname: parseIfName('net1'),
    kind: 'vf',
    device: '0000:41:10.2',
    network: parseNetworkName('n'),
    pod: { namespace: 'team-a', name: 'web' },
    addresses: [],
    state: 'attached',
    since: '2026-01-01T00:00:00Z',
    ...facts,
  } as AttachmentSummary;
}

/** The report of a change from one configuration to another while pods have what they have. */
function change(
  from: readonly PoolSpec[],
  to: readonly PoolSpec[],
  attachments: readonly AttachmentSummary[] = [],
  of: Inventory = node,
): PlanReport {
  const heldDevices = new Map(attachments.map(({ device }) => [device, { resource: from[0]?.resource ?? '' }]));
  const plan = evaluate(from, { ...context([]), inventory: of, heldDevices: heldDevices as never });
  return reportChange(to, { inventory: of, plan, attachments });
}

function idsOf({ pools }: PlanReport, resource: string): readonly string[] {
  return pools.find((pool) => pool.resource === resource)?.devices.map(({ id }) => id) ?? [];
}

test('each device comes with its names, and each pool with where it is configured', () => {
  const { node: name, pools, changes } = reportNode([all], node);
  assert.equal(name, 'node-a');
  assert.equal(changes, undefined);
  assert.deepEqual(pools[0]?.devices[0], {
    id: '0000:41:10.0',
    pci: '0000:41:10.0',
    healthy: true,
    numaNode: 0,
    ifname: 'v41n0',
    pf: 'eth0',
    vf: 0,
  });
  assert.deepEqual([pools[0]?.origin, pools[0]?.kind, pools[0]?.notes], ['test', 'vf', []]);
});

test('a device that two pools select is the first one’s, and the second one says by which selector', () => {
  const { overlaps } = reportNode([low, all], node);
  assert.deepEqual(
    overlaps.map(({ device, winner, losers }) => [device, winner, losers.map(({ resource }) => resource)]),
    ['0000:41:10.0', '0000:41:10.1', '0000:41:10.2'].map((id) => [id, 'berth.dev/low', ['berth.dev/all']]),
  );
  assert.deepEqual(overlaps[0]?.losers[0]?.why, 'the selector is empty and takes every VF');
  const other = reportNode([all, low], node).overlaps;
  assert.deepEqual([...new Set(other.map(({ winner }) => winner))], ['berth.dev/all']);
  assert.equal(other[0]?.losers[0]?.why, 'VF 0 of eth0');
});

test('macvlan and ipvlan on one uplink do not overlap, two pools of one kind do', () => {
  assert.deepEqual(reportNode([macvlan, ipvlan], node).overlaps, []);
  const second = slotSpec('macvlan', { resource: 'berth.dev/second', uplinks: [{ names: ['eth0'] }] });
  assert.deepEqual(reportNode([macvlan, second], node).overlaps, [
    {
      device: 'eth0',
      winner: 'berth.dev/macvlan',
      losers: [{ resource: 'berth.dev/second', why: 'the pool selects eth0' }],
    },
  ]);
});

test('a NIC that is given away whole is missed by the pool of slots after it, and the other way round', () => {
  const idle = inventory([nic('eth0', [], {}, { adminUp: false })]);
  const whole = vfSpec({ resource: 'berth.dev/nic', candidates: 'functions', selectors: [{}] });
  const shown = (specs: readonly PoolSpec[]) =>
    reportNode(specs, idle).overlaps.map(({ device, winner, losers }) => [device, winner, losers[0]?.resource]);
  assert.deepEqual(shown([whole, macvlan]), [['eth0', 'berth.dev/nic', 'berth.dev/macvlan']]);
  assert.deepEqual(shown([macvlan, whole]), [['0000:41:00.0', 'berth.dev/macvlan', 'berth.dev/nic']]);
});

test('nothing changes where the same runs', () => {
  const { changes } = change([low, macvlan], [low, macvlan]);
  assert.deepEqual(changes, { resources: { appearing: [], disappearing: [] }, devices: [], pods: [] });
});

test('what changes is told: resources, devices that move, join and leave, and slots', () => {
  const { changes } = change(
    [low, slotSpec('macvlan', { capacity: 4 })],
    [vfSpec({ resource: 'berth.dev/high', selectors: [{ pfNames: [{ pf: 'eth0', ranges: [[2, 3]] }] }] }), macvlan],
  );
  assert.deepEqual(changes?.resources, { appearing: ['berth.dev/high'], disappearing: ['berth.dev/low'] });
  assert.deepEqual(
    changes.devices.map(({ device, from, to, slots, vf: index }) => [device, index, from, to, slots]),
    [
      ['0000:41:10.0', 0, 'berth.dev/low', undefined, undefined],
      ['0000:41:10.1', 1, 'berth.dev/low', undefined, undefined],
      ['0000:41:10.2', 2, 'berth.dev/low', 'berth.dev/high', undefined],
      ['eth0', undefined, 'berth.dev/macvlan', 'berth.dev/macvlan', { before: 4, after: 2 }],
      ['0000:41:10.3', 3, undefined, 'berth.dev/high', undefined],
    ],
  );
});

test('an uplink that several pools of a kind may offer is told for each of them', () => {
  const spec = (name: string, capacity: number) => ({
    ...slotSpec('macvlan', { resource: `berth.dev/${name}`, capacity }),
    kind: 'uplink' as const,
  });
  const { changes, overlaps } = change([spec('a', 1), spec('b', 1)], [spec('a', 1), spec('b', 3)]);
  assert.deepEqual(changes?.devices, [
    { device: 'eth0', from: 'berth.dev/b', to: 'berth.dev/b', slots: { before: 1, after: 3 } },
  ]);
  assert.deepEqual(overlaps, []);
});

test('a pod’s device stays where it is, and what becomes of it is told', () => {
  const narrow = vfSpec({ ...low, selectors: [{ pfNames: [{ pf: 'eth0', ranges: [[0, 1]] }] }] });
  const report = change([low], [narrow, all], [attachment({})]);
  assert.deepEqual(idsOf(report, 'berth.dev/low'), ['0000:41:10.0', '0000:41:10.1', '0000:41:10.2']);
  assert.deepEqual(report.changes?.pods, [
    {
      pod: 'team-a/web',
      containerId: 'c1',
      interface: 'net1',
      device: '0000:41:10.2',
      pf: 'eth0',
      vf: 2,
      from: 'berth.dev/low',
      to: 'berth.dev/all',
      note: 'the device stays in berth.dev/low until the pod is gone, and goes to berth.dev/all afterwards',
    },
  ]);
});

for (const [name, to, facts, note] of [
  [
    'whose resource disappears',
    [all],
    {},
    /keeps the device of a resource that kubelet does not have any more; .* goes to berth.dev\/all/,
  ],
  ['whose device is in no pool then', [], {}, /does not have any more; the device is in no pool afterwards$/],
  [
    'whose namespace may not have it then',
    [{ ...low, namespaces: ['team-b'] }],
    {},
    /^it keeps the device, and could not get it again: berth.dev\/low would be for team-b$/,
  ],
] as const) {
  test(`a pod ${name} is told`, () => {
    const pods = change([low], to, [attachment(facts)]).changes?.pods ?? [];
    assert.equal(pods.length, 1);
    assert.match(pods[0]?.note ?? '', note);
  });
}

test('a pod whose slot is beyond the new capacity is told, and one without a slot only when its uplink leaves', () => {
  const before = slotSpec('macvlan', { capacity: 4 });
  const slot = attachment({ kind: 'macvlan', device: 'eth0', slot: 'eth0-3' });
  const none = attachment({ kind: 'macvlan', device: 'eth0' });
  const pods = change([before], [macvlan], [slot, none]).changes?.pods ?? [];
  assert.deepEqual(
    pods.map(({ device, from, to }) => [device, from, to]),
    [['eth0-3', 'berth.dev/macvlan', undefined]],
  );
  const gone = change([before], [slotSpec('macvlan', { uplinks: [{ names: ['eth9'] }] })], [slot, none]).changes?.pods;
  assert.deepEqual(
    gone?.map(({ device }) => device),
    ['eth0-3', 'eth0'],
  );
});

test('a device that kubelet gave to a pod without an attachment is a pod’s too, and one with both is told once', () => {
  const plan = evaluate([low], context([], [], { inventory: node } as never));
  const pod = { namespace: 'team-a', name: 'dpdk' };
  const both = {
    device: '0000:41:10.2',
    resource: 'berth.dev/low',
    pod: { namespace: 'team-a', name: 'web' },
    container: 'a',
  };
  const allocations = [{ device: '0000:41:10.1', resource: 'berth.dev/low', pod, container: 'a' }, both];
  const { changes } = reportChange([all], { inventory: node, plan, attachments: [attachment({})], allocations });
  assert.deepEqual(
    changes?.pods.map(({ device, interface: ifname, pod: name, to }) => [name, device, ifname, to]),
    [
      ['team-a/web', '0000:41:10.2', 'net1', 'berth.dev/all'],
      ['team-a/dpdk', '0000:41:10.1', undefined, 'berth.dev/all'],
    ],
  );
});

test('an allocated slot is looked for in the pool that kubelet names', () => {
  const inner = slotSpec('ipvlan', { uplinks: [{ names: ['eth0'] }] });
  const plan = evaluate([macvlan, inner], context([], [], { inventory: node } as never));
  const allocations = [
    { device: 'eth0-1', resource: inner.resource, pod: { namespace: 'a', name: 'b' }, container: 'c' },
  ];
  const of = (specs: readonly PoolSpec[]) =>
    reportChange(specs, { inventory: node, plan, attachments: [], allocations }).changes?.pods.map(({ from }) => from);
  assert.deepEqual(of([inner]), []);
  assert.deepEqual(of([macvlan]), [inner.resource]);
});

test('what runs is shown as it runs, without a comparison', () => {
  const plan = evaluate([low, all], context([], [], { inventory: node } as never));
  const report = reportRunning({ inventory: node, plan, attachments: [] });
  assert.equal(report.changes, undefined);
  assert.equal(report.overlaps.length, 3);
  assert.deepEqual(idsOf(report, 'berth.dev/all'), ['0000:41:10.3']);
});

test('100 pools that all want 2,048 VFs are planned and compared', () => {
  const nics = Array.from({ length: 16 }, (_, at) => {
    const bus = (0x20 + at * 2).toString(16);
    const pf = `0000:${bus}:00.0`;
    const vfs = Array.from({ length: 128 }, (_unused, index) => vf(index, {}, pf));
    return nic(`eth${at}`, vfs, { address: pf as never });
  });
  const specs = Array.from({ length: 100 }, (_, at) =>
    vfSpec({ resource: `berth.dev/p${at}`, selectors: [{ pfNames: [{ pf: `eth${at % 16}` }] }] }),
  );
  const report = change(specs, specs.toReversed(), [], inventory(nics));
  assert.equal(report.overlaps.length, 2048);
  assert.equal(report.changes?.devices.length, 2048);
});

test.run();
