import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'uvu';
import { BerthError } from '../../src/engine/errors.ts';
import { parseMacAddress } from '../../src/engine/values.ts';
import { captureArchive, captureTree } from '../../src/linux/capture.ts';
import type { FactSource } from '../../src/linux/facts/source.ts';
import { noFacts } from '../../src/linux/facts/source.ts';
import { createNodeReader } from '../../src/linux/node-reader.ts';
import { withTree } from '../trees/temporary.ts';

const RICH = {
  numaNodes: 2,
  pfs: [
    {
      vfs: 3,
      vfDrivers: { 2: 'vfio-pci' },
      netdev: { master: 'bond0' },
      vpd: Buffer.from('900800504e0131534e003078', 'hex'),
    },
    { vfs: 2, layout: 'virtio' as const },
    { driver: null, ifname: null, iommu: false },
  ],
  virtual: [
    { ifname: 'bond0', devtype: 'bond' },
    { ifname: 'bond0.5', devtype: 'vlan', lowers: ['bond0'] },
  ],
};

test('a captured tree gives the same inventory, and capturing it again gives the same tree', async () => {
  await withTree(RICH, async ({ dir }) => {
    const original = await createNodeReader({ root: dir }).read();
    await captureTree(dir, join(dir, 'one'));
    assert.deepEqual(await createNodeReader({ root: join(dir, 'one') }).read(), original);
    await captureTree(join(dir, 'one'), join(dir, 'two'));
    assert.deepEqual(contents(join(dir, 'two')), contents(join(dir, 'one')));
  });
});

