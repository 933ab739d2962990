import assert from 'node:assert/strict';
import { test } from 'uvu';
import { indexRanges } from '../../../src/engine/inventory/index-ranges.ts';

for (const [indexes, ranges] of [
  [[], []],
  [[3], ['3']],
  [[0, 1, 2], ['0-2']],
  [
    [7, 0, 1, 3, 3, 4, 10],
    ['0-1', '3-4', '7', '10'],
  ],
] as const) {
  test(`VFs ${indexes.join(' ')} are written ${JSON.stringify(ranges)}`, () => {
    assert.deepEqual(indexRanges(indexes), ranges);
  });
}

test.run();
