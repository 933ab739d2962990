import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import type { ChangeHint } from '../../src/engine/inventory/port.ts';
import { parsePciAddress } from '../../src/engine/values.ts';
import type { FactSource, QueueFacts } from '../../src/linux/facts/source.ts';
import { noFacts } from '../../src/linux/facts/source.ts';
import { createNodeReader } from '../../src/linux/node-reader.ts';
import { changeTree, type Tree, type TreeSpec } from '../trees/generate.ts';
import { withTree } from '../trees/temporary.ts';

const pci = (address: string, action: 'add' | 'remove' | 'bind' | 'change' = 'change'): ChangeHint => ({
  kind: 'pci',
  address: parsePciAddress(address),
  action,
});

const linkHint = (inventory: Inventory, before: string, ifname = before): ChangeHint => {
  const netdevs = [
    ...inventory.nics.flatMap((nic) => [nic.netdev, ...nic.vfs.map((vf) => vf.netdev)]),
    ...inventory.virtual,
  ];
  const ifindex = netdevs.find((netdev) => netdev?.ifname === before)?.ifindex ?? 4711;
  return { kind: 'link', ifindex, ifname, action: 'new' };
};

/** The one rule: after a re-read the inventory equals a full read, and what did not change is the same object. */
async function equalsFullRead(
  spec: TreeSpec,
  change: (tree: Tree) => void,
  hints: (before: Inventory) => readonly ChangeHint[],
  unchanged: (inventory: Inventory) => unknown = () => undefined,
): Promise<Inventory> {
  let result: Inventory | undefined;
  await withTree(spec, async (tree) => {
    const reader = createNodeReader({ root: tree.dir });
    const before = await reader.read();
    change(tree);
    const after = await reader.reread(before, hints(before));
    assert.deepEqual(after, await reader.read());
    assert.notEqual(after, before);
    assert.equal(unchanged(after), unchanged(before));
    result = after;
  });
  assert.ok(result);
  return result;
}

const TWO = { pfs: [{ vfs: 3 }, { vfs: 3 }] };

test('nothing changed: the same inventory', async () => {
  await withTree(TWO, async ({ dir }) => {
    const reader = createNodeReader({ root: dir });
    const before = await reader.read();
    const hints = [pci('0000:10:02.1'), pci('0000:10:00.0'), linkHint(before, 'eth0'), linkHint(before, 'lo')];
    assert.equal(await reader.reread(before, hints), before);
    assert.equal(await reader.reread(before, [{ kind: 'all', why: 'test' }]), before);
    assert.equal(
      await reader.reread(before, [pci('0000:ff:00.0', 'remove'), { kind: 'route' }, { kind: 'address', ifindex: 99 }]),
      before,
    );
  });
});

test('a VF that is rebound changes alone', async () => {
  const after = await equalsFullRead(
    TWO,
    ({ dir }) => changeTree.rebind(dir, '0000:10:02.1', 'vfio-pci'),
    () => [pci('0000:10:02.1', 'bind')],
    (inventory) => inventory.nics[1],
  );
  assert.equal(after.nics[0]?.vfs[1]?.driver, 'vfio-pci');
  assert.equal(after.nics[0]?.vfs[1]?.ifname, undefined);
});

test('the sibling of a VF that changed is the same object', async () => {
  await equalsFullRead(
    TWO,
    ({ dir }) => changeTree.rebind(dir, '0000:10:02.1', null),
    () => [pci('0000:10:02.1')],
    (inventory) => inventory.nics[0]?.vfs[2],
  );
});

test('a VF that is removed leaves its PF', async () => {
  const after = await equalsFullRead(
    TWO,
    ({ dir }) => {
      changeTree.removeVf(dir, '0000:10:00.0', 2);
      writeFileSync(join(dir, 'sys/bus/pci/devices/0000:10:00.0/sriov_numvfs'), '2\n');
    },
    () => [pci('0000:10:02.2', 'remove')],
  );
  assert.deepEqual([after.nics[0]?.vfs.length, after.nics[0]?.sriov?.numVfs], [2, 2]);
});

