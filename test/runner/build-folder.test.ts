/** What hack/build refuses before it builds anything: it takes the place of the folder that it is given. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';

const BUILD = resolve(import.meta.dirname, '../../hack/build');

const test = suite<{ folder: string }>('build folder');

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'berth-build-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }));

test('a folder that holds anything but a release is left alone', ({ folder }) => {
  const file = join(folder, 'precious');
  writeFileSync(file, 'kept');
  for (const target of [folder, file]) {
    const { status, stderr } = spawnSync(BUILD, [target], { encoding: 'utf8' });
    assert.equal(status, 2);
    assert.match(stderr, /is not empty and no release/);
  }
  assert.equal(readFileSync(file, 'utf8'), 'kept');
});

test('an option is no folder', ({ folder }) => {
  const { status, stderr } = spawnSync(BUILD, ['--help'], { cwd: folder, encoding: 'utf8' });
  assert.deepEqual([status, stderr], [2, 'usage: hack/build [FOLDER]\n']);
});

test.run();
