import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import { createNodeReader } from '../../src/linux/node-reader.ts';
import { nodeIo, openTree, type TreeIo } from '../../src/linux/sysfs/tree.ts';
import { changeTree, vfAddress } from '../trees/generate.ts';
import { withTree } from '../trees/temporary.ts';

const read = (root: string): Promise<Inventory> => createNodeReader({ root }).read();

const PF = 'sys/bus/pci/devices/0000:10:00.0';

test('a NIC and its VFs have what their files say', async () => {
  await withTree({ numaNodes: 2, pfs: [{ vfs: 2, totalVfs: 64, vfDrivers: { 1: 'vfio-pci' } }] }, async ({ dir }) => {
    const { nics, unread, node } = await read(dir);
    assert.deepEqual(unread, []);
    assert.deepEqual(node.numaNodes, [0, 1]);
    assert.equal(node.memoryBytes, 65_536_000 * 1024);
    const [nic] = nics;
    assert.equal(nics.length, 1);
    assert.deepEqual(nic, {
      address: '0000:10:00.0',
      vendor: '8086',
      device: '1572',
      subsystemVendor: '8086',
      subsystemDevice: '0001',
      class: '020000',
      driver: 'i40e',
      numaNode: 0,
      iommuGroup: 1,
      pcieRoot: 'pci0000:00',
      deviceNodes: {},
      ifname: 'eth0',
      netdev: {
        ifname: 'eth0',
        ifindex: 2,
        altnames: [],
        mac: '02:00:00:00:00:00',
        mtuBytes: 1500,
        adminUp: true,
        operstate: 'up',
        carrier: true,
        speedMbps: 25_000,
        linkType: 'ether',
        uppers: [],
        lowers: [],
        addresses: [],
        defaultRoute: false,
      },
      pcieNow: { gtps: 8, width: 8 },
      pcieBest: { gtps: 16, width: 16 },
      sriov: { totalVfs: 64, numVfs: 2, autoprobe: true },
      vfs: nic?.vfs,
    });
    assert.deepEqual(
      nic?.vfs.map((vf) => [vf.index, vf.address, vf.pf, vf.driver, vf.ifname, vf.deviceNodes]),
      [
        [0, '0000:10:02.0', '0000:10:00.0', 'iavf', 'eth0v0', {}],
        [1, '0000:10:02.1', '0000:10:00.0', 'vfio-pci', undefined, { vfio: '/dev/vfio/3' }],
      ],
    );
  });
});

test('a node without an IOMMU gives noiommu nodes their own name', async () => {
  await withTree({ pfs: [{ vfs: 1, vfDriver: 'vfio-pci' }] }, async ({ dir }) => {
    writeFileSync(join(dir, 'sys/kernel/iommu_groups/2/name'), 'vfio-noiommu\n');
    const { nics } = await read(dir);
    assert.deepEqual(nics[0]?.vfs[0]?.deviceNodes, { vfio: '/dev/vfio/noiommu-2' });
  });
});

test('a netdev is found however deep it lies below its function', async () => {
  await withTree({ pfs: [{ vfs: 1, layout: 'virtio', driver: 'virtio-pci' }] }, async ({ dir }) => {
    const { nics, virtual } = await read(dir);
    assert.equal(nics[0]?.ifname, 'eth0');
    assert.equal(nics[0]?.vfs[0]?.ifname, 'eth0v0');
    assert.deepEqual(
      virtual.map((link) => link.ifname),
      ['lo'],
    );
  });
});

test('a netdev is found in a tree that has no class/net', async () => {
  await withTree({ pfs: [{ vfs: 1 }] }, async ({ dir }) => {
    rmSync(join(dir, 'sys/class'), { recursive: true });
    const { nics } = await read(dir);
    assert.equal(nics[0]?.netdev?.mac, '02:00:00:00:00:00');
    assert.equal(nics[0]?.vfs[0]?.ifname, 'eth0v0');
  });
});

