import assert from 'node:assert/strict';
import { test } from 'uvu';
import type { Netdev, Nic } from '../../../src/engine/inventory/model.ts';
import { silentLogger } from '../../../src/engine/logger.ts';
import { evaluate } from '../../../src/engine/pools/evaluate.ts';
import { explain } from '../../../src/engine/pools/explain.ts';
import type { PoolSpec, VfSelector } from '../../../src/engine/pools/model.ts';
import { createPoolSet } from '../../../src/engine/pools/pool-set.ts';
import { parsePciAddress } from '../../../src/engine/values.ts';
import { context, inventory, netdev, nic, slotSpec, vf, vfSpec, virtual } from './build.ts';

const NIC = parsePciAddress('0000:41:00.0');
const whole = vfSpec({ resource: 'x.example/whole', candidates: 'functions' });

function nicWithout<Key extends keyof Nic>(key: Key, facts: Partial<Nic> = {}): Nic {
  const { [key]: _gone, ...rest } = nic('eth0', [], facts);
  return rest as Nic;
}

const sriov = { totalVfs: 8, numVfs: 0 };
const candidates: readonly (readonly [string, Nic, string])[] = [
  ['a NIC without SR-IOV', nic('eth0'), 'x.example/whole'],
  ['a PF without VFs', nic('eth0', [], { sriov }), 'x.example/whole'],
  ['a NIC on a userspace driver', nicWithout('netdev', { driver: 'vfio-pci' }), 'x.example/whole'],
  ['an InfiniBand NIC', nic('ib0', [], { class: '020700' }), 'x.example/whole'],
  ['a PF whose VFs are being made', nic('eth0', [], { sriov: { totalVfs: 8, numVfs: 2 } }), 'eth0 has 2 VFs'],
  ['a NIC without driver', nicWithout('driver'), 'no driver is bound'],
  ['a storage function with a netdev', nic('eth0', [], { class: '0c0600' }), 'its PCI class is 0c0600'],
  ['a NIC with an address', nic('eth0', [], {}, { addresses: ['10.0.0.1/24'] }), 'the node uses it: eth0 is up with'],
  ['a NIC with a default route', nic('eth0', [], {}, { defaultRoute: true }), 'eth0 carries a default route'],
  ['a member of a bond', nic('eth0', [], {}, { master: 'bond0' }), 'eth0 is a member of bond0'],
];
for (const [what, device, expected] of candidates) {
  test(`${what}, in a pool of whole functions: ${expected}`, () => {
    const plan = evaluate([whole], context([device], [virtual('bond', 'bond0')]));
    const offered = plan.pools[0]?.devices.map(({ id }) => id) ?? [];
    const told = explain([whole], context([device], [virtual('bond', 'bond0')]), NIC)?.verdicts[0];
    if (expected === whole.resource) {
      assert.deepEqual([offered, told?.takes], [[NIC], true]);
      return;
    }
    assert.deepEqual([offered, told?.takes], [[], false]);
    assert.ok(told?.why.includes(expected), told?.why);
    const [unused] = plan.unused.filter(({ address }) => address === NIC);
    assert.deepEqual(unused?.reasons, [`x.example/whole: ${told?.why}`]);
  });
}

test('of a PF with VFs only the VFs are offered', () => {
  const plan = evaluate([whole], context([nic('eth0', [vf(0), vf(1)], { sriov: { totalVfs: 8, numVfs: 2 } })]));
  assert.deepEqual(
    plan.pools[0]?.devices.map(({ id, numaNode }) => [id, numaNode]),
    [
      ['0000:41:10.0', 0],
      ['0000:41:10.1', 0],
    ],
  );
});

test('a pool of VFs takes no NIC', () => {
  const plan = evaluate([vfSpec()], context([nic('eth0')]));
  assert.deepEqual(plan.pools[0]?.devices, []);
});

const links: readonly (readonly [string, Partial<Netdev>, string | undefined])[] = [
  ['down', { adminUp: false, carrier: false }, undefined],
  ['up without carrier', { carrier: false }, 'eth0 has no carrier'],
  ['up', {}, undefined],
];
for (const [how, link, reason] of links) {
  test(`a NIC that is ${how} is ${reason === undefined ? 'healthy' : 'not'}`, () => {
    const [device] = evaluate([whole], context([nic('eth0', [], {}, link)])).pools[0]?.devices ?? [];
    assert.equal(device?.reason, reason);
  });
}

