import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { parseIfName, parseMacAddress } from '../../../src/engine/values.ts';
import {
  readLink,
  writeLinkChange,
  writeLinkCreate,
  writeLinkDelete,
  writeLinkGet,
} from '../../../src/linux/netlink/link.ts';
import { AttributeWriter } from '../../../src/linux/netlink/wire/attribute.ts';
import { readMessages } from '../../../src/linux/netlink/wire/message.ts';
import { malformedError } from './malformed.ts';
import { bytes, recorded } from './recorded.ts';

function written(fill: (writer: AttributeWriter) => void): string {
  const writer = new AttributeWriter();
  fill(writer);
  return writer.bytes().toString('hex');
}

function payloadOf(hex: string): Buffer {
  const [message] = readMessages(bytes(hex));
  assert.ok(message);
  return message.payload;
}

test('a macvlan is read with its kind, parent, alias and addresses', () => {
  const link = readLink(payloadOf(recorded.macvlanLink));
  assert.deepEqual(link, {
    index: 4,
    name: 'mv0',
    altnames: [],
    alias: 'berth/fixture',
    hardwareType: 1,
    flags: 0x1002,
    up: false,
    mac: '02:00:00:00:00:02',
    mtuBytes: 1500,
    operstate: 'down',
    carrier: true,
    parentIndex: 3,
    kind: 'macvlan',
    macvlan: { mode: 'private', bcQueueLength: 1000 },
  });
});

test('a veth is read with its alternative name, and without what only others have', () => {
  const link = readLink(payloadOf(recorded.vethLink));
  assert.deepEqual(link.altnames, ['uplink-of-the-test']);
  assert.equal(link.kind, 'veth');
  assert.equal(link.operstate, 'up');
  assert.equal(link.up, true);
  for (const absent of ['alias', 'masterIndex', 'parentNsid', 'pci', 'numVfs', 'macvlan', 'permanentMac']) {
    assert.equal(absent in link, false, absent);
  }
});

test('links of a real PF and VF are read with their PCI address', () => {
  const [pf, vf] = [readLink(payloadOf(recorded.pfLink)), readLink(payloadOf(recorded.vfLink))];
  assert.match(String(pf.pci), /^[0-9a-f]{4}:[0-9a-f]{2}:00\.0$/);
  assert.match(String(vf.pci), /^[0-9a-f]{4}:[0-9a-f]{2}:10\.0$/);
  assert.equal(pf.numVfs, 2);
  assert.equal(pf.permanentMac, pf.mac);
  assert.equal('kind' in vf, false);
});

/** RTM_NEWLINK payloads with one fact beside the name: header, `e`, the attribute. */
const HEADER = '00000100' + '07000000' + '00000000' + '00000000' + '0600030065000000';
const FACTS = [
  { name: 'a namespace id of the parent', hex: '0800250003000000', fact: { parentNsid: 3 } },
  { name: 'a master', hex: '08000a0002000000', fact: { masterIndex: 2 } },
  { name: 'a permanent MAC', hex: '0a0036000200000000aa0000', fact: { permanentMac: '02:00:00:00:00:aa' } },
  { name: 'a PF with no VFs', hex: '0800150000000000', fact: { numVfs: 0 } },
  {
    name: 'a device on PCI',
    hex: '11003800303030303a34313a31302e3000000000' + '0800390070636900',
    fact: { pci: '0000:41:10.0' },
  },
  { name: 'a device on another bus', hex: '0c00380076697274696f3000' + '0b00390076697274696f0000', fact: {} },
  { name: 'a slave of a bond', hex: '10001200090004' + '00626f6e6400000000', fact: { slaveKind: 'bond' } },
  {
    name: 'an ipvlan',
    hex: '24001280' + '0b000100' + '6970766c616e0000' + '14000280' + '0600010001000000' + '0600020002000000',
    fact: { kind: 'ipvlan', ipvlan: { mode: 'l3', flag: 'vepa' } },
  },
  {
    name: 'a provider VLAN',
    hex: '24001280' + '09000100766c616e00000000' + '14000280' + '060001006400ffff' + '0600050088a80000',
    fact: { kind: 'vlan', vlan: { id: 100, protocol: '802.1ad' } },
  },
];

