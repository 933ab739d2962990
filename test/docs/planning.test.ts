/** The plan that docs/planning.md shows is what the program says of the files that it shows. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { nodeAccess } from '../../src/app/node.ts';
import { renderPlan } from '../../src/cli/plan-output.ts';
import { withTree } from '../trees/temporary.ts';

const test = suite('planning page');
const page = readFileSync(join(import.meta.dirname, '../../docs/planning.md'), 'utf8');
const blocks = [...page.matchAll(/^```(yaml)?\n([\s\S]*?)^```$/gm)].map(([, language, text = '']) => ({
  language,
  text,
}));
const [next, old] = blocks.filter(({ language }) => language === 'yaml');
const shown = blocks.find(({ text }) => text.startsWith('RESOURCE'));

test('the page shows two files and a plan', () => assert.ok(next && old && shown));

test('the plan is what the program prints', async () => {
  const pfs = [{ vfs: 8 }, { vfs: 32, netdev: { carrier: false } }, { totalVfs: 0 }];
  await withTree({ node: 'worker-1', numaNodes: 2, pfs }, async ({ dir }) => {
    const [file, against] = [join(dir, 'new.yaml'), join(dir, 'old.yaml')];
    writeFileSync(file, next?.text ?? '');
    writeFileSync(against, old?.text ?? '');
    const report = await nodeAccess.plan({ root: dir, file, against });
    assert.deepEqual(report.problems, []);
    assert.equal(renderPlan(report, 'table', 'old.yaml'), shown?.text);
  });
});

test.run();
