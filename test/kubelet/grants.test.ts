/** What a device brings into a container, driver by driver and promise by promise. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import type { PoolFunction, VfPoolSpec } from '../../src/engine/pools/model.ts';
import type { NodeDevice } from '../../src/engine/pools/node-devices.ts';
import { grantOf } from '../../src/kubelet/grants.ts';
import { stableJson } from '../../src/kubelet/stable-json.ts';
import { away, nic, vf, vfSpec } from '../engine/pools/build.ts';
import { NODE_DEVICES } from './node.ts';

const given = (facts: Parameters<typeof vf>[1], driver = 'vfio-pci'): PoolFunction => ({
  pci: away(0, { driver, ...facts }),
  pf: nic('eth0'),
});

const vfioDevice = '/dev/vfio/devices/vfio3';
const rdma = {
  deviceNodes: { rdma: ['/dev/infiniband/uverbs1', '/dev/infiniband/rdma_cm'] },
  rdma: [{ name: 'mlx5_1' }],
};
/** A VF that is in a pod, and with it its RDMA device, which its PF shows that it had. */
const rdmaAway: PoolFunction = { pci: away(0, { driver: 'mlx5_core' }), pf: nic('eth0', [], rdma) };
const withIommufd: readonly NodeDevice[] = [...NODE_DEVICES, '/dev/iommu'];

const cases: readonly (readonly [
  string,
  { readonly spec?: Partial<VfPoolSpec>; readonly given: PoolFunction; readonly node?: readonly NodeDevice[] },
  readonly string[],
  object,
])[] = [
  ['a VF on its own driver brings nothing', { given: { pci: vf(0), pf: nic('eth0') } }, [], {}],
  [
    'vfio-pci: its group',
    { given: given({ deviceNodes: { vfio: '/dev/vfio/42' } }) },
    ['/dev/vfio/vfio', '/dev/vfio/42'],
    { vfio: { mount: '/dev/vfio/vfio', 'dev-mount': '/dev/vfio/42' } },
  ],
  [
    'vfio-pci without an IOMMU: the group that says so',
    { given: given({ deviceNodes: { vfio: '/dev/vfio/noiommu-3' } }) },
    ['/dev/vfio/vfio', '/dev/vfio/noiommu-3'],
    { vfio: { mount: '/dev/vfio/vfio', 'dev-mount': '/dev/vfio/noiommu-3' } },
  ],
  [
    'vfio-pci with iommufd: both ways',
    { given: given({ deviceNodes: { vfio: '/dev/vfio/42', vfioDevice } }), node: withIommufd },
    ['/dev/vfio/vfio', '/dev/vfio/42', vfioDevice, '/dev/iommu'],
    {
      vfio: {
        mount: '/dev/vfio/vfio',
        'dev-mount': '/dev/vfio/42',
        'cdev-mount': vfioDevice,
        'iommu-mount': '/dev/iommu',
      },
    },
  ],
  [
    "vfio-pci with iommufd in a pool of the SR-IOV network device plugin's file: its words only",
    {
      spec: { hyphens: 'kept' },
      given: given({ deviceNodes: { vfio: '/dev/vfio/42', vfioDevice } }),
      node: withIommufd,
    },
    ['/dev/vfio/vfio', '/dev/vfio/42', vfioDevice, '/dev/iommu'],
    { vfio: { mount: '/dev/vfio/vfio', 'dev-mount': '/dev/vfio/42' } },
  ],
  [
    'a vfio device of its own without iommufd is of no use',
    { given: given({ deviceNodes: { vfio: '/dev/vfio/42', vfioDevice } }) },
    ['/dev/vfio/vfio', '/dev/vfio/42'],
    { vfio: { mount: '/dev/vfio/vfio', 'dev-mount': '/dev/vfio/42' } },
  ],
  [
    'a kernel without vfio groups',
    { given: given({ deviceNodes: { vfio: '/dev/vfio/42', vfioDevice } }), node: ['/dev/iommu'] },
    [vfioDevice, '/dev/iommu'],
    { vfio: { 'cdev-mount': vfioDevice, 'iommu-mount': '/dev/iommu' } },
  ],
  [
    'uio',
    { given: given({ deviceNodes: { uio: '/dev/uio2' } }, 'uio_pci_generic') },
    ['/dev/uio2'],
    { uio: { mount: '/dev/uio2' } },
  ],
  [
    'RDMA that the pool promises',
    { spec: { selectors: [{ isRdma: true }] }, given: given(rdma, 'mlx5_core') },
    ['/dev/infiniband/uverbs1', '/dev/infiniband/rdma_cm'],
    { rdma: { uverbs: '/dev/infiniband/uverbs1', rdma_cm: '/dev/infiniband/rdma_cm', rdma_dev: 'mlx5_1' } },
  ],
  ['RDMA that nobody asked for', { given: given(rdma, 'mlx5_core') }, [], {}],
  [
    'vhost-net',
    { spec: { selectors: [{ needVhostNet: true }] }, given: { pci: vf(0), pf: nic('eth0') } },
    ['/dev/vhost-net', '/dev/net/tun'],
    { vhost: { 'net-mount': '/dev/vhost-net', 'tun-mount': '/dev/net/tun' } },
  ],
  [
    'vhost-vdpa',
    {
      spec: { selectors: [{ vdpaType: 'vhost' }] },
      given: given({ vdpa: [{ name: 'vdpa0', type: 'vhost', node: '/dev/vhost-vdpa-0' }] }, 'mlx5_core'),
    },
    ['/dev/vhost-vdpa-0'],
    { vdpa: { mount: '/dev/vhost-vdpa-0' } },
  ],
  [
    'virtio-vdpa has a netdev and no node',
    {
      spec: { selectors: [{ vdpaType: 'virtio' }] },
      given: given({ vdpa: [{ name: 'vdpa0', type: 'virtio' }] }, 'mlx5_core'),
    },
    [],
    {},
  ],
];
for (const [what, { spec = {}, given: device, node = NODE_DEVICES }, nodes, info] of cases) {
  test(what, () => {
    const grant = grantOf(vfSpec(spec), device, { has: (name) => node.includes(name) });
    assert.deepEqual({ nodes: grant.nodes, info: grant.info }, { nodes, info });
  });
}