test('a VF whose PF is not on this machine is a NIC of its own', async () => {
  await withTree({ pfs: [{ totalVfs: 0 }] }, async ({ dir }) => {
    symlinkSync('../0000:0f:00.0', join(dir, PF, 'physfn'));
    const { nics } = await read(dir);
    assert.deepEqual(
      nics.map((nic) => [nic.address, nic.sriov]),
      [['0000:10:00.0', undefined]],
    );
  });
});

test('functions that are no network controllers are left out, unless they have a netdev', async () => {
  const pfs = [
    { class: '010802', ifname: null, totalVfs: 0 },
    { class: '120000', ifname: 'acc0', totalVfs: 0 },
  ];
  await withTree({ pfs }, async ({ dir }) => {
    assert.deepEqual(
      (await read(dir)).nics.map((nic) => nic.ifname),
      ['acc0'],
    );
  });
});

test('NUMA node -1 and a missing IOMMU group are unknown', async () => {
  await withTree({ pfs: [{ numaNode: -1, iommu: false }] }, async ({ dir }) => {
    const [nic] = (await read(dir)).nics;
    assert.equal(nic !== undefined && 'numaNode' in nic, false);
    assert.equal(nic !== undefined && 'iommuGroup' in nic, false);
  });
});

test('serial and part number come from the vital product data', async () => {
  const vpd = Buffer.from('901200504e054131422d32534e075a5a303037373778', 'hex');
  await withTree({ pfs: [{ vpd }] }, async ({ dir }) => {
    const [nic] = (await read(dir)).nics;
    assert.deepEqual([nic?.serial, nic?.partNumber], ['ZZ00777', 'A1B-2']);
  });
});

test('the character devices of an RDMA device are listed', async () => {
  await withTree({ pfs: [{}] }, async ({ dir }) => {
    for (const node of [
      'infiniband/mlx5_0',
      'infiniband_verbs/uverbs0',
      'infiniband_mad/umad0',
      'infiniband_mad/issm0',
    ]) {
      mkdirSync(join(dir, PF, node), { recursive: true });
    }
    mkdirSync(join(dir, 'sys/class/infiniband'));
    symlinkSync(`../../bus/pci/devices/0000:10:00.0/infiniband/mlx5_0`, join(dir, 'sys/class/infiniband/mlx5_0'));
    const names = ['issm0', 'umad0', 'uverbs0', 'rdma_cm'].map((name) => `/dev/infiniband/${name}`);
    assert.deepEqual((await read(dir)).nics[0]?.deviceNodes, { rdma: names });
  });
});

test('virtual links have their kind and their neighbours', async () => {
  const virtual = [
    { ifname: 'bond0', devtype: 'bond' },
    { ifname: 'bond0.7', devtype: 'vlan', lowers: ['bond0'] },
    { ifname: 'odd0' },
  ];
  await withTree({ pfs: [{ netdev: { master: 'bond0' } }], virtual }, async ({ dir }) => {
    const { nics, virtual: links } = await read(dir);
    assert.equal(nics[0]?.netdev?.master, 'bond0');
    assert.deepEqual(nics[0]?.netdev?.uppers, ['bond0']);
    assert.deepEqual(
      links.map((link) => [link.ifname, link.kind, link.lowers, link.uppers]),
      [
        ['bond0', 'bond', ['eth0'], ['bond0.7']],
        ['bond0.7', 'vlan', ['bond0'], []],
        ['lo', 'loopback', [], []],
        ['odd0', 'unknown', [], []],
      ],
    );
  });
});

test('representors and further ports of a function are links of their own', async () => {
  await withTree({ pfs: [{ vfs: 1 }] }, async ({ dir }) => {
    const home = join(dir, 'sys/devices/pci0000:00/0000:00:01.0/0000:10:00.0/net');
    for (const [index, name, port] of [
      [90, 'aaa0', 'pf0vf0'],
      [91, 'eth1', 'p1'],
    ] as const) {
      mkdirSync(join(home, name));
      writeFileSync(join(home, name, 'ifindex'), `${index}\n`);
      writeFileSync(join(home, name, 'phys_port_name'), `${port}\n`);
      writeFileSync(join(home, name, 'dev_port'), '1\n');
      symlinkSync(`../../devices/pci0000:00/0000:00:01.0/0000:10:00.0/net/${name}`, join(dir, 'sys/class/net', name));
    }
    const { nics, virtual } = await read(dir);
    assert.equal(nics[0]?.ifname, 'eth0');
    assert.deepEqual(
      virtual.map((link) => [link.ifname, link.kind]),
      [
        ['aaa0', 'representor'],
        ['eth1', 'port'],
        ['lo', 'loopback'],
      ],
    );
  });
});

