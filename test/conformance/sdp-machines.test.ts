/**
 * The SR-IOV network device plugin's file on machines with RDMA, scalable functions, DDP packages,
 * vDPA devices and accelerators: which devices a resource has, and what a container gets for them.
 */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import { vfAddress } from '../trees/generate.ts';
import { machines } from '../trees/machines.ts';
import { devicesOf, give, inventoryOf, planOf } from './configured-node.ts';

const nodes = new Map<keyof typeof machines, Inventory>();
for (const name of Object.keys(machines) as (keyof typeof machines)[])
  nodes.set(name, await inventoryOf(machines[name]));
function on(machine: keyof typeof machines): Inventory {
  const inventory = nodes.get(machine);
  assert.ok(inventory);
  return inventory;
}

const document = (resource: object): object => ({ resourceList: [{ resourceName: 'r', ...resource }] });
const vf = (index: number): string => vfAddress('0000:41:00.0', index);
const iceVf = (index: number): string => vfAddress('0000:51:00.0', index);
const basebandVf = (index: number): string => vfAddress('0000:3b:00.0', index);
const FPGA = '0000:3c:00.0';
const [sf88, sf89, sf90] = ['mlx5_core.sf.2', 'mlx5_core.sf.3', 'mlx5_core.sf.10'];
const aux = (selector: object): object => ({
  deviceType: 'auxNetDevice',
  selectors: { auxTypes: ['sf'], ...selector },
});
const accelerator = (selectors: object): object => ({ deviceType: 'accelerator', selectors });

const tables: readonly (readonly [keyof typeof machines, string, object, readonly string[]])[] = [
  [
    'connectx',
    'isRdma: those that have one, and the VF whose device is in a pod',
    { selectors: { isRdma: true } },
    [0, 1, 2, 3].map(vf),
  ],
  ['infiniband', 'pKeys: the default key counts', { selectors: { pKeys: ['0x8001'] } }, [vf(0)]],
  ['infiniband', 'pKeys: 0x1 and 0x0001 are one key', { selectors: { pKeys: ['0x1'] } }, [vf(1)]],
  ['infiniband', 'pKeys: any of a list', { selectors: { pKeys: ['0x0001', '0x7FFF'] } }, [vf(1), vf(2)]],
  ['infiniband', 'linkTypes of VFs on InfiniBand', { selectors: { linkTypes: ['infiniband'] } }, [0, 1, 2].map(vf)],
  ['connectx', 'pKeys: Ethernet has none', { selectors: { pKeys: ['0x7fff'] } }, []],
  [
    'ice',
    'ddpProfiles of the PF are those of its VFs',
    { selectors: { ddpProfiles: ['ICE COMMS Package'] } },
    [0, 1].map(iceVf),
  ],
  [
    'ice',
    'ddpProfiles of a NIC that is given away whole',
    { selectors: { ddpProfiles: ['ICE OS Default Package'] } },
    ['0000:51:00.1'],
  ],
  ['ice', 'ddpProfiles that nothing has loaded', { selectors: { ddpProfiles: ['ICE Wireless Edge Package'] } }, []],
  ['connectx', 'ddpProfiles where no driver has packages', { selectors: { ddpProfiles: ['ICE COMMS Package'] } }, []],
  ['vdpa', 'vdpaType vhost', { selectors: { vdpaType: 'vhost' } }, [vf(0)]],
  ['vdpa', 'vdpaType virtio', { selectors: { vdpaType: 'virtio' } }, [vf(1)]],
  ['vdpa', 'no vdpaType asks for nothing', { selectors: { vdpaType: '' } }, [0, 1, 2, 3].map(vf)],
  ['vdpa', 'needVhostNet selects nothing by itself', { selectors: { needVhostNet: true } }, [0, 1, 2, 3].map(vf)],
  ['scalable', 'auxNetDevice: all scalable functions that have a driver', aux({}), [sf88, sf89, sf90]],
  [
    'scalable',
    'auxNetDevice, vendors of the function below which they lie',
    aux({ vendors: ['15b3'], devices: ['1021'] }),
    [sf88, sf89, sf90],
  ],
  ['scalable', 'auxNetDevice, other vendors', aux({ vendors: ['8086'] }), []],
  ['scalable', 'auxNetDevice, drivers of that function', aux({ drivers: ['mlx5_core'] }), [sf88, sf89, sf90]],
  ['scalable', 'auxNetDevice, pfNames', aux({ pfNames: ['enp8s0f0np0'] }), [sf88, sf89, sf90]],
  ['scalable', 'auxNetDevice, pfNames with numbers', aux({ pfNames: ['enp8s0f0np0#89-90'] }), [sf89, sf90]],
  ['scalable', 'auxNetDevice, rootDevices', aux({ rootDevices: ['0000:08:00.0#88'] }), [sf88]],
  ['scalable', 'auxNetDevice, linkTypes', aux({ linkTypes: ['ether'] }), [sf88, sf89, sf90]],
  ['scalable', 'auxNetDevice, isRdma', aux({ isRdma: true }), [sf89]],
  ['scalable', 'netDevice has no scalable functions', { selectors: {} }, ['0000:08:00.0']],
  [
    'accelerators',
    'accelerator: class 12 with a driver, VFs instead of their PF',
    accelerator({}),
    [basebandVf(0), basebandVf(1), FPGA],
  ],
  ['accelerators', 'accelerator, vendors and devices', accelerator({ vendors: ['10ee'], devices: ['5005'] }), [FPGA]],
  ['accelerators', 'accelerator, drivers', accelerator({ drivers: ['vfio-pci'] }), [basebandVf(0), basebandVf(1)]],
  ['accelerators', 'accelerator, pciAddresses', accelerator({ pciAddresses: [basebandVf(1)] }), [basebandVf(1)]],
  ['accelerators', 'accelerator, of another class', accelerator({ drivers: ['igb_uio'] }), []],
  ['accelerators', 'netDevice has no accelerators', { selectors: {} }, ['0000:b3:00.0']],
];
for (const [machine, what, resource, expected] of tables) {
  test(`${machines[machine].what}: ${what}`, () => {
    assert.deepEqual(devicesOf(document(resource), on(machine)), { 'intel.com/r': expected });
  });
}

