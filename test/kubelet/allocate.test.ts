import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import { silentLogger } from '../../src/engine/logger.ts';
import { NO_HOLDS } from '../../src/engine/pools/holds.ts';
import type { PoolFunction } from '../../src/engine/pools/model.ts';
import { parseIfName, parsePciAddress } from '../../src/engine/values.ts';
import { createDeviceInfoFolder } from '../../src/kubelet/device-info.ts';
import { environmentOf, variableName } from '../../src/kubelet/environment.ts';
import type { Grant } from '../../src/kubelet/grants.ts';
import { createPodResources } from '../../src/kubelet/index.ts';
import { away, inventory, nic, slotSpec, vf, vfio, vfSpec } from '../engine/pools/build.ts';
import { eventually } from '../standins/eventually.ts';
import { AdmissionError } from '../standins/kubelet/index.ts';
import { fourVfs, pod, RESOURCE, type TestNode, testNode } from './node.ts';

async function withNode(
  options: Parameters<typeof testNode>[0],
  body: (node: TestNode) => Promise<void>,
): Promise<void> {
  const node = await testNode(options);
  try {
    await node.frontEnd().start();
    await body(node);
  } finally {
    await node.close();
  }
}

const variables: readonly (readonly [string, string])[] = [
  ['berth.dev/vf', 'PCIDEVICE_BERTH_DEV_VF'],
  ['berth.dev/vf-vfio', 'PCIDEVICE_BERTH_DEV_VF-VFIO'],
  ['intel.com/intel_sriov.netdevice', 'PCIDEVICE_INTEL_COM_INTEL_SRIOV_NETDEVICE'],
];
for (const [resource, expected] of variables) {
  test(`the variable of ${resource} is ${expected}`, () => assert.equal(variableName(resource), expected));
}

test('a VF is given as its address, with information as JSON', async () => {
  await withNode({}, async (node) => {
    await node.allocatable(4);
    const { containers } = await node.kubelet.admit(pod('p1', 2));
    assert.deepEqual(containers[0]?.envs, {
      PCIDEVICE_RIG_EXAMPLE_VF: '0000:41:10.0,0000:41:10.1',
      PCIDEVICE_RIG_EXAMPLE_VF_INFO: JSON.stringify({
        '0000:41:10.0': { generic: { deviceID: '0000:41:10.0' } },
        '0000:41:10.1': { generic: { deviceID: '0000:41:10.1' } },
      }),
    });
    assert.deepEqual(containers[0]?.deviceNodes, []);
  });
});

test('a VF on vfio-pci is given with its group and the container device', async () => {
  await withNode({}, async (node) => {
    node.pools.update({ inventory: inventory([nic('eth0', [vfio(0), vfio(1), vfio(2, 'noiommu-3')])]) });
    await node.allocatable(3);
    const { containers } = await node.kubelet.admit(pod('p1', 3));
    const nodes = containers[0]?.deviceNodes.toSorted((a, b) => a.path.localeCompare(b.path));
    assert.deepEqual(
      nodes,
      ['/dev/vfio/42', '/dev/vfio/noiommu-3', '/dev/vfio/vfio'].map((path) => ({ path, permissions: 'rw' })),
    );
    const info = JSON.parse(containers[0]?.envs.PCIDEVICE_RIG_EXAMPLE_VF_INFO ?? '');
    assert.deepEqual(info['0000:41:10.0'], {
      generic: { deviceID: '0000:41:10.0' },
      vfio: { 'dev-mount': '/dev/vfio/42', mount: '/dev/vfio/vfio' },
    });
  });
});

test('a VF on vfio-pci without a group rejects the pod, with the remedy', async () => {
  await withNode({}, async (node) => {
    node.pools.update({ inventory: inventory([nic('eth0', [away(0, { driver: 'vfio-pci' })])]) });
    await node.allocatable(1);
    await assert.rejects(
      node.kubelet.admit(pod('p1', 1)),
      (error) =>
        error instanceof AdmissionError &&
        /FailedPrecondition .* has no group under \/dev\/vfio; Enable the IOMMU/.test(error.message),
    );
  });
});

test('slots are given by their ids, without JSON or device nodes', async () => {
  const resource = 'rig.example/macvlan';
  await withNode({ specs: [slotSpec('macvlan', { resource })] }, async (node) => {
    await node.allocatable(2, resource);
    const { containers } = await node.kubelet.admit(pod('p1', 2, resource));
    assert.deepEqual(containers[0]?.envs, { PCIDEVICE_RIG_EXAMPLE_MACVLAN: 'eth0-0,eth0-1' });
    assert.deepEqual(containers[0]?.deviceNodes, []);
  });
});

test('information of the configuration is under extra, the address before the star', () => {
  const spec = vfSpec({ additionalInfo: { '*': { a: '1', b: '1' }, '0000:41:10.0': { b: '2' } } });
  const envs = environmentOf(spec, [{ id: '0000:41:10.0' }, { id: '0000:41:10.1' }]);
  assert.deepEqual(JSON.parse(envs.PCIDEVICE_BERTH_DEV_VF_INFO ?? ''), {
    '0000:41:10.0': { generic: { deviceID: '0000:41:10.0' }, extra: { a: '1', b: '2' } },
    '0000:41:10.1': { generic: { deviceID: '0000:41:10.1' }, extra: { a: '1', b: '1' } },
  });
});

