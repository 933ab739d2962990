import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { errnoOf } from '../../../src/linux/files/io-error.ts';
import { makeFolder } from '../../../src/linux/files/make-folder.ts';

const test = suite<{ folder: string }>('make-folder');

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'berth-folder-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }));

test('a folder is made with all above it, with the mode, and one that is there stays as it is', ({ folder }) => {
  const deep = join(folder, 'a', 'b', 'c');
  makeFolder(deep, 0o700);
  for (const path of [deep, join(folder, 'a')]) assert.equal(statSync(path).mode & 0o777, 0o700);
  chmodSync(deep, 0o755);
  makeFolder(deep, 0o700);
  assert.equal(statSync(deep).mode & 0o777, 0o755);
  symlinkSync(deep, join(folder, 'link'));
  makeFolder(join(folder, 'link'));
});

test('what cannot be a folder is told, with the word of the system', ({ folder }) => {
  writeFileSync(join(folder, 'file'), '');
  symlinkSync(join(folder, 'nowhere', 'x'), join(folder, 'dangling'));
  mkdirSync(join(folder, 'there'));
  for (const [path, errno] of [
    [join(folder, 'file'), 'EEXIST'],
    [join(folder, 'file', 'x'), 'ENOTDIR'],
    [join(folder, 'dangling'), 'ENOENT'],
    [join(folder, 'dangling', 'x', 'y'), 'ENOENT'],
    ['/proc/berth/run', 'ENOENT'],
  ] as const) {
    assert.throws(
      () => makeFolder(path),
      (error: unknown) => errnoOf(error) === errno,
      path,
    );
  }
});

test.run();