for (const [first, then] of [
  ['x.example/whole', 'berth.dev/macvlan'],
  ['berth.dev/macvlan', 'x.example/whole'],
] as const) {
  test(`a NIC that ${first} has first is not offered as ${then}`, () => {
    const slots = [slotSpec('macvlan'), slotSpec('ipvlan')];
    const ordered: readonly PoolSpec[] = first === whole.resource ? [whole, ...slots] : [...slots, whole];
    const plan = evaluate(ordered, context([nic('eth0')]));
    const counts = new Map(plan.pools.map(({ spec, devices }) => [spec.resource, devices.length]));
    assert.ok((counts.get(first) ?? 0) > 0);
    assert.equal(counts.get(then), 0);
    const verdicts = explain(ordered, context([nic('eth0')]), 'eth0')?.verdicts ?? [];
    assert.match(verdicts.find(({ resource }) => resource === then)?.why ?? '', new RegExp(`^${first} has it;`));
  });
}

const rdma = { rdma: ['/dev/infiniband/uverbs0', '/dev/infiniband/rdma_cm'] };
const matches: readonly (readonly [string, VfSelector, Nic, readonly string[]])[] = [
  ['the ACPI index of a NIC', { acpiIndexes: ['3', '4'] }, nic('eth0', [], { acpiIndex: 4 }), [NIC]],
  ['another ACPI index', { acpiIndexes: ['3'] }, nic('eth0', [], { acpiIndex: 4 }), []],
  ['a NIC without ACPI index', { acpiIndexes: ['0'] }, nic('eth0'), []],
  ['a PF by pfNames, itself', { pfNames: [{ pf: 'eth0' }] }, nic('eth0'), []],
  ['a PF by rootDevices, itself', { rootDevices: [{ pf: NIC }] }, nic('eth0'), []],
  ['the link type', { linkTypes: ['ether'] }, nic('eth0'), [NIC]],
  ['another link type', { linkTypes: ['infiniband'] }, nic('eth0'), []],
  ['the link type of a VF in a pod', { linkTypes: ['ether'] }, nic('eth0', [podded(0)]), ['0000:41:10.0']],
  ['RDMA', { isRdma: true }, nic('eth0', [], { deviceNodes: rdma }), [NIC]],
  ['no RDMA', { isRdma: true }, nic('eth0'), []],
  ['isRdma: false', { isRdma: false }, nic('eth0'), [NIC]],
  [
    'RDMA of a VF that is in a pod with its RDMA device',
    { isRdma: true },
    nic('eth0', [podded(0), vf(1)], { deviceNodes: rdma }),
    ['0000:41:10.0'],
  ],
];
for (const [what, selector, device, expected] of matches) {
  test(`a selector for ${what} finds ${expected.length === 0 ? 'nothing' : expected.join(', ')}`, () => {
    const [pool] = evaluate([{ ...whole, selectors: [selector] }], context([device])).pools;
    assert.deepEqual(
      pool?.devices.map(({ id }) => id),
      expected,
    );
  });
}

/** Its netdev and, in exclusive mode, its RDMA device are in the pod. */
function podded(index: number) {
  const { netdev: _netdev, ifname: _ifname, ...rest } = vf(index);
  return rest;
}

test('a NIC that loses its driver stays, unhealthy, with the reason', () => {
  const pools = createPoolSet({ specs: [whole], inventory: inventory([nic('eth0')]), log: silentLogger });
  pools.update({ inventory: inventory([nicWithout('driver')]) });
  assert.equal(pools.functionAt(NIC)?.pf, undefined);
  assert.equal(pools.plan().pools[0]?.devices[0]?.reason, 'its driver igb is not bound any more');
  pools.stop();
});

test('a NIC that begins to carry the node leaves the pool', () => {
  const pools = createPoolSet({ specs: [whole], inventory: inventory([nic('eth0')]), log: silentLogger });
  const used = nic('eth0', [], { netdev: netdev('eth0', { addresses: ['10.0.0.1/24'] }) });
  pools.update({ inventory: inventory([used]) });
  assert.deepEqual(pools.plan().pools[0]?.devices, []);
  pools.stop();
});

test.run();
