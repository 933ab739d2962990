/** Addresses as text and number. */
import * as fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  asIp,
  asPrefix,
  formatIp,
  formatIpv4,
  ipv4Number,
  sameAddress,
  sameNetwork,
} from '../../../src/engine/ipam/ip.ts';

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
    '...',
    '10.0.0.1.',
    '.10.0.0.1',
    '10..0.1',
    '10.0.0.1.2',
    '10.0.0.00',
    '1000.0.0.1',
    '10.0.0.1 ',
    '-1.0.0.1',
    '10.0.0.\u0661',
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

test('what is an IPv4 address and what it says is as a library has it', () => {
  const part = fc.oneof(
    fc.nat(300).map(String),
    fc.constantFrom('', '0', '00', '01', '255', '256', 'a', '1e1', ' 1', '+1'),
  );
  const text = fc.oneof(
    fc.array(part, { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.')),
    fc.tuple(part, part, part, part).map((parts) => parts.join('.')),
  );
  fc.assert(
    fc.property(text, (given) => {
      const known = ipaddr.IPv4.isValidFourPartDecimal(given) ? ipaddr.IPv4.parse(given) : undefined;
      const number = ipv4Number(given);
      assert.is(number === undefined, known === undefined, given);
      if (number === undefined) return;
      assert.is(formatIpv4(number), known?.toString());
    }),
    { numRuns: 2000 },
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
