/** Each rule on a node that has what it looks for, and on one that has not. The nodes are trees, read as `--root` reads them. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { FINDING_RULES, type FindingContext, findingsOf } from '../../../src/engine/findings/index.ts';
import { vfNames } from '../../../src/engine/findings/rule.ts';
import type { Finding, Inventory, Nic, Vf } from '../../../src/engine/inventory/model.ts';
import { parsePciAddress } from '../../../src/engine/values.ts';
import { createNodeReader } from '../../../src/linux/node-reader.ts';
import type { PfSpec, TreeSpec } from '../../trees/generate.ts';
import { withTree } from '../../trees/temporary.ts';
import { inventory as inventoryOf, netdev, nic, vf } from '../inventory/fixtures.ts';

/** Indexes in a tree with one PF: lo 1, eth0 2, its VFs from 3 on. */
const ETH0 = 2;

const GOOD_PCIE = { now: [16, 16], best: [16, 16], slot: [16, 16] } as const;
/** A NIC about which nobody would say anything. */
const GOOD: PfSpec = { vfs: 2, pcie: GOOD_PCIE, pcieErrors: { correctable: 3, nonfatal: 0, fatal: 0 } };
const VF0 = parsePciAddress('0000:10:02.0');
const OWNER = { pod: 'default/web-0', containerId: 'c'.repeat(64), ifname: 'net1', since: '2026-01-01T00:00:00Z' };

interface Told {
  readonly vfs?: unknown;
  readonly functions?: Readonly<Record<string, unknown>>;
}

function facts({ vfs, functions = {} }: Told): unknown {
  const link = { ifindex: ETH0, altnames: [], addresses: [], defaultRoute: false };
  return { schema: 1, links: [{ ...link, ...(vfs === undefined ? {} : { vfs }) }], functions };
}

async function find(spec: TreeSpec, more: Partial<FindingContext> = {}): Promise<readonly Finding[]> {
  let found: readonly Finding[] = [];
  await withTree(spec, async ({ dir }) => {
    const inventory = await createNodeReader({ root: dir }).read();
    found = findingsOf({ inventory, pools: {}, owners: {}, ...more });
  });
  return found;
}

interface Case {
  readonly id: string;
  readonly what: string;
  readonly tree: TreeSpec;
  readonly more?: Partial<FindingContext>;
  readonly severity: Finding['severity'];
  readonly subject: string;
  readonly evidence: string;
}

const one = (pf: PfSpec, more: Partial<TreeSpec> = {}): TreeSpec => ({ pfs: [{ ...GOOD, ...pf }], ...more });
const twins = (first: PfSpec, second: PfSpec, more: Partial<TreeSpec> = {}): TreeSpec => ({
  pfs: [
    { ...GOOD, vfs: 0, totalVfs: 0, address: '0000:10:00.0', ...first },
    { ...GOOD, vfs: 0, totalVfs: 0, address: '0000:10:00.1', ...second },
  ],
  ...more,
});

