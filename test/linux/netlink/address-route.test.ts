import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { BerthError } from '../../../src/engine/errors.ts';
import { readAddress, writeAddress, writeAddressDump } from '../../../src/linux/netlink/address.ts';
import { ipFromBytes, ipToBytes, prefixToBytes } from '../../../src/linux/netlink/ip-address.ts';
import { readNsid, writeNsidAssign, writeNsidGet } from '../../../src/linux/netlink/nsid.ts';
import { readRoute, writeRoute, writeRouteDump } from '../../../src/linux/netlink/route.ts';
import { AttributeWriter } from '../../../src/linux/netlink/wire/attribute.ts';
import { readMessages } from '../../../src/linux/netlink/wire/message.ts';
import { malformedError } from './malformed.ts';
import { bytes, recorded } from './recorded.ts';

function written(fill: (writer: AttributeWriter) => void): string {
  const writer = new AttributeWriter();
  fill(writer);
  return writer.bytes().toString('hex');
}

test('addresses are read with prefix length, scope and state', () => {
  const read = readMessages(bytes(recorded.addresses)).map(({ payload }) => readAddress(payload));
  const settled = { ifindex: 3, tentative: false, dadFailed: false };
  assert.deepEqual(read, [
    { ...settled, address: '10.9.0.2/24', family: 4, scope: 'global' },
    { ...settled, address: 'fd00::2/64', family: 6, scope: 'global' },
    { ...settled, address: 'fe80::ff:fe00:1/64', family: 6, scope: 'link', tentative: true },
  ]);
});

const ADDRESSES = [
  {
    address: '10.9.0.2/24',
    noDad: false,
    hex: '0218000003000000' + '080002000a090002' + '080001000a090002' + '080004000a0900ff',
  },
  { address: '10.9.0.2/32', noDad: false, hex: '0220000003000000' + '080002000a090002' + '080001000a090002' },
  {
    address: 'fd00::2/64',
    noDad: true,
    hex: [
      '0a40000003000000',
      '14000200' + 'fd000000000000000000000000000002',
      '14000100' + 'fd000000000000000000000000000002',
      '0800080002000000',
    ].join(''),
  },
];

for (const { address, noDad, hex } of ADDRESSES) {
  test(`an address is written: ${address}`, () => {
    assert.equal(
      written((to) => writeAddress(to, 3, prefixToBytes(address), noDad)),
      hex,
    );
  });
}

test('addresses and routes are asked for by interface', () => {
  assert.equal(
    written((to) => writeAddressDump(to, 3)),
    '0000000003000000',
  );
  assert.equal(
    written((to) => writeRouteDump(to, 4, 3)),
    `02${'00'.repeat(11)}0800040003000000`,
  );
  assert.equal(
    written((to) => writeRouteDump(to, 6)),
    `0a${'00'.repeat(11)}`,
  );
});

test('routes are read with gateway, metrics and what they are', () => {
  const [connected, through, local] = readMessages(bytes(recorded.routes)).map(({ payload }) => readRoute(payload));
  const plain = { unicast: true, cached: false, isDefault: false, table: 254 };
  assert.deepEqual(connected, { ...plain, dst: '10.9.0.0/24', scope: 253, hops: [{ ifindex: 3 }] });
  const metrics = { mtu: 1400, advmss: 1360, priority: 9 };
  const gateway = '10.9.0.1';
  const hops = [{ ifindex: 3, gateway }];
  assert.deepEqual(through, { ...plain, dst: '10.20.0.0/16', gateway, scope: 0, hops, ...metrics });
  assert.deepEqual([local?.unicast, local?.table, local?.scope], [false, 255, 254]);
});

test('a default route over two interfaces names both, each with its gateway', () => {
  const hops = '0800000005000000' + '1000000007000000' + '080005000a090001';
  const route = readRoute(bytes(`02000000fe030001000000001c000900${hops}`));
  assert.deepEqual(route?.hops, [{ ifindex: 5 }, { ifindex: 7, gateway: '10.9.0.1' }]);
  assert.equal(route?.isDefault, true);
  assert.equal(route?.dst, '0.0.0.0/0');
});

