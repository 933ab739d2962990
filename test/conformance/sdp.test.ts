/**
 * What users of the SR-IOV network device plugin have: its configuration document, field by field
 * and selector by selector, and what containers get for it on one made-up node.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import { parseConfig } from '../../src/config/index.ts';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { evaluate } from '../../src/engine/pools/evaluate.ts';
import { explain } from '../../src/engine/pools/explain.ts';
import { createPoolSet } from '../../src/engine/pools/pool-set.ts';
import { parsePciAddress } from '../../src/engine/values.ts';
import { allocateContainer, resolveDevices } from '../../src/kubelet/allocate.ts';
import { createDeviceInfoFolder } from '../../src/kubelet/device-info.ts';
import { createNodeReader } from '../../src/linux/node-reader.ts';
import type { TreeSpec } from '../trees/generate.ts';
import { withTree } from '../trees/temporary.ts';

const INTEL_PF = '0000:10:00.0';
const intelVf = (index: number): string => `0000:10:02.${index}`;
const MLX_PF = '0000:91:00.0';
const mlxVf = (index: number): string => `0000:91:02.${index}`;
const PF_WITHOUT_VFS = '0000:12:00.0';
const NIC_WITHOUT_SRIOV = '0000:93:00.0';
const INFINIBAND = '0000:14:00.0';
const VIRTIO_VF = '0000:97:02.0';
const MANAGEMENT = '0000:16:00.0';
const UNBOUND = '0000:98:00.0';

const spec: TreeSpec = {
  numaNodes: 2,
  pfs: [
    { address: INTEL_PF, ifname: 'eth0', vfs: 8, vfDrivers: { 5: null, 6: 'vfio-pci', 7: 'vfio-pci' } },
    {
      address: MLX_PF,
      ifname: 'eth1',
      vendor: '15b3',
      device: '1017',
      driver: 'mlx5_core',
      vfs: 4,
      vfDevice: '1018',
      vfDriver: 'mlx5_core',
    },
    { address: PF_WITHOUT_VFS, ifname: 'eth2', numaNode: 0, netdev: { up: false } },
    { address: NIC_WITHOUT_SRIOV, ifname: 'eth3', device: '1533', driver: 'igb', totalVfs: 0, numaNode: 1 },
    { address: INFINIBAND, ifname: 'ib0', class: '020700', driver: 'mlx5_core', netdev: { type: 32 }, totalVfs: 0 },
    {
      address: '0000:97:00.0',
      ifname: 'eth5',
      vendor: '1af4',
      device: '1041',
      driver: 'virtio-pci',
      vfs: 1,
      vfDevice: '1041',
      vfDriver: 'virtio-pci',
      layout: 'virtio',
    },
    { address: MANAGEMENT, ifname: 'eth6', numaNode: 0, totalVfs: 0, netdev: { master: 'bond0' } },
    { address: UNBOUND, ifname: null, numaNode: 1, driver: null, totalVfs: 0 },
  ],
  virtual: [{ ifname: 'bond0', devtype: 'bond' }],
};

/** What the generator has no words for: an ACPI index, and RDMA devices of the first two Mellanox VFs. */
function furnish(dir: string): void {
  const device = (address: string): string => join(dir, 'sys/bus/pci/devices', address);
  writeFileSync(join(device(NIC_WITHOUT_SRIOV), 'acpi_index'), '5\n');
  mkdirSync(join(dir, 'sys/class/infiniband/mlx5_0'), { recursive: true });
  for (const index of [0, 1]) {
    mkdirSync(join(device(mlxVf(index)), `infiniband_verbs/uverbs${index}`), { recursive: true });
    mkdirSync(join(device(mlxVf(index)), `infiniband_mad/umad${index}`), { recursive: true });
    mkdirSync(join(device(mlxVf(index)), `infiniband_mad/issm${index}`), { recursive: true });
  }
}

