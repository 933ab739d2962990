/** The installation page names every folder of deploy/ that can be applied, and no other. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';

const test = suite('installation');
const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/installation.md'), 'utf8');
const named = new Set([...page.matchAll(/`(deploy\/[a-z./-]+)`/g)].map(([, path = '']) => path));

for (const folder of ['deploy/overlays', 'deploy/components']) {
  test(`every one of ${folder} is on the page`, () => {
    const present = readdirSync(join(root, folder)).map((name) => `${folder}/${name}`);
    assert.ok(present.length > 2);
    assert.deepEqual(
      present.filter((path) => !named.has(path)),
      [],
    );
  });
}

test('what the page names is there', () => {
  assert.deepEqual(
    [...named].filter((path) => !existsSync(join(root, path))),
    [],
  );
});

test.run();
