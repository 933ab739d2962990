/**
 * Berth's own form of the file, every kind, field and selector, on one made-up node: two cards on two
 * NUMA nodes, a bond, a VLAN, and addresses that tell the networks apart.
 */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import type { Inventory, Nic, Vf } from '../../src/engine/inventory/model.ts';
import { evaluate } from '../../src/engine/pools/evaluate.ts';
import { explain } from '../../src/engine/pools/explain.ts';
import { parseMacAddress, parsePciAddress } from '../../src/engine/values.ts';
import { inventory, nic, vf, virtual } from '../engine/pools/build.ts';
import { machines } from '../trees/machines.ts';
import { devicesOf, give, inventoryOf, planOf, poolsOf } from './configured-node.ts';

const LEFT = '0000:41:00.0';
const RIGHT = '0000:c1:00.0';
const vfs = (pf: string, count: number, facts: Partial<Vf>): readonly Vf[] =>
  Array.from({ length: count }, (_, index) => vf(index, facts, pf));
const left: Partial<Nic> = { address: parsePciAddress(LEFT), numaNode: 0, pcieRoot: 'pci0000:40', acpiIndex: 1 };
const right: Partial<Nic> = { address: parsePciAddress(RIGHT), numaNode: 1, pcieRoot: 'pci0000:c0', serial: 'B7' };

/** `ens1f0` with 8 VFs, `ens2f0` with 4; `ens3` whole; `bond0` with the node's address, `vlan20` on it. */
const node: Inventory = inventory(
  [
    nic('ens1f0', vfs(LEFT, 8, { numaNode: 0, pcieRoot: 'pci0000:40' }), left, { addresses: ['10.20.0.5/16'] }),
    nic('ens2f0', vfs(RIGHT, 4, { numaNode: 1, pcieRoot: 'pci0000:c0', vendor: '15b3', device: '1018' }), right, {
      altnames: ['storage'],
      permanentMac: parseMacAddress('02:00:00:00:00:99'),
    }),
    nic('ens3', [], { address: parsePciAddress('0000:c2:00.0'), numaNode: 1, driver: 'ice', pcieRoot: 'pci0000:c0' }),
    nic('ens9', [], { address: parsePciAddress('0000:43:00.0'), numaNode: 0 }, { master: 'bond0' }),
  ],
  [
    virtual('bond', 'bond0', {
      lowers: ['ens9'],
      uppers: ['vlan20'],
      addresses: ['192.0.2.7/24'],
      defaultRoute: true,
    }),
    virtual('vlan', 'vlan20', { lowers: ['bond0'], addresses: ['2001:db8:20::7/64'] }),
    virtual('bridge', 'br0'),
    virtual('veth', 'veth12'),
  ],
);
const l = (...indexes: number[]): string[] => indexes.map((index) => `0000:41:10.${index}`);
const r = (...indexes: number[]): string[] => indexes.map((index) => `0000:c1:10.${index}`);
const all = [...l(0, 1, 2, 3, 4, 5, 6, 7), ...r(0, 1, 2, 3)];
const on = (pools: readonly object[], rest: object = {}) => devicesOf({ ...rest, pools }, node);
const groups = {
  uplinkGroups: { storage: [{ altnames: ['storage'] }, { names: ['ens3'] }], fast: [{ names: ['ens1*'] }] },
};