async function readNode(): Promise<Inventory> {
  let inventory: Inventory | undefined;
  await withTree(spec, async ({ dir }) => {
    furnish(dir);
    inventory = await createNodeReader({ root: dir }).read();
  });
  assert.ok(inventory);
  return inventory;
}
const node = await readNode();

const ALL_INTEL_VFS = [0, 1, 2, 3, 4, 6, 7].map(intelVf);
const ALL_MLX_VFS = [0, 1, 2, 3].map(mlxVf);
/** Every function that is a candidate: not PFs with VFs, not what carries the node, not what has no driver. */
const ALL = [...ALL_INTEL_VFS, PF_WITHOUT_VFS, INFINIBAND, ...ALL_MLX_VFS, NIC_WITHOUT_SRIOV, VIRTIO_VF];

function load(resources: readonly object[], prefix?: string) {
  const text = JSON.stringify({ resourceList: resources }, undefined, 2);
  const options = prefix === undefined ? {} : { resourcePrefix: prefix };
  const { config, problems } = parseConfig(text, 'config.json', options);
  assert.deepEqual(problems, []);
  assert.ok(config);
  return config;
}

function devicesOf(resources: readonly object[], prefix?: string): Readonly<Record<string, readonly string[]>> {
  const plan = evaluate(load(resources, prefix).pools, {
    inventory: node,
    heldDevices: new Map(),
    uplinkUse: new Map(),
  });
  return Object.fromEntries(
    plan.pools.map(({ spec: { resource }, devices }) => [resource, devices.map(({ id }) => id)]),
  );
}

const selectors: readonly (readonly [string, object | readonly object[], readonly string[]])[] = [
  ['an empty selector selects every candidate', {}, ALL],
  ['vendors', { vendors: ['15b3'] }, ALL_MLX_VFS],
  ['vendors, any of a list', { vendors: ['15b3', '1af4'] }, [...ALL_MLX_VFS, VIRTIO_VF]],
  ['devices', { devices: ['154c'] }, ALL_INTEL_VFS],
  ['devices in upper case', { devices: ['154C'] }, ALL_INTEL_VFS],
  ['drivers', { drivers: ['vfio-pci'] }, [6, 7].map(intelVf)],
  ['drivers of plain NICs', { drivers: ['igb'] }, [NIC_WITHOUT_SRIOV]],
  ['pciAddresses', { pciAddresses: [intelVf(3), NIC_WITHOUT_SRIOV] }, [intelVf(3), NIC_WITHOUT_SRIOV]],
  ['pciAddresses of a PF with VFs', { pciAddresses: [INTEL_PF] }, []],
  ['pciAddresses of a NIC that carries the node', { pciAddresses: [MANAGEMENT] }, []],
  ['pciAddresses of a NIC without driver', { pciAddresses: [UNBOUND] }, []],
  ['acpiIndexes', { acpiIndexes: ['4', '5'] }, [NIC_WITHOUT_SRIOV]],
  ['pfNames', { pfNames: ['eth0'] }, ALL_INTEL_VFS],
  ['pfNames with a range', { pfNames: ['eth0#0,2-4,6'] }, [0, 2, 3, 4, 6].map(intelVf)],
  ['pfNames of two PFs', { pfNames: ['eth0#1', 'eth1#3-3'] }, [intelVf(1), mlxVf(3)]],
  ['pfNames of one PF twice', { pfNames: ['eth1#0', 'eth1#3'] }, [mlxVf(0), mlxVf(3)]],
  ['pfNames of a PF whose netdev lies deeper', { pfNames: ['eth5'] }, [VIRTIO_VF]],
  ['pfNames never match the PF or NIC itself', { pfNames: ['eth2', 'eth3'] }, []],
  ['rootDevices', { rootDevices: [MLX_PF] }, ALL_MLX_VFS],
  ['rootDevices with a range', { rootDevices: [`${MLX_PF}#1-2`] }, [1, 2].map(mlxVf)],
  ['rootDevices never match the NIC itself', { rootDevices: [NIC_WITHOUT_SRIOV] }, []],
  ['linkTypes', { linkTypes: ['infiniband'] }, [INFINIBAND]],
  [
    'linkTypes leave out what has no network device',
    { linkTypes: ['ether'], pfNames: ['eth0'] },
    [0, 1, 2, 3, 4].map(intelVf),
  ],
  ['isRdma', { isRdma: true }, [0, 1].map(mlxVf)],
  ['isRdma: false asks for nothing', { isRdma: false, vendors: ['15b3'] }, ALL_MLX_VFS],
  ['all fields of a selector', { vendors: ['8086'], drivers: ['vfio-pci'], pfNames: ['eth0#0-6'] }, [intelVf(6)]],
  ['a list of selectors', [{ pfNames: ['eth0#0'] }, { isRdma: true }], [intelVf(0), mlxVf(0), mlxVf(1)]],
  ['empty lists, texts and nulls ask for nothing', { vendors: [], drivers: null, vdpaType: '', pKeys: [] }, ALL],
  ['needVhostNet: false', { needVhostNet: false, drivers: ['igb'] }, [NIC_WITHOUT_SRIOV]],
];
for (const [what, selector, expected] of selectors) {
  test(`selectors, ${what}: ${JSON.stringify(selector)}`, () => {
    assert.deepEqual(devicesOf([{ resourceName: 'r', selectors: selector }]), { 'intel.com/r': expected });
  });
}