test('a gateway of the other family is read and written', () => {
  const via = '16001200' + '0a00' + 'fe800000000000000000000000000001' + '0000';
  assert.equal(readRoute(bytes(`02100000fe03000100000000080001000a140000${via}`))?.gateway, 'fe80::1');
  const hex = written((to) => writeRoute(to, 3, { dst: '10.20.0.0/16', gateway: 'fe80::1' }, 'add'));
  assert.ok(hex.includes(via), hex);
});

test('routes of other families are passed over', () => {
  assert.equal(readRoute(bytes('1c0000000000000000000000')), undefined);
});

const TAIL = '0800040003000000' + '08000f00fe000000';
const ROUTES = [
  {
    name: 'through a gateway',
    route: { dst: '10.20.0.0/16', gateway: '10.9.0.1' },
    verb: 'add' as const,
    hex: `02100000fe03000100000000${'080001000a140000' + '080005000a090001'}${TAIL}`,
  },
  {
    name: 'on the link',
    route: { dst: '10.20.0.0/16' },
    verb: 'add' as const,
    hex: `02100000fe03fd0100000000${'080001000a140000'}${TAIL}`,
  },
  {
    name: 'with a large table and metrics',
    route: { dst: '0.0.0.0/0', gateway: '10.9.0.1', table: 1000, priority: 5, mtu: 1400, advmss: 1360, scope: 0 },
    verb: 'add' as const,
    hex: [
      '020000000003000100000000' + '080005000a090001' + '0800040003000000' + '08000f00e8030000',
      '0800060005000000' + '14000880' + '0800020078050000' + '0800080050050000',
    ].join(''),
  },
  {
    name: 'to be deleted, whoever made it',
    route: { dst: '10.20.0.0/16' },
    verb: 'delete' as const,
    hex: `02100000fe00ff0000000000${'080001000a140000'}${TAIL}`,
  },
];

for (const { name, route, verb, hex } of ROUTES) {
  test(`a route is written: ${name}`, () => {
    assert.equal(
      written((to) => writeRoute(to, 3, route, verb)),
      hex,
    );
  });
}

test('a namespace id is read, also when there is none', () => {
  const [message] = readMessages(bytes(recorded.nsidNotAssigned));
  assert.ok(message);
  assert.equal(readNsid(message.payload), undefined);
  assert.equal(readNsid(bytes('000000000800010005000000')), 5);
  assert.throws(() => readNsid(bytes('00000000')), malformedError);
});

test('a namespace id is asked for and assigned by descriptor', () => {
  assert.equal(
    written((to) => writeNsidGet(to, { fd: 9 })),
    '00000000' + '0800030009000000',
  );
  assert.equal(
    written((to) => writeNsidGet(to, { nsid: 2 })),
    '00000000' + '0800010002000000',
  );
  assert.equal(
    written((to) => writeNsidAssign(to, 9)),
    '00000000' + '08000100ffffffff' + '0800030009000000',
  );
});

for (const text of [
  '',
  '10.0.0.1',
  '10.0.0.1/33',
  'fd00::1/129',
  '010.0.0.1/8',
  '10.1/8',
  'fe80::1%eth0/64',
  '1.2.3.4/x',
]) {
  test(`text that is no address with a prefix length is refused: ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => prefixToBytes(text),
      (error) => error instanceof BerthError && error.code === 'Invalid',
    );
  });
}

for (const text of [
  '10.9.0.2',
  '0.0.0.0',
  '255.255.255.255',
  'fd00::2',
  '::',
  '::1',
  'fe80::ff:fe00:1',
  '2001:db8::1:0:0:1',
]) {
  test(`an address comes back as it went: ${text}`, () => {
    assert.equal(ipFromBytes(ipToBytes(text).bytes), text);
  });
}

test.run();
