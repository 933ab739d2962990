import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { openTree } from '../../../src/linux/sysfs/tree.ts';

const test = suite<{ root: string }>('tree');

test.before.each((context) => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-tree-'));
  context.root = join(folder, 'root');
  mkdirSync(join(context.root, 'sys/a'), { recursive: true });
  writeFileSync(join(context.root, 'sys/a/value'), 'inside\n');
  writeFileSync(join(folder, 'secret'), 'outside\n');
});
test.after.each(({ root }) => rmSync(join(root, '..'), { recursive: true, force: true }));

test('an attribute is its text without the end of line', ({ root }) => {
  assert.equal(openTree(root).text('sys/a/value'), 'inside');
});

for (const path of ['sys/a/none', 'sys/none/value', 'none']) {
  test(`what is not there is undefined, not an error: ${path}`, async ({ root }) => {
    const tree = openTree(root);
    assert.equal(tree.real(path), undefined);
    assert.equal(tree.list(path), undefined);
    assert.equal(tree.linkTarget(path), undefined);
    assert.equal(tree.inode(path), undefined);
    assert.equal(tree.text(path), undefined);
    assert.equal(await tree.textLater(path), undefined);
  });
}

const escapes: readonly (readonly [string, string])[] = [
  ['a relative link above the root', '../../../secret'],
  ['a link through a folder and above', '../a/../../../secret'],
];

for (const [name, target] of escapes) {
  test(`${name} is refused`, async ({ root }) => {
    symlinkSync(target, join(root, 'sys/a/escape'));
    const tree = openTree(root);
    assert.throws(() => tree.text('sys/a/escape'), /leads out of the tree/);
    assert.throws(() => tree.real('sys/a/escape'), /leads out of the tree/);
    await assert.rejects(tree.textLater('sys/a/escape'), /leads out of the tree/);
  });
}

test('a folder that leads out of the tree cannot be passed through', ({ root }) => {
  symlinkSync('../../..', join(root, 'sys/a/up'));
  const tree = openTree(root);
  assert.throws(() => tree.text('sys/a/up/secret'), /leads out of the tree/);
  assert.throws(() => tree.list('sys/a/up'), /leads out of the tree/);
});

test('an absolute link means the root of the tree', ({ root }) => {
  symlinkSync('/sys/a', join(root, 'sys/b'));
  symlinkSync(join(root, '..', 'secret'), join(root, 'sys/c'));
  const tree = openTree(root);
  assert.equal(tree.real('sys/b'), 'sys/a');
  assert.equal(tree.text('sys/b/value'), 'inside');
  assert.equal(tree.text('sys/c'), undefined);
});

test('links that go in circles are refused', ({ root }) => {
  symlinkSync('two', join(root, 'sys/a/one'));
  symlinkSync('one', join(root, 'sys/a/two'));
  symlinkSync('self/deeper', join(root, 'sys/a/self'));
  const tree = openTree(root);
  assert.throws(() => tree.text('sys/a/one'), /too many symbolic links/);
  assert.throws(() => tree.list('sys/a/self'), /too many symbolic links/);
});

test('a link is told verbatim and not followed', ({ root }) => {
  symlinkSync('../../../../etc/passwd', join(root, 'sys/a/driver'));
  assert.equal(openTree(root).linkTarget('sys/a/driver'), '../../../../etc/passwd');
});

test('a file that is larger than a page is refused', async ({ root }) => {
  writeFileSync(join(root, 'sys/a/large'), 'x'.repeat(4097));
  writeFileSync(join(root, 'sys/a/page'), 'x'.repeat(4096));
  const tree = openTree(root);
  assert.throws(() => tree.text('sys/a/large'), /larger than a page/);
  await assert.rejects(tree.bytesLater('sys/a/large', 100), /larger than 100 bytes/);
  assert.equal(tree.text('sys/a/page')?.length, 4096);
});

test('a folder where a file should be is refused', async ({ root }) => {
  mkdirSync(join(root, 'sys/a/folder'));
  assert.throws(() => openTree(root).text('sys/a/folder'), /not a regular file/);
  await assert.rejects(openTree(root).textLater('sys/a/folder'), /not a regular file/);
});

test('a FIFO is not opened, directly or through a link', async ({ root }) => {
  execFileSync('mkfifo', [join(root, 'sys/a/fifo')]);
  symlinkSync('fifo', join(root, 'sys/a/to-fifo'));
  const tree = openTree(root);
  for (const name of ['fifo', 'to-fifo']) {
    assert.throws(() => tree.text(`sys/a/${name}`), /not a regular file/);
    await assert.rejects(tree.bytesLater(`sys/a/${name}`, 10), /not a regular file/);
  }
});

test('what was resolved before is resolved anew after forgetting', ({ root }) => {
  const tree = openTree(root);
  assert.equal(tree.text('sys/a/new'), undefined);
  writeFileSync(join(root, 'sys/a/new'), '1\n');
  tree.forget();
  assert.equal(tree.text('sys/a/new'), '1');
});

test('a file where a folder should be is an error', ({ root }) => {
  assert.throws(() => openTree(root).real('sys/a/value/deeper'), { code: 'ENOTDIR' });
});

test('a root that does not exist is an error', () => {
  assert.throws(() => openTree('/nonexistent/tree'), { code: 'ENOENT' });
});

test('the live root reads the running kernel', () => {
  const tree = openTree('/');
  assert.ok(tree.live);
  assert.match(tree.text('proc/sys/kernel/random/boot_id') ?? '', /^[0-9a-f-]{36}$/);
  assert.equal(tree.text('proc/sys/kernel/no-such-value'), undefined);
});

test.run();