const lacking: readonly (readonly [string, Partial<VfPoolSpec>, PoolFunction, RegExp])[] = [
  ['vfio-pci without a group', {}, given({}), /no group under \/dev\/vfio/],
  ['RDMA that is away', { selectors: [{ isRdma: true }] }, rdmaAway, /RDMA device is not on the node/],
  [
    'vhost-net without the module',
    { selectors: [{ needVhostNet: true }] },
    { pci: vf(0), pf: nic('eth0') },
    /the node has no \/dev\/vhost-net and no \/dev\/net\/tun/,
  ],
];
for (const [what, spec, device, message] of lacking) {
  test(`${what} is told, and not given in part`, () => {
    const grant = () => grantOf(vfSpec(spec), device, { has: () => false });
    assert.throws(grant, { reason: 'device-node-missing', message });
  });
}

const jsons: readonly (readonly [Parameters<typeof stableJson>[0], string])[] = [
  [{}, '{}'],
  [{ b: '1', a: { d: '2', c: '' } }, '{"a":{"c":"","d":"2"},"b":"1"}'],
  [{ Z: '1', a: '2', A: '3' }, '{"A":"3","Z":"1","a":"2"}'],
  [{ a: '<b>&"\\\u2028' }, '{"a":"\\u003cb\\u003e\\u0026\\"\\\\\\u2028"}'],
];
for (const [value, text] of jsons) {
  test(`JSON as Go writes it: ${text}`, () => {
    assert.equal(stableJson(value), text);
    assert.deepEqual(JSON.parse(text), value);
  });
}

test.run();