test('a VF that is new is found by its own event, and by that of its PF', async () => {
  for (const address of ['0000:10:02.1', '0000:10:00.0']) {
    await withTree({ pfs: [{ vfs: 2 }] }, async ({ dir }) => {
      const home = join(dir, 'sys/devices/pci0000:00/0000:00:01.0');
      const hidden = join(dir, 'hidden');
      const reader = createNodeReader({ root: dir });
      const whole = await reader.read();
      renameSync(join(home, '0000:10:02.1'), hidden);
      unlinkSync(join(home, '0000:10:00.0/virtfn1'));
      writeFileSync(join(home, '0000:10:00.0/sriov_numvfs'), '1\n');
      const before = await reader.read();
      assert.equal(before.nics[0]?.vfs.length, 1);
      renameSync(hidden, join(home, '0000:10:02.1'));
      symlinkSync('../0000:10:02.1', join(home, '0000:10:00.0/virtfn1'));
      writeFileSync(join(home, '0000:10:00.0/sriov_numvfs'), '2\n');
      assert.deepEqual(await reader.reread(before, [pci(address, 'add')]), whole);
    });
  }
});

test('a NIC that is unplugged takes its VFs with it', async () => {
  const after = await equalsFullRead(
    TWO,
    ({ dir }) => {
      for (const name of ['eth0', 'eth0v0', 'eth0v1', 'eth0v2']) unlinkSync(join(dir, 'sys/class/net', name));
      for (const address of ['00.0', '02.0', '02.1', '02.2'])
        unlinkSync(join(dir, 'sys/bus/pci/devices', `0000:10:${address}`));
      rmSync(join(dir, 'sys/devices/pci0000:00/0000:00:01.0'), { recursive: true });
    },
    () => ['00.0', '02.0', '02.1', '02.2'].map((address) => pci(`0000:10:${address}`, 'remove')),
  );
  assert.deepEqual(
    after.nics.map((nic) => nic.address),
    ['0000:11:00.0'],
  );
});

test('a renamed netdev is one link event', async () => {
  const after = await equalsFullRead(
    TWO,
    ({ dir }) => changeTree.rename(dir, 'eth0v1', 'net1'),
    (before) => [linkHint(before, 'eth0v1', 'net1')],
    (inventory) => inventory.nics[1],
  );
  assert.equal(after.nics[0]?.vfs[1]?.ifname, 'net1');
});

test('a renamed virtual link is one link event', async () => {
  const after = await equalsFullRead(
    { virtual: [{ ifname: 'br0', devtype: 'bridge' }] },
    ({ dir }) => changeTree.rename(dir, 'br0', 'br1'),
    (before) => [linkHint(before, 'br0', 'br1')],
  );
  assert.deepEqual(
    after.virtual.map((link) => link.ifname),
    ['br1', 'lo'],
  );
});

test('a link that goes down says so', async () => {
  const after = await equalsFullRead(
    TWO,
    ({ dir }) => {
      changeTree.setNetdev(dir, 'eth1', 'carrier', '0');
      changeTree.setNetdev(dir, 'eth1', 'operstate', 'down');
    },
    (before) => [linkHint(before, 'eth1')],
    (inventory) => inventory.nics[0],
  );
  assert.deepEqual([after.nics[1]?.netdev?.carrier, after.nics[1]?.netdev?.speedMbps], [false, undefined]);
});

test('a netdev that moves to a pod leaves its VF, and one that comes home returns', async () => {
  await withTree(TWO, async ({ dir }) => {
    const reader = createNodeReader({ root: dir });
    const before = await reader.read();
    const home = join(dir, 'sys/devices/pci0000:00/0000:00:01.0/0000:10:02.1/net');
    renameSync(home, join(dir, 'pod'));
    unlinkSync(join(dir, 'sys/class/net/eth0v1'));
    const gone = await reader.reread(before, [{ ...linkHint(before, 'eth0v1'), action: 'del' } as ChangeHint]);
    assert.deepEqual([gone.nics[0]?.vfs[1]?.ifname, gone.nics[0]?.vfs[1]?.driver], [undefined, 'iavf']);
    renameSync(join(dir, 'pod'), home);
    symlinkSync('../../devices/pci0000:00/0000:00:01.0/0000:10:02.1/net/eth0v1', join(dir, 'sys/class/net/eth0v1'));
    assert.deepEqual(await reader.reread(gone, [linkHint(before, 'eth0v1')]), before);
  });
});