const CASES: readonly Case[] = [
  {
    id: 'iommu-off',
    what: 'no IOMMU',
    tree: one({ iommu: false }),
    severity: 'warning',
    subject: 'node-1',
    evidence: 'the kernel made no IOMMU groups; 1 NIC can have VFs',
  },
  {
    id: 'iommu-off',
    what: 'no IOMMU and a VF on vfio-pci',
    tree: one({ iommu: false, vfDriver: 'vfio-pci' }),
    severity: 'error',
    subject: 'node-1',
    evidence: 'the kernel made no IOMMU groups; 1 NIC can have VFs',
  },
  {
    id: 'iommu-group-shared',
    what: 'VFs in one group with their PF',
    tree: one({ sharedGroup: true }),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'IOMMU group 1 holds eth0 (0000:10:00.0), eth0v0 (0000:10:02.0), eth0v1 (0000:10:02.1)',
  },
  {
    id: 'pf-down',
    what: 'a PF that is down',
    tree: one({ netdev: { up: false } }),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0) is down, with 2 VFs',
  },
  {
    id: 'pf-down',
    what: 'a PF that is down while a pod has a VF of it',
    tree: one({ netdev: { up: false } }),
    more: { owners: { [VF0]: OWNER } },
    severity: 'error',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0) is down, with 2 VFs, 1 of them in pods',
  },
  {
    id: 'pf-no-carrier',
    what: 'a PF without carrier',
    tree: one({ netdev: { up: true, carrier: false } }),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0) is up and has no carrier, with 2 VFs',
  },
  {
    id: 'port-slower-than-twin',
    what: 'a port that is slower than its twin',
    tree: twins({ netdev: { speedMbps: 10_000 } }, { netdev: { speedMbps: 25_000 } }),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0) runs at 10 Gbit/s, eth1 (0000:10:00.1) of the same card at 25',
  },
  {
    id: 'bond-on-one-card',
    what: 'a bond of two ports of one card',
    tree: twins(
      { netdev: { master: 'bond0' } },
      { netdev: { master: 'bond0' } },
      { virtual: [{ ifname: 'bond0', devtype: 'bond' }] },
    ),
    severity: 'info',
    subject: 'bond0',
    evidence: 'all members of bond0 are ports of one card: eth0 (0000:10:00.0), eth1 (0000:10:00.1)',
  },
  {
    id: 'pf-in-bond',
    what: 'VFs of a port that is in a bond',
    tree: one({ netdev: { master: 'bond0' } }, { virtual: [{ ifname: 'bond0', devtype: 'bond' }] }),
    severity: 'info',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0) with 2 VFs is a member of bond0',
  },
  {
    id: 'pf-in-bridge',
    what: 'VFs of a port that is in a bridge',
    tree: one({ netdev: { master: 'br0' } }, { virtual: [{ ifname: 'br0', devtype: 'bridge' }] }),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0) with 2 VFs is a port of the bridge br0',
  },
  {
    id: 'checksum-offload-off',
    what: 'transmit checksums left to the CPU',
    tree: one({}, { facts: facts({ functions: { '0000:10:00.0': { offloads: ['rx-checksum', 'rx-gro'] } } }) }),
    severity: 'info',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0) leaves tx checksums to the CPU',
  },
  {
    id: 'sriov-autoprobe-off',
    what: 'VFs that nothing binds',
    tree: one({ autoprobe: false, vfDriver: null }),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0): sriov_drivers_autoprobe is 0, VFs 0-1 without a driver',
  },
  {
    id: 'sriov-no-vfs',
    what: 'a PF without VFs',
    tree: one({ vfs: 0, totalVfs: 64 }),
    severity: 'info',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0) can have 64 VFs and has none',
  },
  {
    id: 'sriov-vfs-missing',
    what: 'fewer VFs than the PF says',
    tree: one({ numVfs: 4 }),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0) says 4 VFs, 2 can be seen',
  },
  {
    id: 'vf-without-driver',
    what: 'a VF that no driver took',
    tree: one({ vfDrivers: { 1: null } }),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0): VF 1 without a driver',
  },
  {
    id: 'vf-settings-unsupported',
    what: 'a PF that lists no VFs',
    tree: one({}, { facts: facts({ vfs: 'none' }) }),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0): driver i40e lists no VFs, so VLAN, MAC, rate, trust and spoof check cannot be set',
  },
  {
    id: 'vf-statistics-unsupported',
    what: 'a driver that does not count',
    tree: one({ driver: 'igb' }),
    severity: 'info',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0): driver igb does not count what VFs send and receive; the kernel shows zeros',
  },
  {
    id: 'vf-unselected',
    what: 'a VF that no selector names',
    tree: one({}),
    more: { unused: new Map([[VF0, ['pfNames: eth0 is not in [eth7]']]]) },
    severity: 'info',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0): VF 0 in no pool (pfNames: eth0 is not in [eth7])',
  },
  {
    id: 'vf-mtu-above-pf',
    what: 'an MTU above that of the PF',
    tree: one({ vfNetdev: { mtu: 9000 } }),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0): VFs 0-1 with MTU 9000 above the 1500 of the PF',
  },
  {
    id: 'vf-spoofcheck-without-mac',
    what: 'spoof check without an address to check',
    tree: one({}, { facts: facts({ vfs: { 0: { spoofCheck: true, adminMac: '00:00:00:00:00:00' } } }) }),
    more: { owners: { [VF0]: OWNER } },
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0): VF 0 with spoof check and without an administrative MAC',
  },
  {
    id: 'vf-spoofcheck-without-mac',
    what: 'the same of a VF that nobody has',
    tree: one({}, { facts: facts({ vfs: { 0: { spoofCheck: true }, 1: { spoofCheck: false } } }) }),
    severity: 'info',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0): VF 0 with spoof check and without an administrative MAC',
  },
  {
    id: 'vf-spoofcheck-without-mac',
    what: 'several VFs, of which a pod has one',
    tree: one({}, { facts: facts({ vfs: { 0: { spoofCheck: true }, 1: { spoofCheck: true } } }) }),
    more: { owners: { [VF0]: OWNER } },
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0): VFs 0-1 with spoof check and without an administrative MAC (given away: VF 0)',
  },
  {
    id: 'vf-trusted-and-free',
    what: 'trust that somebody left behind',
    tree: one({}, { facts: facts({ vfs: { 1: { trust: true } } }) }),
    severity: 'info',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0): VF 1 trusted though no pod has them',
  },
  {
    id: 'mac-duplicate',
    what: 'two VFs with one address',
    tree: one(
      {},
      { facts: facts({ vfs: { 0: { adminMac: '02:00:00:00:0a:01' }, 1: { adminMac: '02:00:00:00:0a:01' } } }) },
    ),
    severity: 'error',
    subject: '0000:10:02.0',
    evidence: '02:00:00:00:0a:01 is the address of VF 0 of eth0 and VF 1 of eth0',
  },
  {
    id: 'pcie-link-degraded',
    what: 'four lanes of eight',
    tree: one({ pcie: { now: [8, 4], best: [8, 8], slot: [16, 16] } }),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0) runs at 8 GT/s x4, card and slot can do 8 GT/s x8',
  },
  {
    id: 'pcie-slot-limits',
    what: 'a slot that is smaller than the card',
    tree: one({ pcie: { now: [8, 8], best: [16, 16], slot: [8, 8] } }),
    severity: 'info',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0) can do 16 GT/s x16, the slot only 8 GT/s x8',
  },
  {
    id: 'pcie-too-slow-for-ports',
    what: 'two ports of 100 Gbit/s on eight lanes',
    tree: twins(
      { pcie: { now: [16, 8], best: [16, 8], slot: [16, 8] }, netdev: { speedMbps: 100_000 } },
      { pcie: { now: [16, 8], best: [16, 8], slot: [16, 8] }, netdev: { speedMbps: 100_000 } },
    ),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0) and eth1 (0000:10:00.1): 200 Gbit/s of ports behind 126 Gbit/s of PCIe (16 GT/s x8)',
  },
  {
    id: 'pcie-errors',
    what: 'errors that were not corrected',
    tree: one({ pcieErrors: { correctable: 12, nonfatal: 2, fatal: 0 } }),
    severity: 'error',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0): 0 fatal, 2 non-fatal and 12 correctable PCIe errors since boot',
  },
  {
    id: 'pcie-errors',
    what: 'thousands of errors that were corrected',
    tree: one({ pcieErrors: { correctable: 5000, nonfatal: 0, fatal: 0 } }),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0): 0 fatal, 0 non-fatal and 5000 correctable PCIe errors since boot',
  },
  {
    id: 'numa-unknown',
    what: 'a NIC on no NUMA node of two',
    tree: one({ numaNode: -1 }, { numaNodes: 2 }),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0) is on no NUMA node, the machine has 2',
  },
  {
    id: 'firmware-mixed',
    what: 'twins with different firmware',
    tree: twins(
      {},
      {},
      { facts: facts({ functions: { '0000:10:00.0': { firmware: '9.1' }, '0000:10:00.1': { firmware: '9.3' } } }) },
    ),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: 'NICs of one model with different firmware: 9.1 on eth0 (0000:10:00.0); 9.3 on eth1 (0000:10:00.1)',
  },
  {
    id: 'firmware-pending',
    what: 'firmware that waits for a reset',
    tree: one(
      {},
      { facts: facts({ functions: { '0000:10:00.0': { firmware: '9.1', firmwareStored: 'fw.mgmt 9.3' } } }) },
    ),
    severity: 'info',
    subject: '0000:10:00.0',
    evidence: 'eth0 (0000:10:00.0) has fw.mgmt 9.3 in its flash, 9.1 runs',
  },
  {
    id: 'nic-without-driver',
    what: 'a NIC that no driver took',
    tree: one({ driver: null, ifname: null, vfs: 0, totalVfs: 0 }),
    severity: 'warning',
    subject: '0000:10:00.0',
    evidence: '0000:10:00.0 (8086:1572) has no driver',
  },
  {
    id: 'device-gone-in-use',
    what: 'a pod with a VF that is no more',
    tree: one({}),
    more: { owners: { [parsePciAddress('0000:99:02.0')]: OWNER } },
    severity: 'error',
    subject: '0000:99:02.0',
    evidence: 'default/web-0 has 0000:99:02.0 as net1, and the node has no such device',
  },
  {
    id: 'facts-unread',
    what: 'a value that nobody can read',
    tree: one({ netdev: { mac: 'no address' } }),
    severity: 'info',
    subject: 'node-1',
    evidence: 'could not be read: sys/class/net/eth0/address (malformed)',
  },
];

