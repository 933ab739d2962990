/** How samples become the rows of `hack/bench --json`, and what counts as such a row. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { measurement, medianAndTail, parseMeasurements, quantile } from '../../hack/bench.d/measurement.ts';
import { table } from '../../hack/bench.d/output.ts';

const QUANTILES: readonly { samples: readonly number[]; share: number; expected: number }[] = [
  { samples: [7], share: 0.5, expected: 7 },
  { samples: [3, 1, 2], share: 0.5, expected: 2 },
  { samples: [4, 1, 3, 2], share: 0.5, expected: 2.5 },
  { samples: [10, 9, 100], share: 0.5, expected: 10 },
  { samples: [0, 10], share: 0.9, expected: 9 },
  { samples: [5, 1, 3], share: 0, expected: 1 },
  { samples: [5, 1, 3], share: 1, expected: 5 },
];

for (const { samples, share, expected } of QUANTILES) {
  test(`the ${share} quantile of ${samples.join(', ')} is ${expected}`, () => {
    assert.equal(quantile(samples, share), expected);
  });
}

test('a quantile of nothing is an error and not a number', () => {
  assert.throws(() => quantile([], 0.5), /no samples/);
});

test('a measurement holds the medians and what share of the peer and the limit they are', () => {
  assert.deepEqual(measurement('cni.x', 'ms', { berth: [2, 4, 3], peer: [12, 12, 11], limit: [1.5] }), {
    name: 'cni.x',
    unit: 'ms',
    berth: 3,
    peer: 12,
    limit: 1.5,
    ratioPeer: 0.25,
    ratioLimit: 2,
    runs: 3,
  });
});

test('a side that was not measured is null, and so is a ratio to it', () => {
  assert.deepEqual(measurement('agent.rss', 'MiB', { berth: [80] }), {
    name: 'agent.rss',
    unit: 'MiB',
    berth: 80,
    peer: null,
    limit: null,
    ratioPeer: null,
    ratioLimit: null,
    runs: 1,
  });
  assert.equal(measurement('cni.x', 'ms', { berth: [], peer: [1] }).ratioPeer, null);
  assert.equal(measurement('cni.x', 'ms', { berth: [1], limit: [0] }).ratioLimit, null);
});

test('the tail is a row of its own', () => {
  const [median, tail] = medianAndTail('cni.x', 'us', { berth: [0, 0, 10] });
  assert.deepEqual([median?.name, median?.berth, tail?.name, tail?.berth], ['cni.x', 0, 'cni.x.p90', 8]);
});

test('what was printed as JSON is read back as it was', () => {
  const rows = medianAndTail('cni.macvlan.add', 'ms', { berth: [1, 2], peer: [8, 9] });
  assert.deepEqual(parseMeasurements(JSON.stringify(rows)), rows);
});

const ROW = measurement('cni.x', 'ms', { berth: [1] });
const BAD: readonly { what: string; value: unknown; message: RegExp }[] = [
  { what: 'something that is no array', value: ROW, message: /not an array/ },
  { what: 'a row that is no object', value: [ROW, null], message: /measurement 1: not an object/ },
  { what: 'a name without a benchmark', value: [{ ...ROW, name: 'add' }], message: /name/ },
  { what: 'an unknown unit', value: [{ ...ROW, unit: 's' }], message: /unit/ },
  { what: 'a value that is text', value: [{ ...ROW, peer: '1' }], message: /peer/ },
  { what: 'a missing value', value: [{ ...ROW, limit: undefined }], message: /limit/ },
  { what: 'runs that are no count', value: [{ ...ROW, runs: 1.5 }], message: /runs/ },
  { what: 'a field beyond the shape', value: [{ ...ROW, mean: 1 }], message: /mean/ },
];

for (const { what, value, message } of BAD) {
  test(`${what} is refused as a report`, () => {
    assert.throws(() => parseMeasurements(JSON.stringify(value)), message);
  });
}

test('the table has a line for each row and a dash for what does not apply', () => {
  const lines = table([ROW, measurement('agent.rss', 'MiB', { berth: [1234], limit: [617] })]).split('\n');
  assert.equal(lines.length, 4);
  assert.match(lines[1] ?? '', /^cni\.x +ms +1\.00 +- +- +- +- +1$/);
  assert.match(lines[2] ?? '', /^agent\.rss +MiB +1234 +- +617 +- +2\.00x +1$/);
});

test.run();
