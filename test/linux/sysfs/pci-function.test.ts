import assert from 'node:assert/strict';
import {
  mkdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'uvu';
import { BerthError } from '../../../src/engine/errors.ts';
import { parsePciAddress } from '../../../src/engine/values.ts';
import { readPciFunction } from '../../../src/linux/sysfs/pci-function.ts';
import { changeTree } from '../../trees/generate.ts';
import { withTree } from '../../trees/temporary.ts';

const PF = parsePciAddress('0000:10:00.0');
const VF = parsePciAddress('0000:10:02.1');

for (const layout of ['plain', 'virtio'] as const) {
  test(`a VF tells its PF, index and netdev (${layout} layout)`, async () => {
    await withTree({ pfs: [{ vfs: 2, layout }] }, async ({ dir }) => {
      const found = await readPciFunction(dir, VF);
      assert.match(found?.incarnation ?? '', /^[0-9]+$/);
      assert.deepEqual(found, {
        address: VF,
        driver: 'iavf',
        ifname: 'eth0v1',
        pf: { address: PF, ifname: 'eth0' },
        vfIndex: 1,
        incarnation: found?.incarnation,
        iommuGroup: 3,
      });
    });
  });
}

test('a PF has no PF', async () => {
  await withTree({ pfs: [{ vfs: 1 }] }, async ({ dir }) => {
    const found = await readPciFunction(dir, PF);
    assert.deepEqual([found?.ifname, found?.pf, found?.vfIndex], ['eth0', undefined, undefined]);
  });
});

test('a function without driver or netdev has neither, and one that is gone is undefined', async () => {
  await withTree({ pfs: [{ vfs: 2 }] }, async ({ dir }) => {
    changeTree.rebind(dir, VF, null);
    const found = await readPciFunction(dir, VF);
    assert.deepEqual([found?.driver, found?.ifname, found?.vfIndex], [undefined, undefined, 1]);
    changeTree.removeVf(dir, PF, 1);
    assert.equal(await readPciFunction(dir, VF), undefined);
  });
});

test('a VF that has another number than before is found under it', async () => {
  await withTree({ pfs: [{ vfs: 2 }] }, async ({ dir }) => {
    assert.equal((await readPciFunction(dir, VF))?.vfIndex, 1);
    const link = (index: number): string => join(dir, 'sys/bus/pci/devices', PF, `virtfn${index}`);
    const [first, second] = [readlinkSync(link(0)), readlinkSync(link(1))];
    for (const index of [0, 1]) unlinkSync(link(index));
    symlinkSync(second, link(0));
    symlinkSync(first, link(1));
    assert.equal((await readPciFunction(dir, VF))?.vfIndex, 0);
    unlinkSync(link(0));
    assert.equal((await readPciFunction(dir, VF))?.vfIndex, undefined);
  });
});

test('a netdev that has another name than before, or is not the only one any more, is judged anew', async () => {
  await withTree({ pfs: [{ vfs: 1 }] }, async ({ dir }) => {
    const ifnameOf = async (): Promise<string | undefined> => (await readPciFunction(dir, PF))?.ifname;
    const net = join(realpathSync(join(dir, 'sys/bus/pci/devices', PF)), 'net');
    assert.equal(await ifnameOf(), 'eth0');
    renameSync(join(net, 'eth0'), join(net, 'uplink'));
    assert.equal(await ifnameOf(), 'uplink');
    assert.equal(await ifnameOf(), 'uplink');
    // A representor that comes later sorts before it.
    mkdirSync(join(net, 'rep0'));
    for (const [name, port] of Object.entries({ uplink: 'p0', rep0: 'pf0vf0' })) {
      writeFileSync(join(net, name, 'phys_port_name'), `${port}\n`);
      rmSync(join(dir, 'sys/class/net', name), { force: true });
      symlinkSync(
        relative(realpathSync(join(dir, 'sys/class/net')), join(net, name)),
        join(dir, 'sys/class/net', name),
      );
    }
    assert.equal(await ifnameOf(), 'uplink');
    rmSync(join(net, 'uplink'), { recursive: true });
    assert.equal(await ifnameOf(), 'rep0', 'an only netdev is the own one');
    rmSync(join(net, 'rep0'), { recursive: true });
    assert.equal(await ifnameOf(), undefined);
  });
});

test('a function whose files cannot be read is an error, not a guess', async () => {
  await withTree({ pfs: [{ vfs: 1 }] }, async ({ dir }) => {
    const driver = join(dir, 'sys/bus/pci/devices', PF, 'driver');
    assert.ok(readlinkSync(driver));
    unlinkSync(driver);
    writeFileSync(driver, '');
    await assert.rejects(
      readPciFunction(dir, PF),
      (error) => error instanceof BerthError && error.reason === 'pci-function-unreadable',
    );
  });
});

test.run();
