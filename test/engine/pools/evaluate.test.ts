import assert from 'node:assert/strict';
import { test } from 'uvu';
import type { AttachmentSummary } from '../../../src/engine/attachments/model.ts';
import { evaluate } from '../../../src/engine/pools/evaluate.ts';
import { holdsOf } from '../../../src/engine/pools/holds.ts';
import type { PoolContext, PoolSpec } from '../../../src/engine/pools/model.ts';
import { zeroConfigPools } from '../../../src/engine/pools/zero-config.ts';
import { parsePciAddress } from '../../../src/engine/values.ts';
import { away, context, netdev, nic, slotSpec, vf, vfio, vfSpec, virtual } from './build.ts';

/** `resource: id id!reason`, one line a pool. */
function offers(specs: readonly PoolSpec[], given: PoolContext): Record<string, string[]> {
  const { pools } = evaluate(specs, given);
  return Object.fromEntries(
    pools.map(({ spec, devices }) => [
      spec.resource.replace('berth.dev/', ''),
      devices.map((device) => (device.healthy ? device.id : `${device.id}!${device.reason}`)),
    ]),
  );
}

const ADDRESS = (index: number): string => `0000:41:10.${index}`;
const small = zeroConfigPools().map((spec) => (spec.kind === 'vf' ? spec : { ...spec, capacity: 2 }));

test('without configuration idle VFs, VFs on vfio-pci and shareable uplinks are offered', () => {
  assert.deepEqual(offers(small, context([nic('eth0', [vf(0), vfio(1), vf(2)])])), {
    vf: [ADDRESS(0), ADDRESS(2)],
    'vf-vfio': [ADDRESS(1)],
    macvlan: ['eth0-0', 'eth0-1'],
    ipvlan: ['eth0-0', 'eth0-1'],
  });
});

const busy: readonly (readonly [string, Parameters<typeof netdev>[1]])[] = [
  ['is up with an address', { adminUp: true, addresses: ['10.0.0.1/24'] }],
  ['carries the default route', { defaultRoute: true }],
  ['is a member of a bond', { master: 'bond0' }],
  ['is below a VLAN', { uppers: ['v41n0.7'] }],
];
for (const [what, facts] of busy) {
  test(`a VF whose network device ${what} is in no pool, configured or not, and says why`, () => {
    const given = context(
      [nic('eth0', [vf(0, { netdev: netdev('v41n0', facts) })])],
      [virtual('vlan', 'v41n0.7'), virtual('bond', 'bond0')],
    );
    for (const specs of [small, [vfSpec()]]) {
      assert.deepEqual(offers(specs, given).vf, []);
      const entry = evaluate(specs, given).unused.find((unused) => unused.address === ADDRESS(0));
      assert.match(entry?.reasons[0] ?? '', /^berth.dev\/vf: the node uses it: v41n0 /);
    }
  });
}

test('a VF that is down keeps its place though it has an address', () => {
  const given = context([
    nic('eth0', [vf(0, { netdev: netdev('v41n0', { adminUp: false, addresses: ['10.0.0.1/24'] }) })]),
  ]);
  assert.deepEqual(offers(small, given).vf, [ADDRESS(0)]);
});

test('a PF that carries the node offers its VFs and macvlan, and ipvlan only when configured', () => {
  const given = context([nic('eth0', [vf(0)], {}, { defaultRoute: true, addresses: ['10.0.0.1/24'] })]);
  assert.deepEqual(offers(small, given), {
    vf: [ADDRESS(0)],
    'vf-vfio': [],
    macvlan: ['eth0-0', 'eth0-1'],
    ipvlan: [],
  });
  assert.deepEqual(offers([slotSpec('ipvlan', { uplinks: [{ names: ['eth0'] }] })], given).ipvlan, [
    'eth0-0',
    'eth0-1',
  ]);
});

