/** What the inventory says of machines with RDMA, scalable functions, vDPA devices and accelerators. */
import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import { parsePciAddress } from '../../src/engine/values.ts';
import { captureTree } from '../../src/linux/capture.ts';
import { recordedFacts } from '../../src/linux/facts/recorded.ts';
import { createNodeReader } from '../../src/linux/node-reader.ts';
import { openTree } from '../../src/linux/sysfs/tree.ts';
import { addRdma, addScalable, addVdpa, removeNetdev } from '../trees/devices.ts';
import { changeTree } from '../trees/generate.ts';
import { machines, withMachine } from '../trees/machines.ts';

const read = async (dir: string): Promise<Inventory> => await createNodeReader({ root: dir }).read();

test('each function has its RDMA device, with the character devices; one that is in a pod has none', async () => {
  await withMachine(machines.connectx, async (dir) => {
    const [nic] = (await read(dir)).nics;
    assert.deepEqual(nic?.rdma, [{ name: 'mlx5_0', linkLayer: 'Ethernet' }]);
    assert.deepEqual(
      nic.vfs.map(({ rdma }) => rdma?.map(({ name }) => name)),
      [['mlx5_1'], ['mlx5_2'], undefined, ['mlx5_4']],
    );
    const nodes = ['issm2', 'umad2', 'uverbs2', 'rdma_cm'].map((name) => `/dev/infiniband/${name}`);
    assert.deepEqual(nic.vfs[1]?.deviceNodes, { rdma: nodes });
    assert.deepEqual(nic.vfs[2]?.deviceNodes, {});
  });
});

test('partition keys are those of the first port, in its order', async () => {
  await withMachine(machines.infiniband, async (dir) => {
    const [nic] = (await read(dir)).nics;
    assert.deepEqual(
      nic?.vfs.map(({ rdma }) => rdma?.[0]?.partitionKeys),
      [['8001', '7fff'], ['0001'], ['7fff', '8001']],
    );
  });
});

test('scalable functions are listed by number, with netdev, driver and RDMA device', async () => {
  await withMachine(machines.scalable, async (dir) => {
    const { nics, virtual, unread } = await read(dir);
    assert.deepEqual(unread, []);
    const parent = parsePciAddress('0000:08:00.0');
    const nodes = ['issm7', 'umad7', 'uverbs7', 'rdma_cm'].map((name) => `/dev/infiniband/${name}`);
    assert.deepEqual(nics[0]?.scalable, [
      { name: 'mlx5_core.sf.2', sfnum: 88, parent, driver: 'mlx5_core.sf', ifname: 'enp8s0f0s88' },
      {
        name: 'mlx5_core.sf.3',
        sfnum: 89,
        parent,
        driver: 'mlx5_core.sf',
        ifname: 'enp8s0f0s89',
        rdma: [{ name: 'mlx5_7', linkLayer: 'Ethernet' }],
        rdmaNodes: nodes,
      },
      { name: 'mlx5_core.sf.10', sfnum: 90, parent, driver: 'mlx5_core.sf' },
      { name: 'mlx5_core.sf.11', sfnum: 91, parent },
    ]);
    assert.deepEqual(
      virtual.filter(({ kind }) => kind === 'sf').map(({ ifname }) => ifname),
      ['enp8s0f0s88', 'enp8s0f0s89'],
    );
    assert.equal(nics[0]?.netdev?.ifname, 'enp8s0f0np0');
  });
});

test('a DDP package comes from the recorded answers of devlink', async () => {
  await withMachine(machines.ice, async (dir) => {
    const { nics } = await read(dir);
    assert.deepEqual(
      nics.map(({ ddpProfile }) => ddpProfile),
      ['ICE COMMS Package', 'ICE OS Default Package'],
    );
  });
});

test('vDPA devices are those of their function, with type and character device', async () => {
  await withMachine(machines.vdpa, async (dir) => {
    const [nic] = (await read(dir)).nics;
    assert.deepEqual(
      nic?.vfs.map(({ vdpa }) => vdpa),
      [
        [{ name: 'vdpa0', type: 'vhost', node: '/dev/vhost-vdpa-0' }],
        [{ name: 'vdpa1', type: 'virtio' }],
        [{ name: 'vdpa2' }],
        undefined,
      ],
    );
  });
});

