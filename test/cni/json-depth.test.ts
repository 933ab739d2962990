/** How deep a text is nested, whatever its words hold. */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { isTooDeep, MOST_LEVELS } from '../../src/cni/json-depth.ts';

const nested = (levels: number, inside = '1'): string => '['.repeat(levels) + inside + ']'.repeat(levels);
const CASES: readonly (readonly [string, string, boolean])[] = [
  ['as many levels as are taken', nested(MOST_LEVELS, '"more than two thousand bytes"'), false],
  ['one more', nested(MOST_LEVELS + 1), true],
  ['lists beside each other', `[${Array(MOST_LEVELS).fill('[]').join()}]`, false],
  ['brackets in words', `["${'['.repeat(3 * MOST_LEVELS)}"]`, false],
  ['brackets behind a quote in words', `["\\"${'['.repeat(3 * MOST_LEVELS)}"]`, false],
  ['brackets behind words that end with a backslash', `["\\\\",${nested(MOST_LEVELS)}]`, true],
];

for (const [what, json, expected] of CASES) {
  test(`${what} ${expected ? 'are' : 'are not'} too deep`, () => {
    assert.equal(isTooDeep(Buffer.from(json)), expected);
    assert.doesNotThrow(() => JSON.parse(json));
  });
}

test('what is read at all can be written again', () => {
  const value: unknown = JSON.parse(nested(MOST_LEVELS));
  assert.doesNotThrow(() => JSON.stringify(value));
});

test.run();