const functions: readonly (readonly [string, object, readonly string[]])[] = [
  ['every VF where nothing is selected', {}, all],
  ['vendors and devices', { selectors: [{ vendors: ['15B3'], devices: ['1018'] }] }, r(0, 1, 2, 3)],
  ['classes', { selectors: [{ classes: ['0200'] }] }, all],
  ['classes that no VF has', { selectors: [{ classes: ['0207'] }] }, []],
  ['drivers', { selectors: [{ drivers: ['igbvf'] }] }, all],
  ['pciAddresses', { selectors: [{ pciAddresses: l(3) }] }, l(3)],
  ['numaNodes', { selectors: [{ numaNodes: [1] }] }, r(0, 1, 2, 3)],
  ['pcieRoots', { selectors: [{ pcieRoots: ['pci0000:40'] }] }, l(0, 1, 2, 3, 4, 5, 6, 7)],
  ['pfNames', { selectors: [{ pfNames: ['ens1f0#1-2'] }] }, l(1, 2)],
  ['pfNames by alternative name', { selectors: [{ pfNames: ['storage#0'] }] }, r(0)],
  ['pfNames by pattern', { selectors: [{ pfNames: ['ens?f*#0,3'] }] }, [...l(0, 3), ...r(0, 3)]],
  ['rootDevices', { selectors: [{ rootDevices: [`${RIGHT}#2-9`] }] }, r(2, 3)],
  ['pfSerials', { selectors: [{ pfSerials: ['B7#1'] }] }, r(1)],
  ['pfMacs', { selectors: [{ pfMacs: ['02:00:00:00:00:99#0-1'] }] }, r(0, 1)],
  ['pfGroups', { selectors: [{ pfGroups: ['storage'] }] }, r(0, 1, 2, 3)],
  ['pfGroups by pattern', { selectors: [{ pfGroups: ['fast'] }] }, l(0, 1, 2, 3, 4, 5, 6, 7)],
  ['pfSubnets', { selectors: [{ pfSubnets: ['10.20.0.0/16'] }] }, l(0, 1, 2, 3, 4, 5, 6, 7)],
  ['pfSubnets that no PF is in', { selectors: [{ pfSubnets: ['10.21.0.0/16'] }] }, []],
  ['linkTypes', { selectors: [{ linkTypes: ['ether'] }] }, all],
  ['idleNetdev', { selectors: [{ idleNetdev: true }] }, all],
  [
    'all keys of a selector, any selector',
    { selectors: [{ numaNodes: [1], pfNames: ['ens1f0'] }, { pciAddresses: r(2) }] },
    r(2),
  ],
  ['a share of each PF, by number', { perPf: { limit: 2 } }, [...l(0, 1), ...r(0, 1)]],
  ['a share of each PF, by percentage, rounded down', { perPf: { limit: '40%' } }, [...l(0, 1, 2), ...r(0)]],
  ['all of each PF but the first', { perPf: { keepBack: 3 } }, [...l(3, 4, 5, 6, 7), ...r(3)]],
  ['a share of what is not kept back', { perPf: { keepBack: 2, limit: 2 } }, [...l(2, 3), ...r(2, 3)]],
  ['a share of what is selected', { selectors: [{ pfNames: ['ens1f0#4-7'] }], perPf: { limit: 3 } }, l(4, 5, 6)],
];
for (const [what, fields, expected] of functions) {
  test(`kind vf: ${what}`, () => {
    assert.deepEqual(on([{ name: 'p', kind: 'vf', ...fields }], groups), { 'berth.dev/p': expected });
  });
}

test('keepBack keeps VFs from every pool, by any name of their PF', () => {
  const pools = [
    { name: 'a', kind: 'vf', selectors: [{ numaNodes: [0] }] },
    { name: 'b', kind: 'vf' },
  ];
  assert.deepEqual(on(pools, { keepBack: ['ens1f0#0-5', `${RIGHT}#0`, 'stor*#3'] }), {
    'berth.dev/a': l(6, 7),
    'berth.dev/b': r(1, 2),
  });
});

test('shares of two pools add up, in the order of the pools', () => {
  const pools = [
    { name: 'a', kind: 'vf', perPf: { limit: '25%' } },
    { name: 'b', kind: 'vf', perPf: { limit: 3 } },
    { name: 'c', kind: 'vf' },
  ];
  assert.deepEqual(on(pools), {
    'berth.dev/a': [...l(0, 1), ...r(0)],
    'berth.dev/b': [...l(2, 3, 4), ...r(1, 2, 3)],
    'berth.dev/c': l(5, 6, 7),
  });
});

test('VFs that pods hold count, and stay, when a share gets smaller', () => {
  const held = new Map(l(6, 7).map((address) => [address, { resource: 'berth.dev/a' }]));
  const plan = evaluate(
    poolsOf({ pools: [{ name: 'a', kind: 'vf', selectors: [{ numaNodes: [0] }], perPf: { limit: 3 } }] }),
    {
      inventory: node,
      heldDevices: held,
      uplinkUse: new Map(),
    },
  );
  assert.deepEqual(
    plan.pools[0]?.devices.map(({ id }) => id),
    l(0, 6, 7),
  );
});

