/** sriov-cni's folder on disk. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseContainerId, parseIfName, parsePciAddress } from '../../../src/engine/values.ts';
import { createSriovCniFiles } from '../../../src/linux/files/sriov-cni-files.ts';

const test = suite<{ folder: string }>('files of sriov-cni', { folder: '' });
const DEVICE = parsePciAddress('0000:41:10.0');
const ID = 'a'.repeat(64);

const key = (id: string, ifname: string) => ({ containerId: parseContainerId(id), ifname: parseIfName(ifname) });

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'berth-sriov-'));
  mkdirSync(join(context.folder, 'pci'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }));

test('a folder that is not there has nothing', ({ folder }) => {
  const files = createSriovCniFiles(join(folder, 'absent'));
  assert.equal(files.caches(), []);
  assert.is(files.cache(key(ID, 'net1')), undefined);
  assert.is(files.claim(DEVICE), undefined);
  files.removeCache(key(ID, 'net1'));
  files.removeClaim(DEVICE, '/run/netns/x');
});

test('caches are read with their time, and names that hold dashes are told apart', ({ folder }) => {
  for (const name of [`${ID}-net-1`, 'short-net1', 'nodash', '-net1', `${ID}-`, 'x-not a name'])
    writeFileSync(join(folder, name), '{"deviceID":1}');
  utimesSync(join(folder, 'short-net1'), 5, 5);
  const found = createSriovCniFiles(folder)
    .caches()
    .map(({ key: { containerId, ifname }, json, writtenAtMs }) => [containerId, ifname, json, writtenAtMs === 5000])
    .sort();
  assert.equal(found, [
    [ID, 'net-1', { deviceID: 1 }, false],
    ['short', 'net1', { deviceID: 1 }, true],
  ]);
});

test('what is no JSON, no file or too large is no cache of ours', ({ folder }) => {
  writeFileSync(join(folder, `${ID}-torn`), '{"dev');
  mkdirSync(join(folder, `${ID}-folder`));
  writeFileSync(join(folder, `${ID}-huge`), Buffer.alloc((1 << 20) + 1, 0x20));
  symlinkSync('/dev/zero', join(folder, `${ID}-endless`));
  const caches = createSriovCniFiles(folder).caches();
  assert.equal(
    caches.map(({ key: { ifname }, json }) => [ifname, json]),
    [['torn', undefined]],
  );
});

test('a claim is removed only when it still names that sandbox', ({ folder }) => {
  const files = createSriovCniFiles(folder);
  const path = join(folder, 'pci', DEVICE);
  writeFileSync(path, '/run/netns/b\n');
  assert.is(files.claim(DEVICE), '/run/netns/b');
  files.removeClaim(DEVICE, '/run/netns/a');
  assert.ok(existsSync(path));
  files.removeClaim(DEVICE, '/run/netns/b');
  assert.not.ok(existsSync(path));
});

test('a cache is removed once, and again without complaint', ({ folder }) => {
  writeFileSync(join(folder, `${ID}-net1`), '{}');
  const files = createSriovCniFiles(folder);
  chmodSync(folder, 0o700);
  files.removeCache(key(ID, 'net1'));
  files.removeCache(key(ID, 'net1'));
  assert.equal(files.caches(), []);
});

test.run();