for (const { id, what, tree, more, severity, subject, evidence } of CASES) {
  test(`${id}: ${what}`, async () => {
    const found = (await find(tree, more)).filter((finding) => finding.id === id);
    assert.equal(found.length, 1, JSON.stringify(found));
    const [finding] = found;
    assert.deepEqual(
      [finding?.severity, finding?.subject, finding?.evidence, finding?.reference],
      [severity, subject, evidence, `docs/inventory.md#${id}`],
    );
    assert.match(finding?.remedy ?? '', /^[A-Z].{15,}\.$/);
  });
}

test('about a good node there is nothing to say', async () => {
  const settings = { adminMac: '02:00:00:00:0a:01', spoofCheck: true, trust: false, vlan: 0 };
  const vfs = { 0: settings, 1: { ...settings, adminMac: '02:00:00:00:0a:02' } };
  const functions = { '0000:10:00.0': { firmware: '9.1', offloads: ['tx-checksum-ipv4', 'rx-checksum'] } };
  const more = { unused: new Map(), owners: { [VF0]: OWNER } };
  assert.deepEqual(await find(one({}, { facts: facts({ vfs, functions }) }), more), []);
});

test('a tree without a record of netlink makes no finding about what is unknown', async () => {
  assert.deepEqual(await find(one({})), []);
});