test('an archive, unpacked, is the tree that would have been written', async () => {
  await withTree(RICH, async ({ dir }) => {
    await captureTree(dir, join(dir, 'one'));
    const { archive, files, notes } = await captureArchive(dir);
    assert.deepEqual(notes, []);
    const { status, stderr } = spawnSync('tar', ['-x', '-C', dir], { input: archive, encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
    assert.deepEqual(contents(join(dir, 'captured')), contents(join(dir, 'one')));
    const kinds = Object.values(contents(join(dir, 'captured')));
    assert.equal(files, kinds.filter((kind) => kind !== 'folder').length);
  });
});

test('what is too long for an archive is left out, and told', async () => {
  await withTree({ pfs: [{}] }, async ({ dir }) => {
    symlinkSync('x'.repeat(150), join(dir, 'sys/class/net/long0'));
    const { archive, notes } = await captureArchive(dir);
    assert.deepEqual(notes, ['captured/sys/class/net/long0: too long for a tar archive']);
    assert.equal(archive.includes('long0'), false);
  });
});

/** Every path below a folder with what it is: text, or the target of a link. Links are not followed. */
function contents(root: string, below = ''): Readonly<Record<string, string>> {
  const entries = readdirSync(join(root, below), { withFileTypes: true });
  return Object.assign(
    {},
    ...entries.map((entry) => {
      const path = join(below, entry.name);
      if (entry.isDirectory()) return { [path]: 'folder', ...contents(root, path) };
      return {
        [path]: entry.isSymbolicLink()
          ? `-> ${readlinkSync(join(root, path))}`
          : readFileSync(join(root, path), 'latin1'),
      };
    }),
  );
}

test('links to their own folder are captured, too', async () => {
  await withTree(RICH, async ({ dir }) => {
    symlinkSync('.', join(dir, 'sys/class/net/loop0'));
    await captureTree(dir, join(dir, 'one'));
    assert.equal(readlinkSync(join(dir, 'one/sys/class/net/loop0')), '.');
  });
});

test('identifiers of InfiniBand come along', async () => {
  const guid = '00:11:22:33:44:55:66:77';
  const settings = new Map([[0, { nodeGuid: guid, portGuid: guid }]]);
  const facts: FactSource = {
    ...noFacts,
    links: async () => new Map([[2, { ifindex: 2, altnames: [], addresses: [] }]]),
    vfSettings: async () => ({ settings, missing: [] }),
  };
  await withTree({ pfs: [{ vfs: 1 }] }, async ({ dir }) => {
    await captureTree(dir, join(dir, 'copy'), facts);
    const { nics, unread } = await createNodeReader({ root: join(dir, 'copy') }).read();
    assert.deepEqual(unread, []);
    assert.deepEqual(nics[0]?.vfs[0]?.settings, settings.get(0));
  });
});

test('what netlink told comes along', async () => {
  const facts: FactSource = {
    ...noFacts,
    links: async () =>
      new Map([
        [
          2,
          {
            ifindex: 2,
            altnames: ['enp1'],
            permanentMac: parseMacAddress('02:00:00:00:00:99'),
            carrier: true,
            addresses: ['192.0.2.1/24'],
          },
        ],
        [5, { ifindex: 5, altnames: [], kind: 'bridge', addresses: [] }],
      ]),
    defaultRoutes: async () => new Set([2]),
    vfSettings: async () => ({
      settings: new Map([[1, { vlan: 7, trust: true, linkState: 'enable' as const }]]),
      missing: [],
    }),
    driver: async () => ({ firmware: '1.2', driverVersion: '6.18', serial: 'S1' }),
  };
  await withTree({ pfs: [{ vfs: 2 }], virtual: [{ ifname: 'br0' }] }, async ({ dir }) => {
    const original = await createNodeReader({ root: dir, facts }).read();
    const [nic] = original.nics;
    assert.deepEqual(
      [nic?.netdev?.altnames, nic?.netdev?.defaultRoute, nic?.vfs[1]?.settings?.vlan, nic?.serial],
      [['enp1'], true, 7, 'S1'],
    );
    assert.equal(original.virtual[0]?.kind, 'bridge');
    await captureTree(dir, join(dir, 'tree'), facts);
    assert.deepEqual(await createNodeReader({ root: join(dir, 'tree') }).read(), original);
  });
});

test('no link of a captured tree leads out of it, whatever the source says', async () => {
  await withTree({ pfs: [{}] }, async ({ dir }) => {
    const home = join(dir, 'sys/bus/pci/devices/0000:10:00.0');
    unlinkSync(join(home, 'driver'));
    symlinkSync('../../../../../../../../../etc/shadow', join(home, 'driver'));
    unlinkSync(join(home, 'iommu_group'));
    symlinkSync('/etc/9', join(home, 'iommu_group'));
    const { notes } = await captureTree(dir, join(dir, 'tree'));
    assert.match(notes.join(), /driver: leads out of the tree/);
    for (const [path, what] of Object.entries(contents(join(dir, 'tree')))) {
      if (!what.startsWith('-> ')) continue;
      const target = resolve(join(dir, 'tree', path), '..', what.slice(3));
      assert.ok(target.startsWith(join(dir, 'tree')), `${path} ${what}`);
    }
  });
});

test('a folder that holds something is left alone', async () => {
  await withTree({}, async ({ dir }) => {
    mkdirSync(join(dir, 'full'));
    writeFileSync(join(dir, 'full/notes.txt'), 'mine');
    await assert.rejects(
      captureTree(dir, join(dir, 'full')),
      (error) => error instanceof BerthError && error.reason === 'capture-not-empty',
    );
    assert.deepEqual(readdirSync(join(dir, 'full')), ['notes.txt']);
    mkdirSync(join(dir, 'empty'));
    assert.ok((await captureTree(dir, join(dir, 'empty'))).files > 0);
  });
});

test('a folder that cannot be made is told', async () => {
  await withTree({}, async ({ dir }) => {
    writeFileSync(join(dir, 'file'), '');
    await assert.rejects(
      captureTree(dir, join(dir, 'file/tree')),
      (error) => error instanceof BerthError && error.reason === 'capture-unwritable',
    );
  });
});

test('what could not be read is in the report', async () => {
  await withTree({ pfs: [{}] }, async ({ dir }) => {
    writeFileSync(join(dir, 'sys/bus/pci/devices/0000:10:00.0/numa_node'), 'x');
    const { notes } = await captureTree(dir, join(dir, 'tree'));
    assert.deepEqual(notes, ['sys/bus/pci/devices/0000:10:00.0/numa_node: malformed']);
  });
});

test('a folder that cannot be made is told at once', async () => {
  await assert.rejects(
    captureTree('/', '/proc/berth/captured'),
    (error) => error instanceof BerthError && error.reason === 'capture-unwritable',
  );
});

test.run();
