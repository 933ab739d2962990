/** Why devices are unhealthy, cause by cause, and with the pool's policy against it. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import type { Inventory } from '../../../src/engine/inventory/model.ts';
import { silentLogger } from '../../../src/engine/logger.ts';
import { type Holds, NO_HOLDS } from '../../../src/engine/pools/holds.ts';
import type { HealthPolicy } from '../../../src/engine/pools/model.ts';
import { createPoolSet, type PoolSet } from '../../../src/engine/pools/pool-set.ts';
import { parsePciAddress } from '../../../src/engine/values.ts';
import { away, inventory, nic, slotSpec, vf, vfSpec } from './build.ts';

const ADDRESS = parsePciAddress('0000:41:10.0');
const OTHER = parsePciAddress('0000:41:10.1');
const attached: Holds = { ...NO_HOLDS, devices: new Map([[ADDRESS, { attachedTo: 'pod default/web' }]]) };

/** Time that the test moves, and a pool that follows one inventory after another. */
function followed(first: Inventory, health: Partial<HealthPolicy> = {}, holds: Holds = NO_HOLDS) {
  let nowMs = Date.parse('2026-01-01T12:00:00Z');
  const pools: PoolSet = createPoolSet({
    specs: [vfSpec({ health: { ...vfSpec().health, ...health } })],
    inventory: first,
    holds,
    log: silentLogger,
    clock: { now: () => new Date(nowMs), delay: () => Promise.resolve() },
  });
  return {
    pools,
    /** `id: reason`, of every device; the reason is `healthy` for those that are. */
    seen: (): readonly string[] =>
      pools.plan().pools.flatMap(({ devices }) => devices.map(({ id, reason }) => `${id}: ${reason ?? 'healthy'}`)),
    causes: () => pools.plan().pools.flatMap(({ devices }) => devices.map(({ cause }) => cause)),
    at: (seconds: number, news: Parameters<PoolSet['update']>[0] = {}) => {
      nowMs = Date.parse('2026-01-01T12:00:00Z') + seconds * 1000;
      pools.update(news);
    },
  };
}

const group = (facts: object = {}) => ({
  driver: 'vfio-pci',
  iommuGroup: 12,
  deviceNodes: { vfio: '/dev/vfio/12' },
  ...facts,
});
const neighbor = (driver: string | undefined, pciClass = '0c0330') => ({
  address: parsePciAddress('0000:00:14.0'),
  class: pciClass,
  iommuGroup: 12,
  ...(driver === undefined ? {} : { driver }),
});
const withNeighbor = (driver: string | undefined, pciClass?: string): Inventory => ({
  ...inventory([nic('eth0', [away(0, group())])]),
  groupmates: [neighbor(driver, pciClass)],
});

type Case = readonly [
  string,
  Inventory,
  { readonly ignored?: Partial<HealthPolicy>; readonly holds?: Holds },
  string | undefined,
  string | undefined,
];
const cases: readonly Case[] = [
  [
    'a PF without carrier',
    inventory([nic('eth0', [vf(0)], {}, { carrier: false })]),
    { ignored: { linkDown: 'ignore' } },
    'its PF eth0 has no carrier',
    'link',
  ],
  [
    'a PF in error recovery',
    inventory([nic('eth0', [vf(0)], { resetting: 'it recovers from a PCI error' })]),
    { ignored: { pfReset: 'ignore' } },
    'its PF eth0 cannot work now: it recovers from a PCI error',
    'reset',
  ],
  [
    'an IOMMU group with a function in use',
    withNeighbor('xhci_hcd'),
    { ignored: { sharedGroup: 'ignore' } },
    'its IOMMU group 12 also holds 0000:00:14.0, which xhci_hcd uses',
    'group',
  ],
  ['an IOMMU group with a function that nobody uses', withNeighbor(undefined), {}, undefined, undefined],
  ['an IOMMU group with a function on vfio-pci', withNeighbor('vfio-pci'), {}, undefined, undefined],
  ['an IOMMU group with a bridge', withNeighbor('shpchp', '060400'), {}, undefined, undefined],
  [
    'no IOMMU',
    {
      ...inventory([nic('eth0', [away(0, group({ deviceNodes: { vfio: '/dev/vfio/noiommu-12' } }))])]),
      groupmates: [neighbor('xhci_hcd')],
    },
    {},
    undefined,
    undefined,
  ],
  [
    'a VF on its own driver in a shared group',
    { ...inventory([nic('eth0', [vf(0, { iommuGroup: 12 })])]), groupmates: [neighbor('xhci_hcd')] },
    {},
    undefined,
    undefined,
  ],
];
for (const [what, node, { ignored }, reason, cause] of cases) {
  test(`${what}: ${reason ?? 'healthy'}`, () => {
    const { causes, pools, seen } = followed(node);
    assert.deepEqual(seen(), [`${ADDRESS}: ${reason ?? 'healthy'}`]);
    assert.deepEqual(causes(), [cause]);
    pools.stop();
    if (ignored === undefined) return;
    const lenient = followed(node, ignored);
    assert.deepEqual(lenient.seen(), [`${ADDRESS}: healthy`]);
    lenient.pools.stop();
  });
}

