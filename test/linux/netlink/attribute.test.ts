import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { AttributeIndex, AttributeWriter } from '../../../src/linux/netlink/wire/attribute.ts';
import { malformedError } from './malformed.ts';
import { bytes } from './recorded.ts';

function indexOf(fill: (writer: AttributeWriter) => void): AttributeIndex {
  const writer = new AttributeWriter();
  fill(writer);
  return new AttributeIndex(writer.bytes());
}

test('attributes are found by type, each as it was written', () => {
  const found = indexOf((to) =>
    to.u8(1, 200).u32(2, 4_000_000_000).s32(3, -1).text(4, 'net1').put(5, Buffer.from('ab')),
  );
  assert.deepEqual(
    [found.u8(1), found.u32(2), found.s32(3), found.text(4), found.get(5)?.toString()],
    [200, 4_000_000_000, -1, 'net1', 'ab'],
  );
});

test('of two of one type the last counts, as for the kernel', () => {
  assert.equal(indexOf((to) => to.u32(7, 1).u32(7, 2)).u32(7), 2);
});

test('what is not there is undefined', () => {
  const found = indexOf((to) => to.u32(7, 1));
  assert.deepEqual([found.get(8), found.u8(8), found.u32(8), found.s32(8), found.text(8)], Array(5).fill(undefined));
});

test('a number in too few bytes is refused, and only when it is asked for', () => {
  const found = indexOf((to) => to.u8(7, 1));
  assert.equal(found.u8(7), 1);
  assert.throws(() => found.u32(7), malformedError);
  assert.throws(() => found.s32(7), malformedError);
  assert.throws(() => indexOf((to) => to.put(7, Buffer.alloc(0))).u8(7), malformedError);
});

for (const hex of ['0300', '03000100', '0c00010001000000', '080001000100000004']) {
  test(`attributes that leave their bounds are refused: ${hex}`, () => {
    assert.throws(() => new AttributeIndex(bytes(hex)), malformedError);
  });
}

test.run();