test('a NIC that joins a bond changes both, whichever is announced', async () => {
  for (const announced of ['eth0', 'bond0']) {
    const after = await equalsFullRead(
      { pfs: [{}], virtual: [{ ifname: 'bond0', devtype: 'bond' }] },
      ({ dir }) => {
        const nic = 'sys/devices/pci0000:00/0000:00:01.0/0000:10:00.0/net/eth0';
        symlinkSync('../../../../../virtual/net/bond0', join(dir, nic, 'master'));
        symlinkSync('../../../../../virtual/net/bond0', join(dir, nic, 'upper_bond0'));
        symlinkSync(
          `../../../pci0000:00/0000:00:01.0/0000:10:00.0/net/eth0`,
          join(dir, 'sys/devices/virtual/net/bond0/lower_eth0'),
        );
      },
      (before) => [linkHint(before, announced)],
    );
    assert.deepEqual([after.nics[0]?.netdev?.master, after.virtual[0]?.lowers], ['bond0', ['eth0']]);
  }
});

test('a virtual link that appears and one that goes are one event each', async () => {
  await equalsFullRead(
    { pfs: [{}], virtual: [{ ifname: 'veth0' }] },
    ({ dir }) => {
      unlinkSync(join(dir, 'sys/class/net/veth0'));
      rmSync(join(dir, 'sys/devices/virtual/net/veth0'), { recursive: true });
      mkdirSync(join(dir, 'sys/devices/virtual/net/new0'));
      writeFileSync(join(dir, 'sys/devices/virtual/net/new0/ifindex'), '77\n');
      symlinkSync('../../devices/virtual/net/new0', join(dir, 'sys/class/net/new0'));
    },
    (before) => [
      { ...linkHint(before, 'veth0'), action: 'del' } as ChangeHint,
      { kind: 'link', ifindex: 77, ifname: 'new0', action: 'new' },
    ],
    (inventory) => inventory.nics,
  );
});

test('a problem that is gone is no longer told, and those of others stay', async () => {
  await withTree(TWO, async ({ dir }) => {
    const files = ['0000:10:02.0', '0000:11:02.0'].map((address) =>
      join(dir, 'sys/bus/pci/devices', address, 'numa_node'),
    );
    for (const file of files) writeFileSync(file, 'junk');
    const reader = createNodeReader({ root: dir });
    const before = await reader.read();
    assert.equal(before.unread.length, 2);
    writeFileSync(files[0] ?? '', '0\n');
    const after = await reader.reread(before, [pci('0000:10:02.0')]);
    assert.deepEqual(after.unread, [{ source: 'sys/bus/pci/devices/0000:11:02.0/numa_node', reason: 'malformed' }]);
    assert.equal(after.nics[0]?.vfs[0]?.numaNode, 0);
  });
});

test('character devices of VFIO are looked at when their group is announced', async () => {
  const after = await equalsFullRead(
    { pfs: [{ vfs: 1, vfDriver: 'vfio-pci' }] },
    ({ dir }) => writeFileSync(join(dir, 'sys/kernel/iommu_groups/2/name'), 'vfio-noiommu\n'),
    () => [{ kind: 'module', subsystem: 'vfio', devpath: '/devices/virtual/vfio/noiommu-2' }],
  );
  assert.equal(after.nics[0]?.vfs[0]?.deviceNodes.vfio, '/dev/vfio/noiommu-2');
});

