import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import {
  ETHTOOL_MSG,
  readChannels,
  readEthtoolIndex,
  readFeatures,
  readRings,
  writeEthtoolDump,
  writeEthtoolGet,
} from '../../../src/linux/netlink/ethtool-family.ts';
import { AttributeWriter } from '../../../src/linux/netlink/wire/attribute.ts';
import { malformedError } from './malformed.ts';

/** A reply: struct genlmsghdr, the header nest of interface 7, then numbers by attribute type. */
function reply(command: number, numbers: Readonly<Record<number, number>>): Buffer {
  const writer = new AttributeWriter();
  writeEthtoolGet(writer, command, 7);
  for (const [type, value] of Object.entries(numbers)) writer.u32(Number(type), value);
  return Buffer.from(writer.bytes());
}

function features(names: readonly string[]): Buffer {
  const writer = new AttributeWriter();
  writeEthtoolGet(writer, ETHTOOL_MSG.features, 7);
  writer.nest(4, () => {
    writer.put(1, Buffer.alloc(0)).u32(2, 64);
    writer.nest(3, () => {
      for (const [index, name] of names.entries()) {
        writer.nest(1, () => {
          writer.u32(1, index).text(2, name).put(3, Buffer.alloc(0));
        });
      }
    });
  });
  return Buffer.from(writer.bytes());
}

test('a question names the interface by its index', () => {
  const writer = new AttributeWriter();
  writeEthtoolGet(writer, ETHTOOL_MSG.channels, 7);
  assert.equal(writer.bytes().toString('hex'), '11010000' + '0c000180' + '0800010007000000');
});

test('a question about all interfaces names none, and each answer tells which it is about', () => {
  const writer = new AttributeWriter();
  writeEthtoolDump(writer, ETHTOOL_MSG.rings);
  assert.equal(writer.bytes().toString('hex'), '0f010000' + '04000180');
  assert.equal(readEthtoolIndex(reply(16, { 6: 512 })), 7);
  assert.throws(() => readEthtoolIndex(Buffer.from('12010000', 'hex')), malformedError);
});

test('channels that the NIC cannot have are left out', () => {
  const combined = reply(18, { 2: 0, 3: 0, 4: 1, 5: 64, 6: 0, 7: 0, 8: 1, 9: 16 });
  assert.deepEqual(readChannels(combined), { combined: 16, combinedMax: 64 });
  const separate = reply(18, { 2: 8, 3: 8, 6: 0, 7: 4 });
  assert.deepEqual(readChannels(separate), { rx: 0, rxMax: 8, tx: 4, txMax: 8 });
});

test('rings are read, and a limit that is none is left out', () => {
  assert.deepEqual(readRings(reply(16, { 2: 4096, 5: 0xffffffff, 6: 512, 9: 256 })), { rx: 512, rxMax: 4096, tx: 256 });
});

test('features that are on are listed by name', () => {
  assert.deepEqual(readFeatures(features(['tx-checksum-ipv4', 'rx-gro'])), ['tx-checksum-ipv4', 'rx-gro']);
  assert.deepEqual(readFeatures(features([])), []);
  assert.deepEqual(readFeatures(reply(12, {})), []);
});

test('a list of features has an end', () => {
  const many = Array.from({ length: 300 }, (_, index) => `feature-${index}`);
  assert.equal(readFeatures(features(many)).length, 128);
});

test('every cut inside a list of features is refused', () => {
  const whole = features(['tx-checksum-ipv4', 'rx-gro']);
  for (let length = 17; length < whole.length; length++)
    assert.throws(() => readFeatures(whole.subarray(0, length)), malformedError, `${length} bytes`);
});

test.run();