const mlx = { vendors: ['15b3'] };
const fields: readonly (readonly [string, readonly object[], string | undefined, object])[] = [
  ['the default prefix', [{ resourceName: 'r', selectors: mlx }], undefined, { 'intel.com/r': ALL_MLX_VFS }],
  ['the prefix of the option', [{ resourceName: 'r', selectors: mlx }], 'a.example', { 'a.example/r': ALL_MLX_VFS }],
  [
    'a prefix of its own',
    [{ resourceName: 'r', resourcePrefix: 'b.example', selectors: mlx }],
    'a.example',
    { 'b.example/r': ALL_MLX_VFS },
  ],
  [
    'an empty prefix',
    [{ resourceName: 'r', resourcePrefix: '', selectors: mlx }],
    undefined,
    { 'intel.com/r': ALL_MLX_VFS },
  ],
  [
    'netDevice',
    [{ resourceName: 'r', deviceType: 'netDevice', selectors: mlx }],
    undefined,
    { 'intel.com/r': ALL_MLX_VFS },
  ],
  ['an empty type', [{ resourceName: 'r', deviceType: '', selectors: mlx }], undefined, { 'intel.com/r': ALL_MLX_VFS }],
  [
    'the first resource that matches takes the device',
    [
      { resourceName: 'first', selectors: { pfNames: ['eth1#0-1'] } },
      { resourceName: 'second', selectors: mlx },
    ],
    undefined,
    { 'intel.com/first': [0, 1].map(mlxVf), 'intel.com/second': [2, 3].map(mlxVf) },
  ],
  [
    'one name under two prefixes',
    [
      { resourceName: 'r', resourcePrefix: 'a.example', selectors: { pfNames: ['eth1#0'] } },
      { resourceName: 'r', resourcePrefix: 'b.example', selectors: { pfNames: ['eth1#1'] } },
    ],
    undefined,
    { 'a.example/r': [mlxVf(0)], 'b.example/r': [mlxVf(1)] },
  ],
  [
    'names that differ in "-" and "_"',
    [
      { resourceName: 'a-b', selectors: { pfNames: ['eth1#0'] } },
      { resourceName: 'a_b', selectors: { pfNames: ['eth1#1'] } },
    ],
    undefined,
    { 'intel.com/a-b': [mlxVf(0)], 'intel.com/a_b': [mlxVf(1)] },
  ],
  ['an empty list', [], undefined, {}],
];
for (const [what, resources, prefix, expected] of fields) {
  test(`fields: ${what}`, () => assert.deepEqual(devicesOf(resources, prefix), expected));
}

