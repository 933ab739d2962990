/** Every reader against bytes that are cut off, and against bytes that are anything at all. */
import * as assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'uvu';
import { noticeOfMessage } from '../../../src/linux/change-hints.ts';
import { readAddress } from '../../../src/linux/netlink/address.ts';
import { readDevlinkInfo, readEswitchMode } from '../../../src/linux/netlink/devlink.ts';
import { readChannels, readEthtoolIndex, readFeatures, readRings } from '../../../src/linux/netlink/ethtool-family.ts';
import { readFamily } from '../../../src/linux/netlink/genetlink.ts';
import { readLink } from '../../../src/linux/netlink/link.ts';
import { readNsid } from '../../../src/linux/netlink/nsid.ts';
import { readRoute } from '../../../src/linux/netlink/route.ts';
import { readUevent } from '../../../src/linux/netlink/uevent.ts';
import { readVfList } from '../../../src/linux/netlink/vf.ts';
import { AttributeWriter, readAttributes } from '../../../src/linux/netlink/wire/attribute.ts';
import { readAck, readMessages } from '../../../src/linux/netlink/wire/message.ts';
import { malformedError } from './malformed.ts';
import { bytes, recorded } from './recorded.ts';

const PAYLOAD_READERS = {
  readAddress,
  readChannels,
  readDevlinkInfo,
  readEswitchMode,
  readEthtoolIndex,
  readFamily,
  readFeatures,
  readLink,
  readNsid,
  readRings,
  readRoute,
  readVfList,
};

for (const [name, hex] of Object.entries(recorded)) {
  test(`every truncation of a recorded datagram is refused: ${name}`, () => {
    const whole = bytes(hex);
    const boundaries = new Set<number>();
    let at = 0;
    for (const message of readMessages(whole)) {
      at += (16 + message.payload.length + 3) & ~3;
      boundaries.add(at);
    }
    for (let length = 0; length < whole.length; length++) {
      // Cut between two messages it is a shorter datagram, and complete.
      if (boundaries.has(length)) continue;
      assert.throws(() => readMessages(whole.subarray(0, length)), malformedError, `${length} bytes`);
    }
  });
}

const READERS_OF_RECORDED = [
  { name: 'macvlanLink', read: readLink },
  { name: 'vethLink', read: readLink },
  { name: 'pfLink', read: readLink },
  { name: 'vfLink', read: readLink },
  { name: 'addresses', read: readAddress },
  { name: 'routes', read: readRoute },
  { name: 'nsidNotAssigned', read: readNsid },
] as const;

for (const { name, read } of READERS_OF_RECORDED) {
  test(`a payload that is cut inside an attribute is refused: ${name}`, () => {
    const [message] = readMessages(bytes(recorded[name]));
    assert.ok(message);
    let refused = 0;
    for (let length = 0; length < message.payload.length; length++) {
      try {
        read(message.payload.subarray(0, length));
      } catch (error) {
        assert.ok(malformedError(error), String(error));
        refused += 1;
      }
    }
    assert.ok(refused > message.payload.length / 2, `${refused} of ${message.payload.length}`);
  });
}

function refusesOrReads(read: (input: Buffer) => unknown, input: Buffer): boolean {
  try {
    read(input);
    return true;
  } catch (error) {
    return malformedError(error);
  }
}

const anyBytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));

/** Nests of attributes with lengths that are nearly right: random bytes alone rarely come that far. */
const nearlyAttributes = fc
  .array(
    fc.record({ type: fc.nat(60), value: fc.uint8Array({ maxLength: 40 }), lie: fc.constantFrom(0, 0, 0, 1, -1, 4) }),
  )
  .map((attributes) =>
    Buffer.concat(
      attributes.map(({ type, value, lie }) => {
        const buffer = Buffer.alloc((4 + value.length + 3) & ~3);
        buffer.writeUInt16LE(Math.max(0, 4 + value.length + lie), 0);
        buffer.writeUInt16LE(type, 2);
        buffer.set(value, 4);
        return buffer;
      }),
    ),
  );

for (const [name, read] of Object.entries(PAYLOAD_READERS)) {
  test(`${name} reads or refuses whatever it is given`, () => {
    const header = fc
      .constantFrom(4, 8, 12, 16)
      .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));
    const nearly = fc.tuple(header, nearlyAttributes).map((parts) => Buffer.concat(parts));
    fc.assert(
      fc.property(fc.oneof(anyBytes, nearly), (input) => refusesOrReads(read, input)),
      { numRuns: 500 },
    );
  });
}

test('datagrams, answers, notifications and uevents are read or refused whatever they are', () => {
  const all = (input: Buffer): void => {
    for (const message of readMessages(input)) {
      readAck(message);
      noticeOfMessage(message);
    }
  };
  fc.assert(
    fc.property(anyBytes, (input) => refusesOrReads(all, input) && refusesOrReads(readUevent, input)),
    { numRuns: 1000 },
  );
});

test('recorded datagrams with some bytes changed are read or refused', () => {
  const change = fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(fc.constantFrom(...Object.values(recorded)), change, (hex, changes) => {
      const damaged = bytes(hex);
      for (const [at, value] of changes) damaged[at % damaged.length] = value;
      return refusesOrReads((input) => readMessages(input).map(noticeOfMessage), damaged);
    }),
    { numRuns: 500 },
  );
});

test('what is written is read back', () => {
  const attribute = fc.record({ type: fc.nat(0x3fff), value: fc.uint8Array({ maxLength: 64 }) });
  fc.assert(
    fc.property(fc.array(attribute), (attributes) => {
      const writer = new AttributeWriter(8);
      for (const { type, value } of attributes) writer.put(type, value);
      const read = readAttributes(Buffer.from(writer.bytes()));
      assert.deepEqual(
        read.map(({ type, value }) => ({ type, value: [...value] })),
        attributes.map(({ type, value }) => ({ type, value: [...value] })),
      );
    }),
  );
});

test.run();
