/** The mark of a removal: seen while it is held, by whoever looks, and worth nothing without its holder. */
import * as assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { isRemovalUnderWay, markRemoval } from '../../../src/linux/files/removal-mark.ts';

const test = suite<{ folder: string }>('removal mark');

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'berth-removal-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }));

test('it is seen while it is held, and gone afterwards', async ({ folder }) => {
  assert.equal(isRemovalUnderWay(folder), false);
  const mark = await markRemoval(folder);
  assert.deepEqual([isRemovalUnderWay(folder), isRemovalUnderWay(folder)], [true, true]);
  mark.release();
  assert.equal(isRemovalUnderWay(folder), false);
  assert.equal(existsSync(join(folder, 'removal')), false);
});

test('one that a killed removal left says nothing, and the next removal takes it', async ({ folder }) => {
  writeFileSync(join(folder, 'removal'), '');
  assert.equal(isRemovalUnderWay(folder), false);
  const mark = await markRemoval(folder);
  assert.equal(isRemovalUnderWay(folder), true);
  mark.release();
  assert.equal(isRemovalUnderWay(folder), false);
});

test('a second removal waits for the first, and its mark is seen then', async ({ folder }) => {
  const first = await markRemoval(folder);
  const second = markRemoval(folder);
  let hasSecond = false;
  void second.then(() => {
    hasSecond = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(hasSecond, false);
  first.release();
  const mark = await second;
  assert.equal(isRemovalUnderWay(folder), true);
  mark.release();
});

test('the run directory is made where no agent has run yet', async ({ folder }) => {
  const mark = await markRemoval(join(folder, 'run', 'berth'));
  assert.equal(isRemovalUnderWay(join(folder, 'run', 'berth')), true);
  mark.release();
});

test('a run directory that cannot be used is said', async ({ folder }) => {
  writeFileSync(join(folder, 'file'), '');
  await assert.rejects(markRemoval(join(folder, 'file', 'run')), { reason: 'removal-mark', code: 'Io' });
});

test.run();