test('a device of a group that a pod has cannot go to another pod', () => {
  const node = inventory([nic('eth0', [away(0, group()), away(1, group())])]);
  const { at, pools, seen } = followed(node);
  assert.deepEqual(seen(), [`${ADDRESS}: healthy`, `${OTHER}: healthy`]);
  at(1, { holds: { ...NO_HOLDS, devices: new Map([[ADDRESS, {}]]) } });
  assert.deepEqual(seen(), [
    `${ADDRESS}: healthy`,
    `${OTHER}: its IOMMU group 12 is in use: a pod has ${ADDRESS} of it`,
  ]);
  at(2, { holds: NO_HOLDS });
  assert.deepEqual(seen(), [`${ADDRESS}: healthy`, `${OTHER}: healthy`]);
  pools.stop();
});

test('a netdev that is on the node though a pod has it is told once it is no hand-over', () => {
  const atHome = inventory([nic('eth0', [vf(0)])]);
  const { at, causes, pools, seen } = followed(atHome);
  at(1, { holds: attached });
  assert.deepEqual(seen(), [`${ADDRESS}: healthy`]);
  at(2);
  assert.deepEqual(seen(), [`${ADDRESS}: healthy`]);
  at(4);
  assert.deepEqual(seen(), [`${ADDRESS}: v41n0 is on the node, but pod default/web should have it`]);
  assert.deepEqual(causes(), ['misplaced']);
  at(5, { inventory: inventory([nic('eth0', [away(0)])]) });
  assert.deepEqual(seen(), [`${ADDRESS}: healthy`]);
  pools.stop();
});

test('a netdev that went where no attachment put it is told once it is no hand-over', () => {
  const home = inventory([nic('eth0', [vf(0)])]);
  const gone = inventory([nic('eth0', [away(0)])]);
  for (const [misplaced, expected] of [
    ['unhealthy', 'its network device is in a namespace that Berth did not put it into'],
    ['ignore', 'healthy'],
  ] as const) {
    const { at, pools, seen } = followed(home, { misplaced });
    at(1, { inventory: gone });
    assert.deepEqual(seen(), [`${ADDRESS}: healthy`]);
    at(4);
    assert.deepEqual(seen(), [`${ADDRESS}: ${expected}`]);
    at(5, { inventory: home });
    assert.deepEqual(seen(), [`${ADDRESS}: healthy`]);
    pools.stop();
  }
});

test('a netdev that was away before the agent came is none of its business', () => {
  const { at, pools, seen } = followed(inventory([nic('eth0', [away(0)])]));
  at(60);
  assert.deepEqual(seen(), [`${ADDRESS}: healthy`]);
  pools.stop();
});

const up = inventory([nic('eth0', [vf(0)])]);
const down = inventory([nic('eth0', [vf(0)], {}, { carrier: false })]);
const NO_CARRIER = `${ADDRESS}: its PF eth0 has no carrier`;
const HELD = (times: number, until: string) =>
  `${ADDRESS}: it failed ${times} times within a minute, at last because its PF eth0 has no carrier; it is good again and is offered at ${until} if it stays so`;