test('what a share or keepBack leaves out says so', () => {
  const specs = poolsOf({
    keepBack: ['ens1f0#7'],
    pools: [{ name: 'a', kind: 'vf', perPf: { keepBack: 1, limit: 2 } }],
  });
  const context = { inventory: node, heldDevices: new Map(), uplinkUse: new Map() };
  const { unused } = evaluate(specs, context);
  const reason = (address: string | undefined) => unused.find((one) => one.address === address)?.reasons[0];
  assert.equal(reason(l(0)[0]), 'berth.dev/a: the pool keeps back the first 1 of ens1f0, and it is number 0');
  assert.equal(reason(l(3)[0]), "berth.dev/a: the pool's share of ens1f0 is used up: 2 of 8");
  assert.equal(reason(l(7)[0]), 'berth.dev/a: ens1f0#7 is kept back for the node');
  assert.match(
    explain(specs, context, l(3)[0] ?? '')?.verdicts[0]?.why ?? '',
    /^the pool's share of the PF is used up; otherwise/,
  );
});

test('kind function: NICs that have no VFs are given away whole, too', () => {
  assert.deepEqual(on([{ name: 'p', kind: 'function', selectors: [{ drivers: ['ice'] }] }]), {
    'berth.dev/p': ['0000:c2:00.0'],
  });
});

const slots: readonly (readonly [string, object, readonly string[]])[] = [
  ['the default rules', {}, ['ens1f0', 'ens2f0', 'ens3', 'bond0', 'vlan20']],
  ['names', { uplinks: [{ names: ['ens3', 'br0'] }] }, ['ens3', 'br0']],
  [
    'names by pattern: only what may be shared by default',
    { uplinks: [{ names: ['*'] }] },
    ['ens1f0', 'ens2f0', 'ens3', 'bond0', 'vlan20'],
  ],
  [
    'names by pattern beside one that is written out',
    { uplinks: [{ names: ['ens1*', 'veth12'] }] },
    ['ens1f0', 'veth12'],
  ],
  ['altnames', { uplinks: [{ altnames: ['storage'] }] }, ['ens2f0']],
  ['kinds', { uplinks: [{ kinds: ['bond', 'bridge'] }] }, ['bond0', 'br0']],
  ['drivers', { uplinks: [{ drivers: ['ice'] }] }, ['ens3']],
  ['pciAddresses', { uplinks: [{ pciAddresses: [LEFT] }] }, ['ens1f0']],
  ['numaNodes', { uplinks: [{ numaNodes: [1] }] }, ['ens2f0', 'ens3']],
  ['pcieRoots', { uplinks: [{ pcieRoots: ['pci0000:40'] }] }, ['ens1f0']],
  ['serials', { uplinks: [{ serials: ['B7'] }] }, ['ens2f0']],
  ['macs', { uplinks: [{ macs: ['02:00:00:00:00:99'] }] }, ['ens2f0']],
  ['groups', { uplinks: [{ groups: ['storage', 'fast'] }] }, ['ens1f0', 'ens2f0', 'ens3']],
  ['groups and another key', { uplinks: [{ groups: ['storage', 'fast'], numaNodes: [1] }] }, ['ens2f0', 'ens3']],
  ['subnets of IPv4', { uplinks: [{ subnets: ['10.20.0.0/16'] }] }, ['ens1f0']],
  ['subnets of IPv6', { uplinks: [{ subnets: ['2001:db8:20::/48'] }] }, ['vlan20']],
];
for (const [what, fields, expected] of slots) {
  test(`kind macvlan: ${what}`, () => {
    assert.deepEqual(on([{ name: 'p', kind: 'macvlan', capacity: 1, ...fields }], groups), {
      'berth.dev/p': expected.map((uplink) => `${uplink}-0`),
    });
  });
}

test('one uplink serves a pool of each kind of link, and its presence as often as one likes', () => {
  const kinds = ['macvlan', 'ipvlan', 'macvtap', 'uplink', 'uplink'];
  const pools = kinds.map((kind, at) => ({ name: `p${at}`, kind, capacity: 2, uplinks: [{ names: ['ens3'] }] }));
  const expected = Object.fromEntries(kinds.map((_, at) => [`berth.dev/p${at}`, ['ens3-0', 'ens3-1']]));
  assert.deepEqual(on(pools), expected);
});