test('a name that no shell can read is given under a readable one too', () => {
  const envs = environmentOf(slotSpec('macvlan', { resource: 'a.b/c-d' }), [{ id: 'eth0-1' }]);
  assert.deepEqual(envs, { 'PCIDEVICE_A_B_C-D': 'eth0-1', PCIDEVICE_A_B_C_D: 'eth0-1' });
});

test('the devices of one container come from one NIC', async () => {
  await withNode({}, async (node) => {
    const second = '0000:51:00.0';
    const more = nic(
      'eth1',
      [0, 1, 2].map((index) => vf(index, {}, second)),
      { address: parsePciAddress(second) },
    );
    node.pools.update({ inventory: { ...fourVfs(), nics: [...fourVfs().nics, more] } });
    await node.allocatable(7);
    const { containers } = await node.kubelet.admit(pod('p1', 2));
    assert.deepEqual(containers[0]?.devices[RESOURCE]?.toSorted(), ['0000:51:10.0', '0000:51:10.1']);
  });
});

test('the first Allocate after the start tells as much as every later one', async () => {
  await withNode(
    { specs: [vfSpec({ resource: RESOURCE, selectors: [{ drivers: ['uio_pci_generic'] }] })] },
    async (node) => {
      const uio = away(0, { driver: 'uio_pci_generic', deviceNodes: { uio: '/dev/uio0' } });
      node.pools.update({ inventory: inventory([nic('eth0', [uio])]) });
      await node.allocatable(1);
      const first = await node.kubelet.admit(pod('p1', 1));
      node.kubelet.remove(pod('p1', 1));
      const second = await node.kubelet.admit(pod('p2', 1));
      assert.deepEqual(first.containers[0]?.envs, second.containers[0]?.envs);
      assert.equal(
        first.containers[0]?.envs.PCIDEVICE_RIG_EXAMPLE_VF_INFO,
        '{"0000:41:10.0":{"generic":{"deviceID":"0000:41:10.0"},"uio":{"mount":"/dev/uio0"}}}',
      );
    },
  );
});

test('a device-info file is there when the pod is admitted, and goes with its device', async () => {
  await withNode({}, async (node) => {
    await node.allocatable(4);
    const folder = join(node.dir, 'devinfo', 'dp');
    await node.kubelet.admit(pod('p1', 1));
    const file = join(folder, 'rig.example-vf-0000:41:10.0-device.json');
    assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), {
      type: 'pci',
      version: '1.1.0',
      pci: { 'pci-address': '0000:41:10.0', 'pf-pci-address': '0000:41:00.0' },
    });
    assert.equal(statSync(file).mode & 0o777, 0o444);
    node.pools.update({ inventory: inventory([nic('eth0', [vf(1)])]) });
    await node.allocatable(1);
    const { containers } = await node.kubelet.admit(pod('p2', 1));
    assert.equal(containers[0]?.devices[RESOURCE]?.[0], '0000:41:10.1');
    // Files are looked through after kubelet has the new list.
    await eventually(
      () => assert.deepEqual(readdirSync(folder), ['rig.example-vf-0000:41:10.1-device.json']),
      5_000,
      () => 'the file of the gone device to go',
    );
  });
});

test('the device-info file of a device that a pod holds stays though the device is gone', async () => {
  await withNode({}, async (node) => {
    await node.allocatable(4);
    await node.kubelet.admit(pod('p1', 1));
    node.pools.update({ holds: { ...NO_HOLDS, devices: new Map([[parsePciAddress('0000:41:10.0'), {}]]) } });
    node.pools.update({ inventory: inventory([nic('eth0', [vf(1)])]) });
    await node.allocatable(1);
    await node.kubelet.admit(pod('p2', 1));
    assert.ok(existsSync(join(node.dir, 'devinfo', 'dp', 'rig.example-vf-0000:41:10.0-device.json')));
  });
});

test('a device-info folder that cannot be written rejects no pod', async () => {
  await withNode({}, async (node) => {
    await node.allocatable(4);
    writeFileSync(join(node.dir, 'devinfo'), 'in the way');
    const { containers } = await node.kubelet.admit(pod('p1', 1));
    assert.equal(containers[0]?.devices[RESOURCE]?.length, 1);
  });
});

test('a device-info file is written again only when it says something else', () => {
  const root = mkdtempSync(join(tmpdir(), 'berth-'));
  const folder = createDeviceInfoFolder(root, silentLogger);
  const path = join(root, 'dp', 'berth.dev-vf-0000:41:10.0-device.json');
  const write = (): number => {
    folder.write('berth.dev/vf', { pci: vf(0), pf: nic('eth0') });
    return statSync(path).ino;
  };
  const first = write();
  assert.equal(write(), first);
  chmodSync(path, 0o644);
  writeFileSync(path, '{}');
  assert.notEqual(write(), first);
  assert.equal(JSON.parse(readFileSync(path, 'utf8')).pci['pci-address'], '0000:41:10.0');
  assert.equal(readdirSync(join(root, 'dp')).length, 1);
  rmSync(root, { recursive: true });
});