const links = [
  virtual('bond', 'bond0', { lowers: ['eth1'] }),
  virtual('bridge', 'br0', { lowers: ['eth2'] }),
  virtual('vlan', 'eth0.7', { lowers: ['eth0'] }),
  virtual('veth', 'veth0'),
  virtual('loopback', 'lo', { linkType: 'loopback' }),
];
const three = [
  nic('eth0', [], { numaNode: 1 }, { uppers: ['eth0.7'] }),
  nic('eth1', [], { address: parsePciAddress('0000:42:00.0'), numaNode: 1 }, { master: 'bond0', uppers: ['bond0'] }),
  nic('eth2', [], { address: parsePciAddress('0000:43:00.0') }, { master: 'br0', uppers: ['br0'] }),
];

test('uplinks are NICs, bonds and VLANs, but no members and nothing that is not a wire', () => {
  assert.deepEqual(offers(small, context(three, links)).macvlan, [
    'eth0-0',
    'eth0-1',
    'bond0-0',
    'bond0-1',
    'eth0.7-0',
    'eth0.7-1',
  ]);
});

test('a NIC with a VLAN on it carries the node: no ipvlan unless configured', () => {
  assert.deepEqual(offers(small, context(three, links)).ipvlan, ['bond0-0', 'bond0-1', 'eth0.7-0', 'eth0.7-1']);
});

test('a slot of a stacked link has the NUMA node that the links below share', () => {
  const { pools } = evaluate([slotSpec('macvlan', { capacity: 1 })], context(three, links));
  assert.deepEqual(
    pools[0]?.devices.map(({ id, numaNode }) => [id, numaNode]),
    [
      ['eth0-0', 1],
      ['bond0-0', 1],
      ['eth0.7-0', 1],
    ],
  );
});

for (const name of ['veth0', 'br0']) {
  test(`${name} is an uplink when it is named`, () => {
    const spec = slotSpec('macvlan', { uplinks: [{ names: [name] }] });
    assert.deepEqual(offers([spec], context(three, links)).macvlan, [`${name}-0`, `${name}-1`]);
  });
}

test('a member of a bond is no uplink even when it is named, and says what to use', () => {
  const plan = evaluate([slotSpec('macvlan', { uplinks: [{ names: ['eth1'] }] })], context(three, links));
  const eth1 = plan.unused.find((unused) => unused.ifname === 'eth1');
  assert.deepEqual(eth1?.reasons, ['berth.dev/macvlan: eth1 is a member of bond0, which takes its packets; use bond0']);
});

test('an uplink that is named and missing is noted', () => {
  const plan = evaluate([slotSpec('macvlan', { uplinks: [{ names: ['eth0', 'eth9'] }] })], context(three, links));
  assert.deepEqual(plan.pools[0]?.notes, ['no network device on the node answers to names: eth9']);
});

test('the first pool that matches a device takes it', () => {
  const first = vfSpec({ resource: 'berth.dev/a', selectors: [{ pfNames: [{ pf: 'eth0', ranges: [[0, 0]] }] }] });
  const rest = vfSpec({ resource: 'berth.dev/b' });
  const given = context([nic('eth0', [vf(0), vf(1)])]);
  assert.deepEqual(offers([first, rest], given), { a: [ADDRESS(0)], b: [ADDRESS(1)] });
  assert.deepEqual(offers([rest, first], given), { b: [ADDRESS(0), ADDRESS(1)], a: [] });
});

test('two macvlan pools do not share an uplink, a macvlan and an ipvlan pool do', () => {
  const specs = [
    slotSpec('macvlan', { resource: 'berth.dev/m1', capacity: 1 }),
    slotSpec('macvlan', { resource: 'berth.dev/m2', capacity: 1 }),
    slotSpec('ipvlan', { resource: 'berth.dev/i', capacity: 1 }),
  ];
  assert.deepEqual(offers(specs, context([nic('eth0')])), { m1: ['eth0-0'], m2: [], i: ['eth0-0'] });
});

test('a VF that is named as an uplink is not given away as a VF', () => {
  const uplink = slotSpec('macvlan', { uplinks: [{ names: ['v41n0'] }] });
  assert.deepEqual(offers([uplink, vfSpec()], context([nic('eth0', [vf(0, { netdev: netdev('v41n0') }), vf(1)])])), {
    macvlan: ['v41n0-0', 'v41n0-1'],
    vf: [ADDRESS(1)],
  });
});