test('the group of a NIC that nobody gives away may hold other functions', async () => {
  assert.deepEqual(await find(one({ sharedGroup: true, vfs: 0, totalVfs: 0 })), []);
});

test('VFs in no-IOMMU mode are an error', async () => {
  const unsafe = vf('0000:10:00.0', 0, { driver: 'vfio-pci', deviceNodes: { vfio: '/dev/vfio/noiommu-0' } });
  await withTree(one({}), async ({ dir }) => {
    const inventory = await createNodeReader({ root: dir }).read();
    const [nic] = inventory.nics;
    assert.ok(nic);
    const changed = { ...inventory, nics: [{ ...nic, vfs: [unsafe] }] };
    const [finding] = findingsOf({ inventory: changed, pools: {}, owners: {} });
    assert.deepEqual([finding?.id, finding?.severity], ['vfio-without-iommu', 'error']);
    assert.match(finding?.evidence ?? '', /^VF 0 of eth0 \(0000:10:00\.0\): on vfio-pci in no-IOMMU mode/);
  });
});

test('a NIC that is being reset is told with the reason', async () => {
  await withTree(one({}), async ({ dir }) => {
    const inventory = await createNodeReader({ root: dir }).read();
    const nics = inventory.nics.map((nic) => ({ ...nic, resetting: 'it recovers from a PCI error' }));
    const [finding] = findingsOf({ inventory: { ...inventory, nics }, pools: {}, owners: {} });
    assert.deepEqual([finding?.id, finding?.severity], ['nic-resetting', 'error']);
    assert.equal(finding?.evidence, 'eth0 (0000:10:00.0) cannot work now: it recovers from a PCI error');
  });
});