test('a vDPA device of a scalable function is that function’s', async () => {
  await withMachine(machines.scalable, async (dir) => {
    addVdpa(dir, 'mlx5_core.sf.2', 'vdpa9', 'vhost', 9);
    const [nic] = (await read(dir)).nics;
    assert.deepEqual(nic?.scalable?.[0]?.vdpa, [{ name: 'vdpa9', type: 'vhost', node: '/dev/vhost-vdpa-9' }]);
    assert.equal(nic.vdpa, undefined);
  });
});

test('accelerators stand beside the NICs, with their VFs and character devices', async () => {
  await withMachine(machines.accelerators, async (dir) => {
    const { nics, accelerators } = await read(dir);
    assert.deepEqual(
      nics.map(({ address }) => address),
      ['0000:b3:00.0'],
    );
    assert.deepEqual(
      accelerators?.map(({ address, class: pciClass, vfs }) => [address, pciClass, vfs.length]),
      [
        ['0000:3b:00.0', '120000', 2],
        ['0000:3c:00.0', '120000', 0],
        ['0000:3d:00.0', '120000', 0],
        ['0000:b1:00.0', '0b4000', 2],
      ],
    );
    const [baseband, , , qat] = accelerators ?? [];
    const group = baseband?.vfs[1]?.iommuGroup;
    assert.deepEqual(baseband?.vfs[1]?.deviceNodes, {
      vfio: `/dev/vfio/${group}`,
      vfioDevice: '/dev/vfio/devices/vfio3',
    });
    assert.deepEqual(qat?.vfs[1]?.deviceNodes, { uio: '/dev/uio1' });
  });
});

for (const machine of Object.values(machines)) {
  test(`capturing ${machine.what} gives the same inventory`, async () => {
    await withMachine(machine, async (dir) => {
      const copy = join(dir, 'copy');
      await captureTree(dir, copy, recordedFacts(openTree(dir)));
      assert.deepEqual(await read(copy), await read(dir));
    });
  });
}

test('a scalable function that is made is found by the event of its parent', async () => {
  await withMachine(machines.scalable, async (dir) => {
    const reader = createNodeReader({ root: dir });
    const before = await reader.read();
    addScalable(dir, '0000:08:00.0', { name: 'mlx5_core.sf.4', sfnum: 92, ifname: 'enp8s0f0s92' });
    addRdma(dir, 'mlx5_core.sf.4', { name: 'mlx5_8', number: 8 });
    const after = await reader.reread(before, [
      { kind: 'pci', address: parsePciAddress('0000:08:00.0'), action: 'change' },
    ]);
    assert.deepEqual(
      after.nics[0]?.scalable?.map(({ sfnum }) => sfnum),
      [88, 89, 90, 91, 92],
    );
    assert.deepEqual((await reader.read()).nics, after.nics);
  });
});

test('a scalable function whose netdev moves to a pod loses it by one link event', async () => {
  await withMachine(machines.scalable, async (dir) => {
    const reader = createNodeReader({ root: dir });
    const before = await reader.read();
    const link = before.virtual.find(({ ifname }) => ifname === 'enp8s0f0s88');
    assert.ok(link);
    removeNetdev(dir, 'enp8s0f0s88');
    const after = await reader.reread(before, [
      { kind: 'link', ifindex: link.ifindex, ifname: link.ifname, action: 'del' },
    ]);
    assert.equal(after.nics[0]?.scalable?.[0]?.ifname, undefined);
    assert.equal(
      after.virtual.find(({ ifname }) => ifname === 'enp8s0f0s88'),
      undefined,
    );
    assert.deepEqual((await reader.read()).nics, after.nics);
  });
});

test('an accelerator that is rebound changes alone', async () => {
  await withMachine(machines.accelerators, async (dir) => {
    const reader = createNodeReader({ root: dir });
    const before = await reader.read();
    changeTree.rebind(dir, '0000:3d:00.0', 'vfio-pci');
    const after = await reader.reread(before, [
      { kind: 'pci', address: parsePciAddress('0000:3d:00.0'), action: 'bind' },
    ]);
    assert.equal(after.accelerators?.[2]?.driver, 'vfio-pci');
    assert.equal(after.accelerators[0], before.accelerators?.[0]);
    assert.equal(after.nics, before.nics);
  });
});

test('an entry of a bus that leads nowhere is told, and everything else is read', async () => {
  await withMachine(machines.scalable, async (dir) => {
    symlinkSync('../../../../etc', join(dir, 'sys/bus/auxiliary/devices/mlx5_core.sf.77'));
    const { nics, unread } = await read(dir);
    assert.equal(nics[0]?.scalable?.length, 4);
    assert.deepEqual(unread, []);
  });
});

test.run();