test('the same document in YAML gives the same pools', () => {
  const yaml = `resourceList:
- resourceName: r
  selectors: {pfNames: ["eth0#0-1"]}
- resourceName: s
  excludeTopology: true
  selectors:
  - vendors: ["15b3"]
`;
  const { config, problems } = parseConfig(yaml, 'f');
  assert.deepEqual(problems, []);
  const json = load([
    { resourceName: 'r', selectors: { pfNames: ['eth0#0-1'] } },
    { resourceName: 's', excludeTopology: true, selectors: [{ vendors: ['15b3'] }] },
  ]);
  const withoutOrigin = (pools: readonly object[] = []) => pools.map((pool) => ({ ...pool, origin: '' }));
  assert.deepEqual(withoutOrigin(config?.pools), withoutOrigin(json.pools));
  assert.deepEqual(
    config?.pools.map(({ excludeTopology, origin }) => [excludeTopology, origin]),
    [
      [false, 'f:2'],
      [true, 'f:4'],
    ],
  );
});

test('a device that is in no resource says why', () => {
  const { pools } = load([{ resourceName: 'r', selectors: [{ pfNames: ['eth0#0-3'] }, { vendors: ['15b3'] }] }]);
  const context = { inventory: node, heldDevices: new Map(), uplinkUse: new Map() };
  const verdict = (name: string) => explain(pools, context, name)?.verdicts[0]?.why;
  assert.equal(verdict(intelVf(4)), 'pfNames: VF 4 is not in eth0#0-3; and vendors: 8086 is not in [15b3]');
  assert.equal(verdict('eth0'), 'eth0 has 8 VFs, which can be in the pool instead of it');
  assert.equal(verdict('eth6'), 'the node uses it: eth6 is a member of bond0');
  assert.equal(verdict(UNBOUND), 'no driver is bound to it');
});

function allocate(resource: object, ids: readonly string[]) {
  const pools = createPoolSet({ specs: load([resource]).pools, inventory: node, log: silentLogger });
  const [state] = pools.plan().pools;
  pools.stop();
  assert.ok(state);
  const { envs, devices } = allocateContainer(state, resolveDevices(pools, state, ids, { has: () => true }));
  return { envs, nodes: devices.map(({ hostPath, permissions }) => `${hostPath} ${permissions}`) };
}