/** A fact source whose answers a test changes, and which counts what it is asked. */
function changingFacts(asked: string[]): { source: FactSource; routes: Set<number>; addresses: Map<number, string[]> } {
  const routes = new Set<number>();
  const addresses = new Map<number, string[]>();
  const facts = (ifindex: number) => ({ ifindex, altnames: [], addresses: addresses.get(ifindex) ?? [] });
  const source: FactSource = {
    ...noFacts,
    links: async () => new Map([1, 2, 3, 4].map((ifindex) => [ifindex, facts(ifindex)])),
    link: async (ifindex) => {
      asked.push(`link ${ifindex}`);
      return facts(ifindex);
    },
    defaultRoutes: async () => {
      asked.push('routes');
      return new Set(routes);
    },
    vfSettings: async () => {
      asked.push('settings');
      return 'none';
    },
  };
  return { source, routes, addresses };
}

test('addresses and default routes follow their events, and VF settings are not asked again', async () => {
  await withTree({ pfs: [{ vfs: 1, vfNetdevs: false }, {}] }, async ({ dir }) => {
    const asked: string[] = [];
    const facts = changingFacts(asked);
    const reader = createNodeReader({ root: dir, facts: facts.source });
    const before = await reader.read();
    assert.equal(before.nics[0]?.sriov?.vfSettings, false);
    asked.length = 0;
    facts.addresses.set(2, ['192.0.2.1/24']);
    const addressed = await reader.reread(before, [{ kind: 'address', ifindex: 2 }]);
    assert.deepEqual(addressed.nics[0]?.netdev?.addresses, ['192.0.2.1/24']);
    assert.deepEqual(asked, ['link 2']);
    facts.routes.add(3);
    const routed = await reader.reread(addressed, [{ kind: 'route' }]);
    assert.deepEqual(
      routed.nics.map((nic) => nic.netdev?.defaultRoute),
      [false, true],
    );
    assert.equal(routed.nics[0], addressed.nics[0]);
    facts.routes.clear();
    const down = await reader.reread(routed, [{ kind: 'link', ifindex: 3, ifname: 'eth1', action: 'new' }]);
    assert.equal(down.nics[1]?.netdev?.defaultRoute, false);
    assert.equal(asked.includes('settings'), false);
  });
});

test('a driver that answers too late is asked again when it has, and leaves no note', async () => {
  await withTree({ pfs: [{ vfs: 2 }] }, async ({ dir, pfs }) => {
    const address = parsePciAddress(pfs[0]?.address ?? '');
    let answer: (facts: { queues: { combined: number } }) => void = () => undefined;
    let isSlow = false;
    const source: FactSource = {
      ...noFacts,
      driver: async () => (isSlow ? await new Promise((resolve) => (answer = resolve)) : { queues: { combined: 8 } }),
    };
    const reader = createNodeReader({ root: dir, facts: source });
    const late: ChangeHint[] = [];
    const announced = new Promise<void>((resolve) => {
      reader.onLate?.((hint) => {
        late.push(hint);
        resolve();
      });
    });
    const before = await reader.read();
    isSlow = true;
    changeTree.removeVf(dir, address, 1);
    const first = await reader.reread(before, [{ kind: 'pci', address, action: 'change' }]);
    assert.equal(first.nics[0]?.vfs.length, 1);
    assert.deepEqual(first.nics[0]?.queues, { combined: 8 });
    assert.deepEqual(
      first.unread.filter(({ source: from }) => from.startsWith('driver')),
      [],
    );
    answer({ queues: { combined: 2 } });
    await announced;
    const second = await reader.reread(first, late);
    assert.deepEqual(second.nics[0]?.queues, { combined: 2 });
  });
});

