/** Addresses as text and number. */
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { asIp, asPrefix, formatIp, sameAddress, sameNetwork } from '../../../src/engine/ipam/ip.ts';

const test = suite('ip');

test('text that is no address is refused', () => {
  for (const text of [
    '',
    '10.0.0',
    '10.0.0.256',
    '010.0.0.1',
    '0x0a000001',
    '10.0.0.1/24',
    'fe80::1%eth0',
    ':::',
    '1::2::3',
    '..',
  ]) {
    assert.is(asIp(text), undefined, text);
  }
});

test("the canonical text is that of Go's net.IP", () => {
  const cases = {
    'FD00:0:0:0:0:0:0:1': 'fd00::1',
    '2001:db8:0:1:1:1:1:1': '2001:db8:0:1:1:1:1:1',
    '2001:0:0:1:0:0:0:1': '2001:0:0:1::1',
    '::': '::',
    '::ffff:10.0.0.1': '10.0.0.1',
    '10.0.0.1': '10.0.0.1',
  };
  for (const [text, canonical] of Object.entries(cases)) {
    const ip = asIp(text);
    assert.is(ip === undefined ? undefined : formatIp(ip), canonical);
  }
});

test('every address survives being written and read', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), (value) => {
      const ip = { family: 6, value } as const;
      const mapped = value >> 32n === 0xffffn;
      assert.equal(asIp(formatIp(ip)), mapped ? { family: 4, value: value & 0xffffffffn } : ip);
    }),
  );
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }), (value) =>
      assert.equal(asIp(formatIp({ family: 4, value })), { family: 4, value }),
    ),
  );
});

test('prefix lengths beyond the family are refused', () => {
  for (const text of ['10.0.0.0/33', 'fd00::/129', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/8/8'])
    assert.is(asPrefix(text), undefined, text);
});

test('addresses and networks are compared by value', () => {
  assert.ok(sameAddress('fd00::1/64', 'FD00:0::1/64'));
  assert.not.ok(sameAddress('10.0.0.1/24', '10.0.0.1/25'));
  assert.ok(sameAddress('10.0.0.1/24', '10.0.0.1'));
  assert.ok(sameNetwork('10.0.0.5/24', '10.0.0.0/24'));
  assert.not.ok(sameNetwork('0.0.0.0/0', '::/0'));
});

test.run();