test('kind uplink takes any link that is named, also one that nothing could be made on', () => {
  assert.deepEqual(on([{ name: 'p', kind: 'uplink', capacity: 1, uplinks: [{ names: ['ens9'] }] }]), {
    'berth.dev/p': ['ens9-0'],
  });
});

test('{uplink} is a resource on each uplink', () => {
  const pools = [{ name: '{uplink}-nic', kind: 'uplink', capacity: 1, uplinks: [{ names: ['ens*'] }] }];
  assert.deepEqual(on(pools, { resourcePrefix: 'spidernet.io' }), {
    'spidernet.io/ens1f0-nic': ['ens1f0-0'],
    'spidernet.io/ens2f0-nic': ['ens2f0-0'],
    'spidernet.io/ens3-nic': ['ens3-0'],
    'spidernet.io/ens9-nic': ['ens9-0'],
  });
});

test('a resource that is written out is not made a second time', () => {
  const pools = [
    { name: '{uplink}', kind: 'uplink', capacity: 1, uplinks: [{ names: ['ens*'] }] },
    { name: 'ens3', kind: 'uplink', capacity: 2, uplinks: [{ names: ['ens3'] }] },
  ];
  assert.deepEqual(on(pools)['berth.dev/ens3'], ['ens3-0', 'ens3-1']);
});

test('names of interfaces that no resource can have are changed', () => {
  const odd = inventory([nic('a@b', [], { address: parsePciAddress('0000:43:00.0') })]);
  const pools = [{ name: 'at-{uplink}', kind: 'uplink', capacity: 1 }];
  assert.deepEqual(devicesOf({ pools }, odd), { 'berth.dev/at-a-b': ['a@b-0'] });
});

test("macvtap-cni's own ids and resources", () => {
  const document = [
    { name: 'dataplane', lowerDevice: 'ens3', capacity: 2 },
    { name: 'other', lowerDevice: 'ens3', mode: 'private', capacity: 1 },
    { name: 'absent', lowerDevice: 'ens77' },
  ];
  assert.deepEqual(devicesOf(document, node), {
    'macvtap.network.kubevirt.io/dataplane': ['dataplaneMvp0', 'dataplaneMvp1'],
    'macvtap.network.kubevirt.io/other': ['otherMvp0'],
    'macvtap.network.kubevirt.io/absent': [],
  });
  const { pools } = planOf(document, node);
  assert.deepEqual(pools[2]?.notes, ['no network device on the node answers to names: ens77']);
});

test("macvtap-cni's empty list is a resource on each uplink, with 100 slots", () => {
  const devices = devicesOf([], node);
  const resources = ['ens1f0', 'ens2f0', 'ens3', 'bond0', 'vlan20'].map(
    (name) => `macvtap.network.kubevirt.io/${name}`,
  );
  assert.deepEqual(Object.keys(devices), resources);
  assert.equal(devices[resources[2] ?? '']?.length, 100);
  assert.equal(devices[resources[2] ?? '']?.[99], 'ens3Mvp99');
});

test('a slot of macvtap brings its character device, and no device-info file', () => {
  const { envs, nodes, files } = give([{ name: 'dataplane', lowerDevice: 'ens3' }], node, ['dataplaneMvp7']);
  assert.equal(envs.PCIDEVICE_MACVTAP_NETWORK_KUBEVIRT_IO_DATAPLANE, 'dataplaneMvp7');
  assert.match(nodes.join(), /^\/dev\/tap[0-9]+ rw$/);
  assert.deepEqual(files, {});
});

const scalable = await inventoryOf(machines.scalable);
const accelerators = await inventoryOf(machines.accelerators);

test('kind sf', () => {
  const pools = [
    { name: 'rdma', kind: 'sf', selectors: [{ isRdma: true }] },
    { name: 'rest', kind: 'sf', perPf: { limit: '50%' } },
  ];
  assert.deepEqual(devicesOf({ pools }, scalable), {
    'berth.dev/rdma': ['mlx5_core.sf.3'],
    'berth.dev/rest': ['mlx5_core.sf.2', 'mlx5_core.sf.10'],
  });
});

test('kind accelerator, by class', () => {
  const pools = [
    { name: 'qat', kind: 'accelerator', selectors: [{ classes: ['0b40'] }] },
    { name: 'fpga', kind: 'accelerator', selectors: [{ classes: ['12'] }] },
  ];
  assert.deepEqual(devicesOf({ pools }, accelerators), {
    'berth.dev/qat': ['0000:b1:02.0', '0000:b1:02.1'],
    'berth.dev/fpga': ['0000:3b:02.0', '0000:3b:02.1', '0000:3c:00.0'],
  });
});