test('functions that are no NICs count in an IOMMU group', async () => {
  await withTree(one({}), async ({ dir }) => {
    const inventory = await createNodeReader({ root: dir }).read();
    const group = inventory.nics[0]?.vfs[0]?.iommuGroup ?? 0;
    const mate = { address: parsePciAddress('0000:00:1f.3'), class: '040300', iommuGroup: group };
    const [finding] = findingsOf({ inventory: { ...inventory, groupmates: [mate] }, pools: {}, owners: {} });
    assert.equal(finding?.id, 'iommu-group-shared');
    assert.equal(finding?.evidence, `IOMMU group ${group} holds eth0v0 (0000:10:02.0), 0000:00:1f.3`);
  });
});

/** QuickAssist in a machine with two NUMA nodes, about which there is much to say. */
function accelerator(more: Partial<Nic> = {}): Nic {
  const {
    ifname: _ifname,
    netdev: _netdev,
    ...device
  } = nic('0000:3b:00.0', netdev('none', 9), [], {
    class: '0b4000',
    driver: 'c6xx',
    sriov: { totalVfs: 16, numVfs: 0, autoprobe: false },
    numaNode: 0,
    ...more,
  });
  return device;
}

const OF_ACCELERATORS: readonly { readonly id: string; readonly device: Nic; readonly evidence: RegExp }[] = [
  { id: 'sriov-no-vfs', device: accelerator(), evidence: /^0000:3b:00\.0 can have 16 VFs and has none$/ },
  { id: 'sriov-autoprobe-off', device: accelerator(), evidence: /sriov_drivers_autoprobe is 0/ },
  {
    id: 'sriov-vfs-missing',
    device: accelerator({ sriov: { totalVfs: 16, numVfs: 4 } }),
    evidence: /says 4 VFs, 0 can be seen/,
  },
  { id: 'iommu-off', device: accelerator(), evidence: /; 1 accelerator can have VFs$/ },
  {
    id: 'iommu-group-shared',
    device: accelerator({ vfs: [0, 1].map((index) => vf('0000:3b:00.0', index, { iommuGroup: 9 })) }),
    evidence: /^IOMMU group 9 holds 0000:3b:02\.0, 0000:3b:02\.1$/,
  },
  {
    id: 'vfio-without-iommu',
    device: accelerator({ deviceNodes: { vfio: '/dev/vfio/noiommu-0' } }),
    evidence: /^0000:3b:00\.0: on vfio-pci in no-IOMMU mode/,
  },
  {
    id: 'vf-without-driver',
    device: accelerator({
      sriov: { totalVfs: 16, numVfs: 1, autoprobe: true },
      vfs: [withoutDriverOf(vf('0000:3b:00.0', 0))],
    }),
    evidence: /^0000:3b:00\.0: VF 0 without a driver$/,
  },
  { id: 'nic-without-driver', device: withoutDriverOf(accelerator()), evidence: /has no driver$/ },
  { id: 'nic-resetting', device: accelerator({ resetting: 'it is being reset' }), evidence: /it is being reset$/ },
  { id: 'numa-unknown', device: withoutNumaOf(accelerator()), evidence: /is on no NUMA node, the machine has 2$/ },
  {
    id: 'pcie-link-degraded',
    device: accelerator({ pcieNow: { gtps: 8, width: 4 }, pcieBest: { gtps: 8, width: 8 } }),
    evidence: /runs at 8 GT\/s x4/,
  },
  {
    id: 'pcie-slot-limits',
    device: accelerator({ pcieSlot: { gtps: 8, width: 4 }, pcieBest: { gtps: 8, width: 8 } }),
    evidence: /the slot only 8 GT\/s x4$/,
  },
  {
    id: 'pcie-errors',
    device: accelerator({ pcieErrors: { correctable: 0, nonfatal: 0, fatal: 1 } }),
    evidence: /1 fatal/,
  },
  {
    id: 'firmware-pending',
    device: accelerator({ firmware: '4.1', firmwareStored: 'fw 4.2' }),
    evidence: /fw 4\.2 in its flash, 4\.1 runs$/,
  },
];