test('the files of a resource that only an earlier agent offered go, except those of devices that pods have', async () => {
  const node = await testNode();
  const folder = join(node.dir, 'devinfo', 'dp');
  try {
    const earlier = node.frontEnd();
    await earlier.start();
    await node.allocatable(4);
    await node.kubelet.admit(pod('p1', 1));
    await node.kubelet.admit(pod('p2', 1));
    writeFileSync(join(folder, 'other.example-vf-0000:41:10.3-device.json'), '{}');
    await earlier.stop();
    assert.equal(readdirSync(folder).length, 3);
    node.kubelet.remove(pod('p2', 1));
    node.pools.update({ specs: [vfSpec({ resource: 'rig.example/new' })] });
    const podDevices = createPodResources({ socketPath: node.kubelet.paths.podResourcesSocket, log: silentLogger });
    const later = node.frontEnd({ podDevices });
    await later.start();
    await eventually(
      () =>
        assert.deepEqual(readdirSync(folder).toSorted(), [
          'other.example-vf-0000:41:10.3-device.json',
          'rig.example-vf-0000:41:10.0-device.json',
        ]),
      5_000,
      () => 'the file of the freed device to go',
    );
    podDevices.close();
  } finally {
    await node.close();
  }
});

const facts: readonly (readonly [string, PoolFunction, Grant | undefined, object])[] = [
  [
    'vhost-net and RDMA devices',
    { pci: vf(0, { rdma: [{ name: 'mlx5_1' }, { name: 'mlx5_2' }] }), pf: nic('eth0') },
    { nodes: [], info: {}, vhostNet: '/dev/vhost-net' },
    {
      type: 'pci',
      version: '1.1.0',
      pci: {
        'pci-address': '0000:41:10.0',
        'pf-pci-address': '0000:41:00.0',
        'vhost-net': '/dev/vhost-net',
        'rdma-device': 'mlx5_1,mlx5_2',
      },
    },
  ],
  [
    'the representor',
    { pci: vf(0, { representor: parseIfName('eth0_0') }), pf: nic('eth0') },
    undefined,
    {
      type: 'pci',
      version: '1.1.0',
      pci: {
        'pci-address': '0000:41:10.0',
        'pf-pci-address': '0000:41:00.0',
        'representor-device': 'eth0_0',
      },
    },
  ],
  [
    'a vDPA device',
    {
      pci: vf(0, {
        vdpa: [{ name: 'vdpa0', type: 'vhost', node: '/dev/vhost-vdpa-0' }],
        representor: parseIfName('r0'),
      }),
      pf: nic('eth0'),
    },
    undefined,
    {
      type: 'vdpa',
      version: '1.1.0',
      vdpa: {
        'parent-device': 'vdpa0',
        driver: 'vhost',
        path: '/dev/vhost-vdpa-0',
        'pci-address': '0000:41:10.0',
        'pf-pci-address': '0000:41:00.0',
        'representor-device': 'r0',
      },
    },
  ],
];
for (const [what, given, grant, expected] of facts) {
  test(`device-info tells of ${what}`, () => {
    const root = mkdtempSync(join(tmpdir(), 'berth-'));
    createDeviceInfoFolder(root, silentLogger).write('berth.dev/vf', given, grant);
    const text = readFileSync(join(root, 'dp', 'berth.dev-vf-0000:41:10.0-device.json'), 'utf8');
    assert.deepEqual(JSON.parse(text), expected);
    rmSync(root, { recursive: true });
  });
}

test('files of resources that begin alike are told apart, and those of others are not listed', async () => {
  const root = mkdtempSync(join(tmpdir(), 'berth-'));
  const folder = createDeviceInfoFolder(root, silentLogger);
  const pf = nic('eth0');
  for (const resource of ['berth.dev/vf', 'berth.dev/vf-vfio', 'intel.com/vf'])
    folder.write(resource, { pci: vf(0), pf });
  const files = await folder.list(['berth.dev/vf', 'berth.dev/vf-vfio']);
  assert.deepEqual(
    files.toSorted((a, b) => a.resource.localeCompare(b.resource)),
    ['berth.dev/vf', 'berth.dev/vf-vfio'].map((resource) => ({ resource, id: '0000:41:10.0' })),
  );
  await folder.remove({ resource: 'berth.dev/vf-vfio', id: '0000:41:10.0' });
  assert.deepEqual(readdirSync(join(root, 'dp')).toSorted(), [
    'berth.dev-vf-0000:41:10.0-device.json',
    'intel.com-vf-0000:41:10.0-device.json',
  ]);
  rmSync(root, { recursive: true });
});

test.run();
