import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { AttributeWriter } from '../../../src/linux/netlink/wire/attribute.ts';
import {
  NLM_F_ACK,
  NLM_F_REQUEST,
  readAck,
  readMessages,
  writeMessage,
} from '../../../src/linux/netlink/wire/message.ts';
import { malformedError } from './malformed.ts';
import { bytes, recorded } from './recorded.ts';

const ACKS = [
  { name: 'success', hex: recorded.success, ack: { errno: 0 } },
  { name: 'ENODEV without words', hex: recorded.noSuchLink, ack: { errno: 19 } },
  {
    name: 'EEXIST with words',
    hex: recorded.addressTaken,
    ack: { errno: 17, extack: 'ipv4: Address already assigned' },
  },
  { name: 'EINVAL with words', hex: recorded.mtuTooSmall, ack: { errno: 22, extack: 'mtu less than device minimum' } },
  { name: 'ENOENT of a family', hex: recorded.noSuchFamily, ack: { errno: 2 } },
  { name: 'the end of a dump', hex: recorded.done, ack: { errno: 0 } },
];

for (const { name, hex, ack } of ACKS) {
  test(`an answer is read: ${name}`, () => {
    const message = readMessages(bytes(hex)).at(-1);
    assert.ok(message);
    assert.deepEqual(readAck(message), ack);
  });
}

test('an answer that repeats its request is read behind it', () => {
  // ENOENT (-2), not capped: 20 bytes of request are repeated, then NLMSGERR_ATTR_OFFS 16.
  const payload = 'feffffff' + '1400000010000500070000000000000000000000' + '0800020010000000';
  const header = '30000000' + '0200' + '0002' + '07000000' + '00000000';
  const [message] = readMessages(bytes(header + payload));
  assert.ok(message);
  assert.deepEqual(readAck(message), { errno: 2, offset: 16 });
});

test('several messages of one datagram are all read', () => {
  const messages = readMessages(bytes(recorded.addresses));
  assert.deepEqual(
    messages.map((message) => message.type),
    [20, 20, 20],
  );
});

test('a message is written with its length, type, flags and number', () => {
  const writer = new AttributeWriter(16);
  const header = { type: 18, flags: NLM_F_REQUEST | NLM_F_ACK, sequence: 0x01020304 };
  writeMessage(writer, header, (into) => into.u32(29, 9));
  assert.equal(
    writer.bytes().toString('hex'),
    '18000000' + '1200' + '0500' + '04030201' + '00000000' + '08001d0009000000',
  );
});

test('every kind of value is written and padded', () => {
  const writer = new AttributeWriter(1);
  writer.u8(1, 0xab).u16(2, 0x1234).be16(3, 0x1234).s32(4, -1).u64(5, 0x0102030405060708n).text(6, 'ab');
  writer.nest(7, (into) => into.words(1, [1, 2]));
  const expected = [
    '05000100ab000000',
    '0600020034120000',
    '0600030012340000',
    '08000400ffffffff',
    '0c0005000807060504030201',
    '0700060061620000',
    '100007800c0001000100000002000000',
  ];
  assert.equal(writer.bytes().toString('hex'), expected.join(''));
});

test('a cleared writer shows nothing of what it held', () => {
  const writer = new AttributeWriter(16);
  writer.put(1, Buffer.from('ffffffffff', 'hex'));
  writer.clear();
  writer.put(1, Buffer.from('aa', 'hex'));
  assert.equal(writer.bytes().toString('hex'), '05000100aa000000');
});

const BROKEN = [
  { name: 'nothing', hex: '' },
  { name: 'a length of zero', hex: '00000000120001000100000000000000' },
  { name: 'a length shorter than the header', hex: '0f000000120001000100000000000000' },
  { name: 'a length beyond the datagram', hex: 'ffffff7f120001000100000000000000' },
];

for (const { name, hex } of BROKEN) {
  test(`a datagram is refused: ${name}`, () => {
    assert.throws(() => readMessages(bytes(hex)), malformedError);
  });
}

test('an answer with a positive result is refused', () => {
  assert.throws(() => readAck({ type: 2, flags: 0, sequence: 1, port: 0, payload: bytes('01000000') }), malformedError);
});

test('a nest that outgrows its 16-bit length is refused', () => {
  const writer = new AttributeWriter();
  const half = Buffer.alloc(40_000);
  assert.throws(() => writer.nest(1, (into) => into.put(1, half).put(2, half)), malformedError);
});

test.run();