const vfioGroup = (index: number): string => {
  const vf = node.nics.find(({ address }) => address === INTEL_PF)?.vfs[index];
  return `/dev/vfio/${vf?.iommuGroup}`;
};
const generic = (id: string, rest: object = {}) => ({ [id]: { generic: { deviceID: id }, ...rest } });
const containers: readonly (readonly [string, object, readonly string[], Record<string, string>, readonly string[]])[] =
  [
    [
      'two VFs',
      { resourceName: 'intel_sriov_netdevice', selectors: {} },
      [intelVf(1), intelVf(0)],
      {
        PCIDEVICE_INTEL_COM_INTEL_SRIOV_NETDEVICE: `${intelVf(0)},${intelVf(1)}`,
        PCIDEVICE_INTEL_COM_INTEL_SRIOV_NETDEVICE_INFO: JSON.stringify({
          ...generic(intelVf(0)),
          ...generic(intelVf(1)),
        }),
      },
      [],
    ],
    [
      'a plain NIC; a "-" of the name stays and is not doubled',
      { resourceName: 'my-nic', resourcePrefix: 'a-b.example', selectors: {} },
      [NIC_WITHOUT_SRIOV],
      {
        'PCIDEVICE_A-B_EXAMPLE_MY-NIC': NIC_WITHOUT_SRIOV,
        'PCIDEVICE_A-B_EXAMPLE_MY-NIC_INFO': JSON.stringify(generic(NIC_WITHOUT_SRIOV)),
      },
      [],
    ],
    [
      'a VF on vfio-pci',
      { resourceName: 'dpdk', selectors: { drivers: ['vfio-pci'] } },
      [intelVf(6)],
      {
        PCIDEVICE_INTEL_COM_DPDK: intelVf(6),
        PCIDEVICE_INTEL_COM_DPDK_INFO: JSON.stringify(
          generic(intelVf(6), { vfio: { 'dev-mount': vfioGroup(6), mount: '/dev/vfio/vfio' } }),
        ),
      },
      ['/dev/vfio/vfio rw', `${vfioGroup(6)} rw`],
    ],
    [
      'a VF with RDMA',
      { resourceName: 'rdma', selectors: { isRdma: true } },
      [mlxVf(1)],
      {
        PCIDEVICE_INTEL_COM_RDMA: mlxVf(1),
        PCIDEVICE_INTEL_COM_RDMA_INFO: JSON.stringify(
          generic(mlxVf(1), {
            rdma: {
              issm: '/dev/infiniband/issm1',
              rdma_cm: '/dev/infiniband/rdma_cm',
              umad: '/dev/infiniband/umad1',
              uverbs: '/dev/infiniband/uverbs1',
            },
          }),
        ),
      },
      ['issm1', 'umad1', 'uverbs1', 'rdma_cm'].map((name) => `/dev/infiniband/${name} rw`),
    ],
    [
      'a VF with RDMA that was not asked for',
      { resourceName: 'plain', selectors: mlx },
      [mlxVf(1)],
      {
        PCIDEVICE_INTEL_COM_PLAIN: mlxVf(1),
        PCIDEVICE_INTEL_COM_PLAIN_INFO: JSON.stringify(generic(mlxVf(1))),
      },
      [],
    ],
    [
      'additional information, where the address wins',
      {
        resourceName: 'r',
        selectors: {},
        additionalInfo: { '*': { token: 'all', site: 'north' }, [intelVf(0)]: { token: 'one' } },
      },
      [intelVf(0), intelVf(1)],
      {
        PCIDEVICE_INTEL_COM_R: `${intelVf(0)},${intelVf(1)}`,
        PCIDEVICE_INTEL_COM_R_INFO: JSON.stringify({
          [intelVf(0)]: { extra: { site: 'north', token: 'one' }, generic: { deviceID: intelVf(0) } },
          [intelVf(1)]: { extra: { site: 'north', token: 'all' }, generic: { deviceID: intelVf(1) } },
        }),
      },
      [],
    ],
  ];
for (const [what, resource, ids, envs, nodes] of containers) {
  test(`a container gets ${what}`, () => assert.deepEqual(allocate(resource, ids), { envs, nodes }));
}

for (const [what, id, pci] of [
  ['a VF', intelVf(0), { 'pci-address': intelVf(0), 'pf-pci-address': INTEL_PF }],
  ['a plain NIC', NIC_WITHOUT_SRIOV, { 'pci-address': NIC_WITHOUT_SRIOV }],
] as const) {
  test(`the device-info file of ${what}`, async () => {
    const root = mkdtempSync(join(tmpdir(), 'berth-'));
    const { pools } = load([{ resourceName: 'r', selectors: {} }]);
    const set = createPoolSet({ specs: pools, inventory: node, log: silentLogger });
    const given = set.functionAt(parsePciAddress(id));
    set.stop();
    assert.ok(given);
    await createDeviceInfoFolder(root, silentLogger).write('intel.com/r', given);
    const text = readFileSync(join(root, 'dp', `intel.com-r-${id}-device.json`), 'utf8');
    assert.deepEqual(JSON.parse(text), { type: 'pci', version: '1.1.0', pci });
    rmSync(root, { recursive: true });
  });
}

test.run();