test('resources of three types on one machine have nothing in common', () => {
  const resourceList = [
    { resourceName: 'sf', ...aux({}) },
    { resourceName: 'nic', selectors: {} },
    { resourceName: 'fpga', ...accelerator({}) },
  ];
  assert.deepEqual(devicesOf({ resourceList }, on('scalable')), {
    'intel.com/sf': [sf88, sf89, sf90],
    'intel.com/nic': ['0000:08:00.0'],
    'intel.com/fpga': [],
  });
});

test('devices of a type that a resource is about say why they are in none', () => {
  const reasons = ({ unused }: ReturnType<typeof planOf>) =>
    Object.fromEntries(unused.map(({ address, scalable, reasons: why }) => [scalable ?? address, why]));
  const scalable = reasons(planOf(document(aux({ isRdma: true })), on('scalable')));
  assert.deepEqual(scalable['mlx5_core.sf.2'], ['intel.com/r: isRdma: it has no RDMA device']);
  assert.deepEqual(scalable['mlx5_core.sf.11'], ['intel.com/r: no driver is bound to it']);
  const accelerators = reasons(planOf(document(accelerator({})), on('accelerators')));
  assert.deepEqual(accelerators['0000:3b:00.0'], [
    'intel.com/r: 0000:3b:00.0 has 2 VFs, which can be in the pool instead of it',
  ]);
  assert.deepEqual(accelerators['0000:b1:00.0'], [
    'intel.com/r: 0000:b1:00.0 has 2 VFs, which can be in the pool instead of it',
  ]);
  assert.deepEqual(accelerators['0000:3d:00.0'], ['intel.com/r: no driver is bound to it']);
});

const RDMA_CM = '/dev/infiniband/rdma_cm rw';
const rdmaNodes = (number: number): readonly string[] => [
  ...['issm', 'umad', 'uverbs'].map((kind) => `/dev/infiniband/${kind}${number} rw`),
  RDMA_CM,
];
const rdmaInfo = (name: string, number: number): object => ({
  issm: `/dev/infiniband/issm${number}`,
  rdma_cm: '/dev/infiniband/rdma_cm',
  rdma_dev: name,
  umad: `/dev/infiniband/umad${number}`,
  uverbs: `/dev/infiniband/uverbs${number}`,
});
const file = (id: string): string => `intel.com-r-${id}-device.json`;
const pciFile = (facts: object): object => ({ type: 'pci', version: '1.1.0', pci: facts });
const group = (address: string): string => {
  const found = on('accelerators')
    .accelerators?.flatMap((one) => [one, ...one.vfs])
    .find((one) => one.address === address);
  return `/dev/vfio/${found?.iommuGroup}`;
};