test('default routes come from /proc where nobody recorded them', async () => {
  await withTree({ pfs: [{}, {}, {}] }, async ({ dir }) => {
    mkdirSync(join(dir, 'proc/net'), { recursive: true });
    const v4 = [
      'Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT',
      'eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0',
      'eth2 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0',
    ];
    writeFileSync(join(dir, 'proc/net/route'), `${v4.join('\n')}\n`);
    const zero = '0'.repeat(32);
    const v6 = [
      `${zero} 00 ${zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth1`,
      `${zero} 00 ${zero} 00 ${zero} ffffffff 00000001 00000000 00200200 lo`,
    ];
    writeFileSync(join(dir, 'proc/net/ipv6_route'), `${v6.join('\n')}\n`);
    const { nics, virtual } = await read(dir);
    assert.deepEqual(
      nics.map((nic) => nic.netdev?.defaultRoute),
      [true, true, false],
    );
    assert.equal(virtual[0]?.defaultRoute, false);
  });
});

interface Damage {
  readonly name: string;
  readonly do: (dir: string) => void;
  readonly unread: readonly { readonly source: string; readonly reason: string }[];
  /** The NIC is not in the inventory at all. */
  readonly isGone?: true;
}

const damages: readonly Damage[] = [
  {
    name: 'a vendor of binary junk',
    do: (dir) => writeFileSync(join(dir, PF, 'vendor'), Buffer.from([0xff, 0x00, 0x1b, 0x5b])),
    unread: [{ source: `${PF}/vendor`, reason: 'malformed' }],
    isGone: true,
  },
  {
    name: 'no device id',
    do: (dir) => unlinkSync(join(dir, PF, 'device')),
    unread: [{ source: `${PF}/device`, reason: 'missing' }],
    isGone: true,
  },
  {
    name: 'a huge attribute',
    do: (dir) => writeFileSync(join(dir, PF, 'numa_node'), '0'.repeat(100_000)),
    unread: [{ source: `${PF}/numa_node`, reason: 'larger than a page' }],
  },
  {
    name: 'a folder instead of an attribute',
    do: (dir) => {
      unlinkSync(join(dir, 'sys/class/net/eth0/mtu'));
      mkdirSync(join(dir, 'sys/class/net/eth0/mtu'));
    },
    unread: [{ source: 'sys/class/net/eth0/mtu', reason: 'not a regular file' }],
  },
  {
    name: 'an attribute that links out of the tree',
    do: (dir) => {
      unlinkSync(join(dir, PF, 'sriov_totalvfs'));
      symlinkSync('../../../../../../../../../../etc/hostname', join(dir, PF, 'sriov_totalvfs'));
    },
    unread: [{ source: `${PF}/sriov_totalvfs`, reason: 'leads out of the tree' }],
  },
  {
    name: 'an attribute that links to itself',
    do: (dir) => {
      unlinkSync(join(dir, PF, 'numa_node'));
      symlinkSync('numa_node', join(dir, PF, 'numa_node'));
    },
    unread: [{ source: `${PF}/numa_node`, reason: 'too many symbolic links' }],
  },
  {
    name: 'a driver that is a file',
    do: (dir) => {
      unlinkSync(join(dir, PF, 'driver'));
      writeFileSync(join(dir, PF, 'driver'), 'i40e\n');
    },
    unread: [{ source: `${PF}/driver`, reason: 'EINVAL' }],
  },
  {
    name: 'a VF list that says more than there is',
    do: (dir) => writeFileSync(join(dir, PF, 'sriov_numvfs'), '4\n'),
    unread: [{ source: `${PF}/sriov_numvfs`, reason: 'says 4, there are 1 virtfn links' }],
  },
  {
    name: 'a VF that its PF does not know',
    do: (dir) => {
      unlinkSync(join(dir, PF, 'virtfn0'));
      writeFileSync(join(dir, PF, 'sriov_numvfs'), '0\n');
    },
    unread: [{ source: 'sys/bus/pci/devices/0000:10:02.0/physfn', reason: '0000:10:00.0 has no link to it' }],
  },
  {
    name: 'a netdev without an index',
    do: (dir) => unlinkSync(join(dir, 'sys/class/net/eth0/ifindex')),
    unread: [{ source: 'sys/class/net/eth0/ifindex', reason: 'missing' }],
  },
  {
    name: 'a function that is a file',
    do: (dir) => writeFileSync(join(dir, 'sys/bus/pci/devices/0000:77:00.0'), ''),
    unread: [{ source: 'sys/bus/pci/devices/0000:77:00.0/class', reason: 'ENOTDIR' }],
  },
  {
    name: 'a folder of devices that links out of the tree',
    do: (dir) => symlinkSync('../../../../../../../../../../..', join(dir, 'sys/bus/pci/devices/0000:77:00.0')),
    unread: [{ source: 'sys/bus/pci/devices/0000:77:00.0', reason: 'leads out of the tree' }],
  },
];

