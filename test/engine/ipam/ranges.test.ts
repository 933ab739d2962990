/** Range sets: defaults, and every problem with its place. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatIp } from '../../../src/engine/ipam/ip.ts';
import type { IpRange } from '../../../src/engine/ipam/model.ts';
import { parseRangeSets, rangeProblems } from '../../../src/engine/ipam/ranges.ts';

const test = suite('ranges');

test('gateway, start and end default to network + 1 and the last usable address', () => {
  const cases: readonly [IpRange, readonly string[]][] = [
    [{ subnet: '10.1.2.0/24' }, ['10.1.2.1', '10.1.2.254', '10.1.2.1']],
    [{ subnet: 'fd00:1::/64' }, ['fd00:1::1', 'fd00:1::ffff:ffff:ffff:ffff', 'fd00:1::1']],
    [
      { subnet: '10.0.0.0/8', rangeStart: '10.0.0.9', gateway: '10.255.255.254' },
      ['10.0.0.9', '10.255.255.254', '10.255.255.254'],
    ],
  ];
  for (const [spec, expected] of cases) {
    const range = parseRangeSets([[spec]])[0]?.[0];
    assert.ok(range);
    assert.equal([range.start, range.end, range.gateway].map(formatIp), expected);
  }
});

const wrong: readonly { name: string; sets: readonly (readonly IpRange[])[]; path: string; says: string }[] = [
  { name: 'no set', sets: [], path: 'ranges', says: 'there is no range' },
  { name: 'an empty set', sets: [[]], path: 'ranges[0]', says: 'empty' },
  { name: 'no CIDR', sets: [[{ subnet: '10.0.0.0' }]], path: 'ranges[0][0].subnet', says: 'not a network' },
  {
    name: 'a length with a leading zero',
    sets: [[{ subnet: '10.0.0.0/08' }]],
    path: 'ranges[0][0].subnet',
    says: 'not a network',
  },
  {
    name: 'host bits',
    sets: [[{ subnet: '10.0.0.1/24' }]],
    path: 'ranges[0][0].subnet',
    says: 'the network is 10.0.0.0/24',
  },
  { name: 'a /31', sets: [[{ subnet: '10.0.0.0/31' }]], path: 'ranges[0][0].subnet', says: 'too small' },
  {
    name: 'a start outside',
    sets: [[{ subnet: '10.0.0.0/24', rangeStart: '10.0.1.1' }]],
    path: 'ranges[0][0].rangeStart',
    says: 'not in 10.0.0.0/24',
  },
  {
    name: 'an end that is no address',
    sets: [[{ subnet: '10.0.0.0/24', rangeEnd: 'end' }]],
    path: 'ranges[0][0].rangeEnd',
    says: 'not an IP address',
  },
  {
    name: 'start after end',
    sets: [[{ subnet: '10.0.0.0/24', rangeStart: '10.0.0.9', rangeEnd: '10.0.0.8' }]],
    path: 'ranges[0][0]',
    says: 'after rangeEnd',
  },
  {
    name: 'a gateway that is no address',
    sets: [[{ subnet: '10.0.0.0/24', gateway: 'gw' }]],
    path: 'ranges[0][0].gateway',
    says: 'not an IP address',
  },
  {
    name: 'two families in a set',
    sets: [[{ subnet: '10.0.0.0/24' }, { subnet: 'fd00::/64' }]],
    path: 'ranges[0][1]',
    says: 'another family',
  },
  {
    name: 'overlap in a set',
    sets: [[{ subnet: '10.0.0.0/24' }, { subnet: '10.0.0.128/25' }]],
    path: 'ranges[0][1]',
    says: 'overlaps with ranges[0][0]',
  },
  {
    name: 'overlap between sets',
    sets: [[{ subnet: '10.0.0.0/24' }], [{ subnet: '10.0.0.0/25' }]],
    path: 'ranges[1][0]',
    says: 'overlaps with ranges[0][0]',
  },
];

for (const { name, sets, path, says } of wrong) {
  test(`refused with its place: ${name}`, () => {
    const problems = rangeProblems(sets);
    assert.equal(
      problems.map((problem) => problem.path),
      [path],
    );
    assert.match(problems[0]?.message ?? '', says);
  });
}

test('two halves of one subnet do not overlap', () => {
  assert.equal(
    rangeProblems([
      [{ subnet: '10.0.0.0/24', rangeEnd: '10.0.0.99' }],
      [{ subnet: '10.0.0.0/24', rangeStart: '10.0.0.100' }],
    ]),
    [],
  );
});

test('every problem is reported at once', () => {
  assert.is(rangeProblems([[{ subnet: 'x' }, { subnet: '10.0.0.0/24', rangeStart: 'y', rangeEnd: 'z' }]]).length, 3);
});

test.run();