interface Expected {
  readonly info: Readonly<Record<string, object>>;
  readonly nodes: readonly string[];
  readonly files: Readonly<Record<string, object>>;
}
const containers: readonly (readonly [keyof typeof machines, string, object, readonly string[], Expected])[] = [
  [
    'connectx',
    'a VF with RDMA: its device by name, and its character devices',
    { selectors: { isRdma: true } },
    [vf(1)],
    {
      info: { [vf(1)]: { rdma: rdmaInfo('mlx5_2', 2) } },
      nodes: rdmaNodes(2),
      files: {
        [file(vf(1))]: pciFile({ 'pci-address': vf(1), 'pf-pci-address': '0000:41:00.0', 'rdma-device': 'mlx5_2' }),
      },
    },
  ],
  [
    'connectx',
    'two VFs with RDMA: the connection manager once',
    { selectors: { isRdma: true } },
    [vf(0), vf(1)],
    {
      info: { [vf(0)]: { rdma: rdmaInfo('mlx5_1', 1) }, [vf(1)]: { rdma: rdmaInfo('mlx5_2', 2) } },
      nodes: [...rdmaNodes(1), ...rdmaNodes(2).filter((node) => node !== RDMA_CM)],
      files: {
        [file(vf(0))]: pciFile({ 'pci-address': vf(0), 'pf-pci-address': '0000:41:00.0', 'rdma-device': 'mlx5_1' }),
        [file(vf(1))]: pciFile({ 'pci-address': vf(1), 'pf-pci-address': '0000:41:00.0', 'rdma-device': 'mlx5_2' }),
      },
    },
  ],
  [
    'vdpa',
    'a VF with a vDPA device for virtual machines',
    { selectors: { vdpaType: 'vhost' } },
    [vf(0)],
    {
      info: { [vf(0)]: { vdpa: { mount: '/dev/vhost-vdpa-0' } } },
      nodes: ['/dev/vhost-vdpa-0 rw'],
      files: {
        [file(vf(0))]: {
          type: 'vdpa',
          version: '1.1.0',
          vdpa: {
            'parent-device': 'vdpa0',
            driver: 'vhost',
            path: '/dev/vhost-vdpa-0',
            'pci-address': vf(0),
            'pf-pci-address': '0000:41:00.0',
          },
        },
      },
    },
  ],
  [
    'vdpa',
    'a VF with a vDPA device for the kernel',
    { selectors: { vdpaType: 'virtio' } },
    [vf(1)],
    {
      info: { [vf(1)]: {} },
      nodes: [],
      files: {
        [file(vf(1))]: {
          type: 'vdpa',
          version: '1.1.0',
          vdpa: { 'parent-device': 'vdpa1', driver: 'virtio', 'pci-address': vf(1), 'pf-pci-address': '0000:41:00.0' },
        },
      },
    },
  ],
  [
    'vdpa',
    'a VF with vhost-net',
    { selectors: { needVhostNet: true, pfNames: ['enp65s0f0np0#3'] } },
    [vf(3)],
    {
      info: { [vf(3)]: { vhost: { 'net-mount': '/dev/vhost-net', 'tun-mount': '/dev/net/tun' } } },
      nodes: ['/dev/vhost-net rw', '/dev/net/tun rw'],
      files: {
        [file(vf(3))]: pciFile({
          'pci-address': vf(3),
          'pf-pci-address': '0000:41:00.0',
          'vhost-net': '/dev/vhost-net',
        }),
      },
    },
  ],
  [
    'scalable',
    'a scalable function with RDMA and additional information by the address of its PF',
    { ...aux({ isRdma: true }), additionalInfo: { '0000:08:00.0': { rail: '1' } } },
    [sf89],
    { info: { [sf89]: { rdma: rdmaInfo('mlx5_7', 7), extra: { rail: '1' } } }, nodes: rdmaNodes(7), files: {} },
  ],
  ['scalable', 'a scalable function that is in a pod', aux({}), [sf90], { info: { [sf90]: {} }, nodes: [], files: {} }],
  [
    'accelerators',
    'an accelerator on vfio-pci, by its group as the plugin has it',
    accelerator({}),
    [basebandVf(0)],
    {
      info: { [basebandVf(0)]: { vfio: { 'dev-mount': group(basebandVf(0)), mount: '/dev/vfio/vfio' } } },
      nodes: ['/dev/vfio/vfio rw', `${group(basebandVf(0))} rw`],
      files: { [file(basebandVf(0))]: pciFile({ 'pci-address': basebandVf(0), 'pf-pci-address': '0000:3b:00.0' }) },
    },
  ],
];
for (const [machine, what, resource, ids, expected] of containers) {
  test(`${machines[machine].what}: a container gets ${what}`, () => {
    const { envs, nodes: given, files } = give(document(resource), on(machine), ids);
    assert.equal(envs.PCIDEVICE_INTEL_COM_R, ids.join(','));
    const info = Object.fromEntries(ids.map((id) => [id, { generic: { deviceID: id }, ...expected.info[id] }]));
    assert.deepEqual(JSON.parse(envs.PCIDEVICE_INTEL_COM_R_INFO ?? ''), info);
    assert.deepEqual(given, expected.nodes);
    assert.deepEqual(files, expected.files);
  });
}

test('an RDMA device that is in another pod refuses a container, for it could not use the function', () => {
  assert.throws(
    () => give(document({ selectors: { isRdma: true } }), on('connectx'), [vf(2)]),
    (error: unknown) => error instanceof Error && 'reason' in error && error.reason === 'device-node-missing',
  );
});

test.run();