test('the first failure ends with its cause, the second within a minute is held down', () => {
  const { at, causes, pools, seen } = followed(up);
  at(1, { inventory: down });
  assert.deepEqual(seen(), [NO_CARRIER]);
  at(2, { inventory: up });
  assert.deepEqual(seen(), [`${ADDRESS}: healthy`]);
  at(3, { inventory: down });
  assert.deepEqual(seen(), [NO_CARRIER]);
  at(4, { inventory: up });
  assert.deepEqual(seen(), [HELD(2, '12:00:14Z')]);
  assert.deepEqual(causes(), ['link']);
  at(13.9);
  assert.deepEqual(seen(), [HELD(2, '12:00:14Z')]);
  at(14);
  assert.deepEqual(seen(), [`${ADDRESS}: healthy`]);
  pools.stop();
});

test('a failure while it is held down begins the hold-down anew', () => {
  const { at, pools, seen } = followed(up, { holdDownS: 5 });
  for (const [second, node] of [
    [1, down],
    [2, up],
    [3, down],
    [4, up],
    [8, down],
    [9, up],
  ] as const) {
    at(second, { inventory: node });
    seen();
  }
  assert.deepEqual(seen(), [HELD(3, '12:00:14Z')]);
  at(14);
  assert.deepEqual(seen(), [`${ADDRESS}: healthy`]);
  pools.stop();
});

test('failures more than a minute apart are not flapping, and a hold-down of 0 is none', () => {
  const { at, pools, seen } = followed(up);
  for (const [second, node] of [
    [1, down],
    [2, up],
    [62, down],
    [63, up],
  ] as const) {
    at(second, { inventory: node });
    seen();
  }
  assert.deepEqual(seen(), [`${ADDRESS}: healthy`]);
  pools.stop();
  const undamped = followed(up, { holdDownS: 0 });
  for (let second = 1; second < 20; second++) {
    undamped.at(second, { inventory: second % 2 === 1 ? down : up });
    assert.deepEqual(undamped.seen(), [second % 2 === 1 ? NO_CARRIER : `${ADDRESS}: healthy`]);
  }
  undamped.pools.stop();
});

test('explain tells of the hold-down too', () => {
  const { at, pools, seen } = followed(up);
  for (const [second, node] of [
    [1, down],
    [2, up],
    [3, down],
    [4, up],
  ] as const) {
    at(second, { inventory: node });
    seen();
  }
  const [offer] = pools.explain(ADDRESS)?.offered ?? [];
  assert.equal(offer?.healthy, false);
  assert.match(offer?.reason ?? '', /it failed 2 times within a minute/);
  pools.stop();
});

test('what pods do with an uplink is not damped: it is no failure', () => {
  const pools = createPoolSet({
    specs: [slotSpec('ipvlan', { capacity: 2 })],
    inventory: inventory([nic('eth0')]),
    log: silentLogger,
    clock: { now: () => new Date(0), delay: () => Promise.resolve() },
  });
  const healthy = (): number => pools.plan().pools[0]?.devices.filter((device) => device.healthy).length ?? 0;
  for (let round = 0; round < 5; round++) {
    pools.update({ holds: { ...NO_HOLDS, uplinks: new Map([['eth0', 'macvlan']]) } });
    assert.equal(healthy(), 0);
    pools.update({ holds: NO_HOLDS });
    assert.equal(healthy(), 2);
  }
  pools.stop();
});

test('a device that a pod holds stays listed, whatever becomes of it', () => {
  const { at, pools, seen } = followed(up);
  at(1, { holds: attached, inventory: inventory([nic('eth0', [away(0)])]) });
  assert.deepEqual(seen(), [`${ADDRESS}: healthy`]);
  at(2, { inventory: inventory([nic('eth0')]) });
  assert.deepEqual(seen(), [`${ADDRESS}: the device is gone while a pod holds it`]);
  at(3, { inventory: inventory([nic('eth0', [away(0, { driver: 'vfio-pci' })])]) });
  assert.deepEqual(seen(), [`${ADDRESS}: its driver was igbvf and is vfio-pci now`]);
  pools.stop();
});

test.run();
