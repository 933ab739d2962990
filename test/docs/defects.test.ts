/** Every test that docs/defects.md names is there, in the file and under the name that the page gives it. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/defects.md'), 'utf8');

const test = suite('defects');

/** Rows of the page's tables, without their heads. */
const rows = page
  .split('\n')
  .filter((line) => line.startsWith('|') && !/^\|(?:[-|]+$| Defect )/.test(line))
  .map((line) => line.slice(1, -1).split(' | '));

/** Texts between quotes of any kind in a source file: names of tests are among them, with their variable parts as `${}`. */
function quoted(source: string): readonly string[] {
  const texts = source.matchAll(/'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g);
  return [...texts].map(([, single, double, template]) => single ?? double ?? template ?? '');
}

test('the page has a row for each defect, with a test', () => {
  assert.ok(rows.length >= 17);
  for (const [defect = '', here = '', shownBy = ''] of rows) {
    assert.ok(defect.trim().length > 0 && here.trim().length > 0, defect);
    assert.match(shownBy, /^ ?`test\/[^`]+\.ts`: "[^"]+"/, defect);
  }
});

for (const [, , shownBy = ''] of rows) {
  for (const [, file = '', name = ''] of shownBy.matchAll(/`([^`]+)`: "([^"]+)"/g)) {
    test(`${file} has a test called ${name}`, () => {
      assert.ok(existsSync(join(root, file)), `there is no ${file}`);
      const names = quoted(readFileSync(join(root, file), 'utf8'));
      const isNamed = names.some((text) => text === name || text.replaceAll(/\$\{[^}]*\}:? ?/g, '') === name);
      assert.ok(isNamed, `${file} has no test called ${JSON.stringify(name)}`);
    });
  }
}

test.run();