test('a VF in a pod of ours stays listed and healthy without its network device', () => {
  const held = new Map([[parsePciAddress(ADDRESS(0)), {}]]);
  assert.deepEqual(offers(small, context([nic('eth0', [away(0)])], [], { heldDevices: held })).vf, [ADDRESS(0)]);
});

test('a VF that somebody else moved away is in no pool and says where it may be', () => {
  const plan = evaluate(small, context([nic('eth0', [away(0)])]));
  assert.deepEqual(plan.pools[0]?.devices, []);
  assert.match(plan.unused[0]?.reasons[0] ?? '', /in a namespace that Berth did not put it into/);
});

test('a VF in a pod stays with the pool it was given from when the configuration changes', () => {
  const a = vfSpec({ resource: 'berth.dev/a', selectors: [{ vendors: ['15b3'] }] });
  const b = vfSpec({ resource: 'berth.dev/b' });
  const held = new Map([[parsePciAddress(ADDRESS(0)), { resource: 'berth.dev/a' }]]);
  const given = context([nic('eth0', [away(0), vf(1)])], [], { heldDevices: held });
  assert.deepEqual(offers([a, b], given), { a: [ADDRESS(0)], b: [ADDRESS(1)] });
});

test('a VF in a pod whose pool is gone is unhealthy in the pool that has it now', () => {
  const held = new Map([[parsePciAddress(ADDRESS(0)), { resource: 'berth.dev/old' }]]);
  const given = context([nic('eth0', [away(0)])], [], { heldDevices: held });
  assert.deepEqual(offers([vfSpec()], given).vf, [`${ADDRESS(0)}!a pod still holds it as berth.dev/old`]);
});

test('a VF that is gone while a pod holds it is unhealthy', () => {
  const held = new Map([[parsePciAddress(ADDRESS(0)), { resource: 'berth.dev/vf' }]]);
  const given = context([nic('eth0', [])], [], { heldDevices: held });
  assert.deepEqual(offers(small, given).vf, [`${ADDRESS(0)}!the device is gone while a pod holds it`]);
});

const down: readonly (readonly [string, Parameters<typeof netdev>[1], string])[] = [
  ['administratively down', { adminUp: false }, 'eth0 is down; "ip link set eth0 up" brings it up'],
  ['without carrier', { carrier: false }, 'eth0 has no carrier'],
];
for (const [what, facts, reason] of down) {
  test(`a link that is ${what} makes its VFs and slots unhealthy, unless the policy ignores it`, () => {
    const given = context([nic('eth0', [vf(0)], {}, facts)]);
    const specs = [vfSpec(), slotSpec('macvlan', { capacity: 1 })];
    assert.deepEqual(offers(specs, given), { vf: [`${ADDRESS(0)}!its PF ${reason}`], macvlan: [`eth0-0!${reason}`] });
    const ignoring = specs.map((spec) => ({ ...spec, health: { ...spec.health, linkDown: 'ignore' as const } }));
    assert.deepEqual(offers(ignoring, given), { vf: [ADDRESS(0)], macvlan: ['eth0-0'] });
  });
}

test('a VF whose link state is forced on is healthy without the wire', () => {
  const given = context([nic('eth0', [vf(0, { settings: { linkState: 'enable' } })], {}, { carrier: false })]);
  assert.deepEqual(offers([vfSpec()], given).vf, [ADDRESS(0)]);
});

test('facts that the kernel does not tell condemn nothing', () => {
  const { adminUp: _up, carrier: _carrier, ...silent } = netdev('eth0');
  const given = context([nic('eth0', [vf(0)], { netdev: silent })]);
  assert.deepEqual(offers([vfSpec()], given).vf, [ADDRESS(0)]);
});

