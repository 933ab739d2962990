/** The command line of `hack/bench`: data on stdout and nothing else, words on stderr, 2 for wrong usage. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'uvu';
import { parseMeasurements } from '../../hack/bench.d/measurement.ts';
import { hasLinkKind, requireFeature } from '../runner/features.ts';

const BENCH = new URL('../../hack/bench.d/main.ts', import.meta.url).pathname;

function bench(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [BENCH, ...args], { encoding: 'utf8' });
}

const WRONG: readonly { args: string[]; message: RegExp }[] = [
  { args: [], message: /name a benchmark/ },
  { args: ['nosuch'], message: /no benchmark "nosuch"/ },
  { args: ['cni', '--runs', 'many'], message: /--runs many/ },
  { args: ['cni', '--runs', '0'], message: /--runs 0/ },
  { args: ['cni', '--sides', 'berth,go'], message: /no side "go"/ },
  { args: ['cni', '--fast'], message: /--fast/ },
  { args: ['discovery', '--lab'], message: /discovery has no part for the lab/ },
];

for (const { args, message } of WRONG) {
  test(`hack/bench ${args.join(' ')} is wrong usage`, () => {
    const { status, stdout, stderr } = bench(...args);
    assert.equal(status, 2);
    assert.equal(stdout, '');
    assert.match(stderr, message);
    assert.match(stderr, /^usage: /m);
  });
}

test('help is data and not a failure', () => {
  const { status, stdout, stderr } = bench('--help');
  assert.equal(status, 0);
  assert.match(stdout, /^usage: hack\/bench NAME/);
  assert.equal(stderr, '');
});

if (requireFeature('macvlan', hasLinkKind('macvlan'))) {
  test('--json prints the measurements alone, with null for the sides that were left out', () => {
    const { status, stdout, stderr } = bench('cni', '--sides', 'limit', '--runs', '1', '--json');
    assert.equal(status, 0, stderr);
    const rows = parseMeasurements(stdout);
    assert.deepEqual(
      rows.map((row) => row.name).filter((name) => !name.endsWith('.p90')),
      [
        'cni.macvlan.add',
        'cni.macvlan.add.first',
        'cni.macvlan.del',
        'cni.macvlan.del.settled',
        'cni.macvlan.add64',
        'cni.macvlan.del64',
        'cni.macvlan.del64.settled',
      ],
    );
    for (const row of rows) {
      assert.ok(row.limit !== null && row.limit > 0, row.name);
      assert.deepEqual([row.berth, row.peer, row.ratioPeer, row.ratioLimit], [null, null, null, null]);
    }
  });
}

test.run();