for (const { name, hex, fact } of FACTS) {
  test(`a link tells ${name}`, () => {
    const link = readLink(bytes(HEADER + hex));
    const { altnames, flags, hardwareType, index, name: ifname, up, ...rest } = link;
    assert.deepEqual([ifname, index, hardwareType, flags, up, altnames], ['e', 7, 1, 0, false, []]);
    assert.deepEqual(rest, fact);
  });
}

test('a link without a name is refused', () => {
  assert.throws(() => readLink(bytes('00000100070000000000000000000000')), malformedError);
});

test('a link is asked for by name, by long name and by index', () => {
  const empty = '00000000'.repeat(4);
  assert.equal(
    written((to) => writeLinkGet(to, { name: 'up0' }, 9)),
    `${empty}080003007570300008001d0009000000`,
  );
  assert.equal(
    written((to) => writeLinkGet(to, { name: 'sixteen-letters-' }, 8)),
    `${empty}150035007369787465656e2d6c6574746572732d0000000008001d0008000000`,
  );
  assert.equal(
    written((to) => writeLinkGet(to, { index: 5 }, 8)),
    '00000000' + '05000000' + '0000000000000000' + '08001d0008000000',
  );
});

test('a macvlan is created with its name, parent, MTU, MAC, namespace and mode', () => {
  const hex = written((to) =>
    writeLinkCreate(to, {
      name: parseIfName('mv0'),
      parentIndex: 3,
      mtuBytes: 1400,
      mac: parseMacAddress('02:00:00:00:00:07'),
      namespaceFd: 9,
      kind: { name: 'macvlan', mode: 'bridge', bcQueueLength: 50 },
    }),
  );
  const expected = [
    '00000000'.repeat(4),
    '080003006d763000',
    '0800050003000000',
    '0800040078050000',
    '0a000100020000000007' + '0000',
    '08001c0009000000',
    '24001280' + '0c0001006d6163766c616e00' + '14000280' + '0800010004000000' + '0800070032000000',
  ];
  assert.equal(hex, expected.join(''));
});

test('an ipvlan is created with its mode and flag', () => {
  const hex = written((to) =>
    writeLinkCreate(to, {
      name: parseIfName('iv0'),
      parentIndex: 3,
      kind: { name: 'ipvlan', mode: 'l3s', flag: 'private' },
    }),
  );
  const info = '24001280' + '0b000100' + '6970766c616e0000' + '14000280' + '0600010002000000' + '0600020001000000';
  assert.equal(hex, `${'00000000'.repeat(4)}08000300697630000800050003000000${info}`);
});

const CHANGES = [
  { name: 'up', change: { up: true }, hex: '00000000' + '03000000' + '01000000' + '01000000' },
  { name: 'down', change: { up: false }, hex: '00000000' + '03000000' + '00000000' + '01000000' },
  {
    name: 'an alias',
    change: { alias: 'ab' },
    hex: '00000000' + '03000000' + '0000000000000000' + '0600140061620000',
  },
  { name: 'no alias', change: { alias: '' }, hex: '00000000' + '03000000' + '0000000000000000' + '04001400' },
  {
    name: 'arp_notify',
    change: { arpNotify: true },
    hex: '00000000' + '03000000' + '0000000000000000' + '14001a80' + '10000280' + '0c000180' + '0800160001000000',
  },
  {
    name: 'a master, and a namespace',
    change: { masterIndex: 0, namespaceFd: 4 },
    hex: '00000000' + '03000000' + '0000000000000000' + '08000a0000000000' + '08001c0004000000',
  },
];

for (const { name, change, hex } of CHANGES) {
  test(`a change is written: ${name}`, () => {
    assert.equal(
      written((to) => writeLinkChange(to, { index: 3, ...change })),
      hex,
    );
  });
}

test('a deletion names the link by its index', () => {
  assert.equal(
    written((to) => writeLinkDelete(to, 3)),
    '00000000' + '03000000' + '0000000000000000',
  );
});

test.run();