function withoutDriverOf<T extends Nic | Vf>(device: T): T {
  const { driver: _driver, ...rest } = device;
  return rest as T;
}

function withoutNumaOf(device: Nic): Nic {
  const { numaNode: _numaNode, ...rest } = device;
  return rest;
}

for (const { id, device, evidence } of OF_ACCELERATORS) {
  test(`${id} is told of accelerators, too`, () => {
    const node = { name: 'node-1', numaNodes: [0, 1], iommu: false };
    const found = findingsOf({
      inventory: inventoryOf({ node, nics: [], virtual: [], accelerators: [device] }),
      pools: {},
      owners: {},
    });
    assert.match(found.find((finding) => finding.id === id)?.evidence ?? '', evidence);
  });
}

function scalableNode(): Inventory {
  const parent = parsePciAddress('0000:10:00.0');
  const scalable = [1, 2, 3, 4, 5, 6].map((number) => ({
    name: `mlx5_core.sf.${number}`,
    sfnum: 80 + number,
    parent,
    ...(number === 6 ? {} : { driver: 'mlx5_core.sf' }),
  }));
  const { sriov: _sriov, ...card } = nic(parent, netdev('eth0', 2), [], { scalable });
  return inventoryOf({ nics: [card], virtual: [] });
}

test('sf-without-driver: a scalable function that nothing drives', () => {
  const found = findingsOf({ inventory: scalableNode(), pools: {}, owners: {} });
  assert.deepEqual(
    found.map(({ id, severity, evidence }) => [id, severity, evidence]),
    [['sf-without-driver', 'warning', 'eth0 (0000:10:00.0): SF 86 (mlx5_core.sf.6) without a driver']],
  );
});

test('sf-unselected: scalable functions that a pool is about and does not take', () => {
  const names = [1, 2, 3, 4, 5].map((number) => `mlx5_core.sf.${number}`);
  const found = findingsOf({
    inventory: scalableNode(),
    pools: { 'mlx5_core.sf.1': 'berth.dev/sf' },
    owners: { 'mlx5_core.sf.2': OWNER },
    unused: new Map(names.map((name) => [name, ['sfnum: not in 1-5']])),
  });
  const evidence = found.filter(({ id }) => id === 'sf-unselected').map((finding) => finding.evidence);
  assert.deepEqual(evidence, [
    'eth0 (0000:10:00.0): SFs 83 (mlx5_core.sf.3), 84 (mlx5_core.sf.4), 85 (mlx5_core.sf.5) in no pool (sfnum: not in 1-5)',
  ]);
});

test('a scalable function in a pod is not taken for one that is gone', () => {
  const owners = { 'mlx5_core.sf.2': OWNER, 'mlx5_core.sf.9': OWNER };
  const gone = findingsOf({ inventory: scalableNode(), pools: {}, owners }).filter(
    ({ id }) => id === 'device-gone-in-use',
  );
  assert.deepEqual(
    gone.map(({ subject }) => subject),
    ['mlx5_core.sf.9'],
  );
});

test('the worst comes first', async () => {
  const found = await find(
    one({ vfNetdev: { mtu: 9000 }, pcieErrors: { correctable: 0, nonfatal: 0, fatal: 1 }, driver: 'igb' }),
  );
  assert.deepEqual(
    found.map((finding) => finding.severity),
    ['error', 'warning', 'info'],
  );
});

test('every rule has a case, and ids are kebab-case and unique', () => {
  const ids = FINDING_RULES.map((rule) => rule.id);
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^[a-z]+(-[a-z]+)+$/);
  const covered = new Set([
    ...CASES.map((entry) => entry.id),
    ...['vfio-without-iommu', 'nic-resetting', 'sf-without-driver', 'sf-unselected'],
  ]);
  assert.deepEqual(
    ids.filter((id) => !covered.has(id)),
    [],
  );
});

test('VFs are named in ranges', () => {
  const vfs = [0, 1, 2, 4, 6, 7].map((index) => vf('0000:10:00.0', index));
  assert.equal(vfNames(vfs), 'VFs 0-2, 4, 6-7');
  assert.equal(vfNames(vfs.slice(3, 4)), 'VF 4');
});

test.run();
