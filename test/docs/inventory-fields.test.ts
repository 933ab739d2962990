/** Every field of the inventory's JSON form is named on the inventory's page. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { suite } from 'uvu';

const test = suite('fields of the inventory');
const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/inventory.md'), 'utf8');
const inCode = new Set(
  [...page.matchAll(/`([^`\n]+)`|```[\s\S]*?```/g)].flatMap(([code]) => code.match(/[A-Za-z0-9]+/g) ?? []),
);

function fieldsOf(path: string): readonly string[] {
  const file = ts.createSourceFile(path, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.Latest, true);
  const fields = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isPropertySignature(node)) fields.add(node.name.getText());
    ts.forEachChild(node, visit);
  };
  visit(file);
  return [...fields];
}

for (const path of ['src/engine/inventory/model.ts']) {
  test(`the page names every field of ${path}`, () => {
    const fields = fieldsOf(path);
    assert.ok(fields.length > 80, `${fields.length} fields`);
    assert.deepEqual(
      fields.filter((field) => !inCode.has(field)),
      [],
    );
  });
}

test.run();