test('an uplink that pods use for macvlan has unhealthy ipvlan slots, and the other way round', () => {
  const specs = [slotSpec('macvlan', { capacity: 1 }), slotSpec('ipvlan', { capacity: 1 })];
  const using = (kind: 'macvlan' | 'ipvlan') => context([nic('eth0')], [], { uplinkUse: new Map([['eth0', kind]]) });
  assert.deepEqual(offers(specs, using('macvlan')), {
    macvlan: ['eth0-0'],
    ipvlan: ['eth0-0!pods use eth0 for macvlan, which excludes ipvlan on it'],
  });
  assert.deepEqual(offers(specs, using('ipvlan')), {
    macvlan: ['eth0-0!pods use eth0 for ipvlan, which excludes macvlan on it'],
    ipvlan: ['eth0-0'],
  });
});

test('macvtap counts as macvlan: a pod with one excludes ipvlan, and shares the uplink with macvlan', () => {
  const attachment = {
    kind: 'macvtap',
    device: 'eth0',
    state: 'attached',
    containerId: 'c',
  } as unknown as AttachmentSummary;
  const { uplinks: uplinkUse } = holdsOf([attachment]);
  const kinds = ['macvtap', 'macvlan', 'ipvlan', 'uplink'] as const;
  const specs = kinds.map((kind) => slotSpec(kind, { resource: `berth.dev/${kind}`, capacity: 1 }));
  const { pools } = evaluate(specs, context([nic('eth0')], [], { uplinkUse }));
  assert.deepEqual(
    pools.map(({ devices }) => devices[0]?.reason),
    [undefined, undefined, 'pods use eth0 for macvlan, which excludes ipvlan on it', undefined],
  );
});

test('a macvtap that somebody put on the uplink excludes ipvlan too', () => {
  const given = context([nic('eth0', [], {}, { uppers: ['tap0'] })], [virtual('macvtap', 'tap0')]);
  assert.deepEqual(offers([slotSpec('ipvlan', { capacity: 1 })], given).ipvlan, [
    'eth0-0!eth0 has the macvtap tap0 on it, which excludes ipvlan',
  ]);
});

const previous = new Map([[parsePciAddress(ADDRESS(0)), { resource: 'berth.dev/vf', driver: 'igbvf' }]]);
const { driver: _driver, ...unbound } = away(0);

test('a VF that lost its driver stays listed, unhealthy', () => {
  assert.deepEqual(offers(small, context([nic('eth0', [unbound])], [], { previous })).vf, [
    `${ADDRESS(0)}!its driver igbvf is not bound any more`,
  ]);
});

test('a VF that lost its driver leaves the pool where the policy ignores it', () => {
  const spec = vfSpec({ health: { linkDown: 'unhealthy', driverChanged: 'ignore' } });
  assert.deepEqual(offers([spec], context([nic('eth0', [unbound])], [], { previous })).vf, []);
});

test('a VF on another driver goes to the pool that wants that driver', () => {
  const got = offers(small, context([nic('eth0', [vfio(0)])], [], { previous }));
  assert.deepEqual([got.vf, got['vf-vfio']], [[], [ADDRESS(0)]]);
});

test('a VF on another driver that no pool wants says both', () => {
  const given = context([nic('eth0', [away(0, { driver: 'uio_pci_generic' })])], [], { previous });
  assert.deepEqual(offers(small, given).vf, [`${ADDRESS(0)}!its driver was igbvf and is uio_pci_generic now`]);
});

test('a VF without a driver was never a candidate', () => {
  const plan = evaluate([vfSpec()], context([nic('eth0', [unbound])]));
  const entry = plan.unused.find((unused) => unused.address === ADDRESS(0));
  assert.deepEqual(entry?.reasons, ['berth.dev/vf: no driver is bound to it']);
});

test('a NIC without network device is named among the unused', () => {
  const { netdev: _netdev, ifname: _ifname, ...bare } = nic('eth0');
  const plan = evaluate(small, context([bare]));
  assert.deepEqual(plan.unused, [
    { address: '0000:41:00.0', reasons: ['it has no network device on the node, and is not a VF'] },
  ]);
});

test.run();
