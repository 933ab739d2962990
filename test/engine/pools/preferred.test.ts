import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { test } from 'uvu';
import { preferDevices } from '../../../src/engine/pools/preferred.ts';
import { parseSlot } from '../../../src/engine/pools/slot.ts';

const groupOf = (id: string): string | undefined => parseSlot(id)?.uplink;

const cases: readonly (readonly [string, readonly string[], readonly string[], number, readonly string[]])[] = [
  ['the fullest NIC that suffices is packed', ['a-1', 'a-2', 'a-3', 'b-1'], [], 1, ['b-1']],
  ['two devices come from one NIC', ['a-1', 'b-1', 'a-2', 'a-3'], [], 2, ['a-1', 'a-2']],
  ['devices join the NIC of those that must be included', ['a-1', 'b-1', 'b-2', 'b-3'], ['b-3'], 2, ['b-3', 'b-1']],
  ['when no NIC suffices the largest comes first', ['a-1', 'b-1', 'b-2'], [], 3, ['b-1', 'b-2', 'a-1']],
  ['too few devices are answered with what there is', ['a-1'], [], 3, ['a-1']],
  ['no device is an empty answer', [], [], 1, []],
  ['more that must be included than fit are cut', ['a-1', 'a-2'], ['a-1', 'a-2'], 1, ['a-1']],
  ['numbers are ordered as numbers', ['a-10', 'a-9'], [], 1, ['a-9']],
  ['ids of no pool are a group of their own', ['x', 'y'], [], 2, ['x', 'y']],
];
for (const [name, available, mustInclude, size, expected] of cases) {
  test(name, () => assert.deepEqual(preferDevices({ available, mustInclude, size, groupOf }), expected));
}

test('the answer has the right size, only available devices, those that must be, and ignores the order', () => {
  const ids = fc.uniqueArray(
    fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(9)).map(([nic, n]) => `${nic}-${n}`),
    {
      minLength: 1,
    },
  );
  fc.assert(
    fc.property(ids, fc.nat(6), fc.nat(6), (available, must, extra) => {
      const mustInclude = available.slice(0, must);
      const size = Math.min(available.length, mustInclude.length + extra);
      const answer = preferDevices({ available, mustInclude, size, groupOf });
      assert.equal(answer.length, size);
      assert.equal(new Set(answer).size, size);
      for (const id of mustInclude) assert.ok(answer.includes(id));
      for (const id of answer) assert.ok(available.includes(id));
      assert.deepEqual(preferDevices({ available: available.toReversed(), mustInclude, size, groupOf }), answer);
    }),
  );
});

const slots: readonly (readonly [string, string | undefined, number | undefined])[] = [
  ['eth0-3', 'eth0', 3],
  ['my-uplink-10', 'my-uplink', 10],
  ['eth0', undefined, undefined],
  ['-3', undefined, undefined],
  ['eth0-', undefined, undefined],
  ['eth0-03', undefined, undefined],
  ['eth0--1', 'eth0-', 1],
  ['0000:41:10.0', undefined, undefined],
];
for (const [id, uplink, slot] of slots) {
  test(`the slot ${id} is ${uplink === undefined ? 'none' : `${slot} of ${uplink}`}`, () => {
    assert.deepEqual(parseSlot(id), uplink === undefined ? undefined : { uplink, slot });
  });
}

test.run();