for (const damage of damages) {
  test(`${damage.name} is told, and everything else is read`, async () => {
    await withTree({ pfs: [{ vfs: 1 }, {}] }, async ({ dir }) => {
      damage.do(dir);
      const { nics, unread } = await read(dir);
      assert.deepEqual(unread, damage.unread);
      assert.deepEqual(
        nics.map((nic) => nic.address),
        damage.isGone === true ? ['0000:11:00.0'] : ['0000:10:00.0', '0000:11:00.0'],
      );
    });
  });
}

/** Does something before the n-th system call of a kind. */
function meddling(before: (call: number) => void): TreeIo {
  let calls = 0;
  const counted =
    <T extends unknown[], R>(call: (...args: T) => R) =>
    (...args: T): R => {
      calls += 1;
      before(calls);
      return call(...args);
    };
  return {
    ...nodeIo,
    open: counted(nodeIo.open),
    readlink: counted(nodeIo.readlink),
    readdir: counted(nodeIo.readdir),
  };
}

test('a VF that goes away at any moment of the read is whole or absent, and never an error', async () => {
  for (let moment = 1; ; moment += 7) {
    let isGone = false;
    await withTree({ pfs: [{ vfs: 2 }] }, async ({ dir, pfs }) => {
      const io = meddling((call) => {
        if (call !== moment) return;
        isGone = true;
        changeTree.removeVf(dir, pfs[0]?.address ?? '', 1);
        writeFileSync(join(dir, PF, 'sriov_numvfs'), '1\n');
      });
      const { nics, unread } = await createNodeReader({ root: dir, tree: openTree(dir, io) }).read();
      const told = unread.filter(({ source }) => !source.endsWith('sriov_numvfs'));
      assert.deepEqual(told, [], `at call ${moment}`);
      for (const vf of nics[0]?.vfs ?? [])
        assert.equal(`${vf.vendor} ${vf.class} ${vf.address}`, `8086 020000 ${vfAddress('0000:10:00.0', vf.index)}`);
    });
    if (!isGone) break;
  }
});