test('queues of a VF are kept while its interface stays, and asked when one comes', async () => {
  await withTree({ pfs: [{ vfs: 2 }] }, async ({ dir, pfs }) => {
    const [vf0, vf1] = (pfs[0]?.vfs ?? []).map(parsePciAddress);
    assert.ok(vf0 && vf1);
    const asked: string[] = [];
    const source: FactSource = {
      ...noFacts,
      // Of eth0v0 (3) and eth0v1 (4).
      queues: async () => {
        asked.push('all');
        return new Map([3, 4].map((ifindex) => [ifindex, { queues: { combined: ifindex } }]));
      },
      queuesOf: async ({ ifname }) => {
        asked.push(ifname);
        return { queues: { combined: 9 }, rings: { rx: 512 } };
      },
    };
    const reader = createNodeReader({ root: dir, facts: source });
    const combined = (inventory: Inventory) => inventory.nics[0]?.vfs.map((vf) => vf.queues?.combined);
    const before = await reader.read();
    assert.deepEqual(combined(before), [3, 4]);
    changeTree.setNetdev(dir, 'eth0v0', 'mtu', '9000');
    const changed = await reader.reread(before, [linkHint(before, 'eth0v0')]);
    assert.equal(changed.nics[0]?.vfs[0]?.netdev?.mtuBytes, 9000);
    assert.deepEqual(combined(changed), [3, 4]);
    changeTree.setNetdev(dir, 'eth0v1', 'ifindex', '77');
    const replaced = await reader.reread(changed, [pci(vf1)]);
    assert.deepEqual(replaced.nics[0]?.vfs[1]?.rings, { rx: 512 });
    changeTree.rebind(dir, vf0, 'vfio-pci');
    const bound = await reader.reread(replaced, [pci(vf0, 'bind')]);
    assert.deepEqual(combined(bound), [undefined, 9]);
    assert.deepEqual(asked, ['all', 'eth0v1']);
  });
});

test('a driver that does not tell queues of a new interface is noted, and one that is late is asked again', async () => {
  await withTree({ pfs: [{ vfs: 1 }] }, async ({ dir, pfs }) => {
    const vf0 = parsePciAddress(pfs[0]?.vfs[0] ?? '');
    let answer: () => Promise<QueueFacts> = async () => Promise.reject(Object.assign(new Error('no'), { code: 'EIO' }));
    const source: FactSource = { ...noFacts, queuesOf: async () => await answer() };
    const reader = createNodeReader({ root: dir, facts: source });
    const before = await reader.read();
    changeTree.setNetdev(dir, 'eth0v0', 'ifindex', '77');
    const failed = await reader.reread(before, [pci(vf0)]);
    assert.deepEqual(failed.unread, [{ source: 'queues and rings of eth0v0', reason: 'EIO' }]);
    assert.equal(failed.nics[0]?.vfs[0]?.netdev?.ifindex, 77);
    const slow = Promise.withResolvers<QueueFacts>();
    answer = () => slow.promise;
    const announced = new Promise<ChangeHint>((resolve) => reader.onLate?.(resolve));
    changeTree.setNetdev(dir, 'eth0v0', 'ifindex', '78');
    const late = await reader.reread(before, [pci(vf0)]);
    assert.deepEqual(late.unread, []);
    assert.equal(late.nics[0]?.vfs[0]?.netdev?.ifindex, 78);
    slow.resolve({ queues: { combined: 4 } });
    const told = await reader.reread(late, [await announced]);
    assert.deepEqual(told.nics[0]?.vfs[0]?.queues, { combined: 4 });
  });
});

test('a fact source that fails is told, and the files still count', async () => {
  await withTree({ pfs: [{}] }, async ({ dir }) => {
    const fail = async (): Promise<never> => Promise.reject(Object.assign(new Error('no buffer'), { code: 'ENOBUFS' }));
    const source: FactSource = {
      links: fail,
      link: fail,
      defaultRoutes: fail,
      vfSettings: fail,
      vfCounters: fail,
      queues: fail,
      queuesOf: fail,
      driver: fail,
    };
    const reader = createNodeReader({ root: dir, facts: source });
    const before = await reader.read();
    assert.equal(before.nics[0]?.netdev?.mtuBytes, 1500);
    assert.deepEqual(
      before.unread.map((entry) => entry.reason),
      ['ENOBUFS', 'ENOBUFS', 'ENOBUFS'],
    );
    const after = await reader.reread(before, [linkHint(before, 'eth0'), { kind: 'route' }]);
    assert.deepEqual(after.nics, before.nics);
  });
});

test.run();