test('explain speaks of accelerators and scalable functions by their ids, and of the latter by their interface', () => {
  const say = (pools: readonly object[], inventoryOfNode: Inventory, name: string) => {
    const context = { inventory: inventoryOfNode, heldDevices: new Map(), uplinkUse: new Map() };
    const told = explain(poolsOf({ pools }), context, name);
    return told && [told.device, told.kind, told.what, ...told.verdicts.map(({ takes, why }) => `${takes} ${why}`)];
  };
  const sf = [{ name: 'p', kind: 'sf', selectors: [{ isRdma: true }] }];
  assert.deepEqual(say(sf, scalable, 'mlx5_core.sf.3'), [
    'mlx5_core.sf.3',
    'scalable',
    'scalable function 89 of enp8s0f0np0',
    'true an RDMA device',
  ]);
  assert.deepEqual(say(sf, scalable, 'enp8s0f0s88')?.slice(0, 4), [
    'mlx5_core.sf.2',
    'scalable',
    'scalable function 88 of enp8s0f0np0',
    'false isRdma: it has no RDMA device',
  ]);
  const qat = [{ name: 'p', kind: 'accelerator', selectors: [{ classes: ['0b40'] }] }];
  assert.deepEqual(say(qat, accelerators, '3c:00.0'), [
    '0000:3c:00.0',
    'accelerator',
    'accelerator',
    'false classes: 120000 is not in [0b40]',
  ]);
  assert.equal(say(qat, accelerators, 'b1:02.1')?.[2], 'VF 1 of 0000:b1:00.0');
  assert.equal(
    say([{ name: 'p', kind: 'vf' }], scalable, 'mlx5_core.sf.3')?.[3],
    'false mlx5_core.sf.3 is a scalable function, and the pool takes VFs',
  );
});

const notes: readonly (readonly [string, object, readonly string[]])[] = [
  [
    'a range beyond the VFs that there are',
    { pfNames: ['ens1f0#4-11'] },
    ['pfNames: ens1f0#4-11 goes up to VF 11, and ens1f0 has 8 VFs'],
  ],
  [
    'a PF that is not there',
    { rootDevices: ['0000:77:00.0'] },
    ['no PF on the node answers to rootDevices: 0000:77:00.0'],
  ],
  ['a PF that cannot have VFs', { pfNames: ['ens3#0'] }, ['pfNames: ens3#0 asks for VFs, and ens3 can have none']],
  ['nothing to say', { pfNames: ['ens?f0#0-3'] }, []],
];
for (const [what, selector, expected] of notes) {
  test(`a pool has a note about ${what}, and is used`, () => {
    const withVfs = {
      ...node,
      nics: node.nics.map((one) =>
        one.vfs.length === 0 ? one : { ...one, sriov: { totalVfs: 64, numVfs: one.vfs.length } },
      ),
    };
    const { pools } = planOf({ pools: [{ name: 'p', kind: 'vf', selectors: [selector] }] }, withVfs);
    assert.deepEqual(pools[0]?.notes, expected);
  });
}

test('what concerns allocation, tenancy and health arrives at the pool', () => {
  const [pool] = poolsOf({
    pools: [
      {
        name: 'p',
        kind: 'vf',
        allocation: 'aligned',
        namespaces: ['team-a'],
        excludeTopology: true,
        health: { linkDown: 'ignore' },
        selectors: [
          { isRdma: true, needVhostNet: true },
          { vdpaType: 'vhost' },
          { pKeys: ['0x1'], ddpProfiles: ['x'] },
        ],
      },
    ],
  });
  assert.ok(pool?.kind === 'vf');
  assert.deepEqual(
    [pool.allocation, pool.namespaces, pool.excludeTopology, pool.health.linkDown],
    ['aligned', ['team-a'], true, 'ignore'],
  );
  assert.deepEqual(pool.selectors, [
    { isRdma: true, needVhostNet: true },
    { vdpaType: 'vhost' },
    { pKeys: ['0001'], ddpProfiles: ['x'] },
  ]);
});

test.run();
