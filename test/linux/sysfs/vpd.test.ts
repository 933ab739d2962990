import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { test } from 'uvu';
import { parseVpd } from '../../../src/linux/sysfs/vpd.ts';

/** Identifier string "NIC", a read-only section with PN, SN and RV, and the end tag. */
const WHOLE = Buffer.from(
  '8203004e4943' + '901900' + '504e05' + '4131422d32' + '534e08' + '5a5a3030373720' + '20' + '525603' + '8d0000' + '78',
  'hex',
);

test('part and serial number are found behind other sections, without their padding', () => {
  assert.deepEqual(parseVpd(WHOLE), { partNumber: 'A1B-2', serial: 'ZZ0077' });
});

test('every truncation gives what is whole, or nothing', () => {
  for (let length = 0; length < WHOLE.length; length += 1) {
    const parsed = parseVpd(WHOLE.subarray(0, length));
    if (length < WHOLE.length - 1) assert.equal(parsed, undefined, `${length} bytes`);
    else assert.equal(parsed?.serial, 'ZZ0077');
  }
});

const broken: readonly (readonly [string, string])[] = [
  ['nothing but ones, as an absent EEPROM reads', 'ff'.repeat(64)],
  ['zeros', '00'.repeat(64)],
  ['a section that is longer than the bytes', '90ffff504e0141'],
  ['an end tag first', `78${WHOLE.toString('hex')}`],
];
for (const [name, hex] of broken) {
  test(`no data in ${name}`, () => {
    assert.equal(parseVpd(Buffer.from(hex, 'hex')), undefined);
  });
}

test('a field that overruns its section ends it', () => {
  assert.deepEqual(parseVpd(Buffer.from('900700' + '504e0141' + '534eff', 'hex')), { partNumber: 'A' });
});

test('a field that is not text is left out', () => {
  assert.deepEqual(parseVpd(Buffer.from('900800' + '534e05' + '1b5b324a41', 'hex')), {});
});

test('any bytes are parsed in bounded time and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 512 }), (bytes) => {
      const parsed = parseVpd(bytes);
      for (const text of [parsed?.serial, parsed?.partNumber]) assert.match(text ?? 'x', /^[\x20-\x7e]+$/);
    }),
  );
});

test.run();