const refusals: readonly (readonly [string, string, boolean])[] = [
  ['EIO', 'numa_node', true],
  ['EACCES', 'numa_node', true],
  ['EINVAL', 'current_link_speed', false],
  ['EOPNOTSUPP', 'current_link_speed', false],
  ['ENODEV', 'numa_node', false],
];
for (const [code, attribute, isTold] of refusals) {
  test(`${code} from an attribute is ${isTold ? 'told' : 'no value'}`, async () => {
    await withTree({ pfs: [{}] }, async ({ dir }) => {
      const open: TreeIo['open'] = (path, flags) => {
        if (path.endsWith(attribute)) throw Object.assign(new Error(code), { code });
        return nodeIo.open(path, flags);
      };
      const { unread, nics } = await createNodeReader({ root: dir, tree: openTree(dir, { ...nodeIo, open }) }).read();
      assert.deepEqual(unread, isTold ? [{ source: `${PF}/${attribute}`, reason: code }] : []);
      assert.equal(nics.length, 1);
    });
  });
}

for (const [what, root, code, reason] of [
  ['a folder without sys', '.', 'Invalid', 'root-no-tree'],
  ['a folder that is not there', 'none', 'NotFound', 'root-unreadable'],
  ['a file', 'proc/meminfo', 'NotFound', 'root-unreadable'],
] as const) {
  test(`${what} is no tree, and no node without NICs`, async () => {
    await withTree({}, async ({ dir }) => {
      rmSync(join(dir, 'sys'), { recursive: true });
      assert.throws(() => createNodeReader({ root: join(dir, root) }), { code, reason });
    });
  });
}

test('a bad record of netlink is told once, with what is wrong in it', async () => {
  const bad = { schema: 1, links: [{ ifindex: 'two' }], functions: {} };
  await withTree({ pfs: [{ vfs: 2 }, { vfs: 1 }], facts: bad }, async ({ dir }) => {
    const { unread, nics } = await read(dir);
    assert.equal(nics.length, 2);
    assert.deepEqual(
      unread.map(({ source }) => source),
      ['berth/facts.json'],
    );
    assert.match(unread[0]?.reason ?? '', /^links\.0\.ifindex: .*; \d more$|^links\.0\.ifindex: /);
  });
});

test('an empty tree is an empty inventory', async () => {
  await withTree({}, async ({ dir }) => {
    rmSync(join(dir, 'sys'), { recursive: true });
    mkdirSync(join(dir, 'sys'));
    rmSync(join(dir, 'proc'), { recursive: true });
    assert.deepEqual(await read(dir), {
      node: { name: 'unknown', iommu: false },
      nics: [],
      virtual: [],
      findings: [],
      unread: [],
    });
  });
});

test('a read that is aborted ends', async () => {
  await withTree({ pfs: [{ vfs: 64 }] }, async ({ dir }) => {
    const stop = new AbortController();
    stop.abort(new Error('enough'));
    let clock = 0;
    const io: TreeIo = {
      ...nodeIo,
      // Every call takes a slice, so that the read has to pause.
      open: (path, flags) => {
        const until = performance.now() + (clock++ < 3 ? 5 : 0);
        while (performance.now() < until);
        return nodeIo.open(path, flags);
      },
    };
    await assert.rejects(createNodeReader({ root: dir, tree: openTree(dir, io) }).read(stop.signal), /enough/);
  });
});

test('facts of the machine are asked for once, and only where the files do not tell them', async () => {
  await withTree({}, async ({ dir }) => {
    let asked = 0;
    const machine = async () => {
      asked += 1;
      return { machine: 'Board X', cpus: 3 };
    };
    const reader = createNodeReader({ root: dir, machine });
    assert.equal((await reader.read()).node.machine, 'Example Server 1');
    assert.equal(asked, 0);
    rmSync(join(dir, 'sys/class/dmi'), { recursive: true });
    await reader.read();
    const { node } = await reader.read();
    assert.deepEqual([node.machine, node.cpus, asked], ['Board X', 16, 1]);
  });
});

test('2,048 VFs are read whole', async () => {
  const pfs = Array.from({ length: 16 }, () => ({ vfs: 128 }));
  await withTree({ numaNodes: 2, pfs }, async ({ dir }) => {
    const { nics, unread } = await read(dir);
    assert.deepEqual(unread, []);
    assert.deepEqual(
      nics.map((nic) => nic.vfs.length),
      pfs.map((pf) => pf.vfs),
    );
  });
});

test.run();
