import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { parseMacAddress, parsePciAddress } from '../../../src/engine/values.ts';
import { hintsOfUevent, noticeOfMessage } from '../../../src/linux/change-hints.ts';
import {
  readDevlinkInfo,
  readEswitchMode,
  writeDevlinkInfoGet,
  writeEswitchGet,
} from '../../../src/linux/netlink/devlink.ts';
import { readDriverInfo } from '../../../src/linux/netlink/ethtool.ts';
import { readFamily, writeFamilyGet } from '../../../src/linux/netlink/genetlink.ts';
import { macFromBytes, macToBytes } from '../../../src/linux/netlink/hardware-address.ts';
import { readUevent } from '../../../src/linux/netlink/uevent.ts';
import { AttributeWriter } from '../../../src/linux/netlink/wire/attribute.ts';
import { readMessages } from '../../../src/linux/netlink/wire/message.ts';
import { announcementFrame } from '../../../src/linux/netns/announcement.ts';
import { malformedError } from './malformed.ts';
import { bytes, recorded } from './recorded.ts';

function written(fill: (writer: AttributeWriter) => void): string {
  const writer = new AttributeWriter();
  fill(writer);
  return writer.bytes().toString('hex');
}

test('the mode of the embedded switch is asked for and read', () => {
  assert.equal(
    written((to) => writeEswitchGet(to, parsePciAddress('0000:41:00.0'))),
    '1d010000' + '0800010070636900' + '11000200303030303a34313a30302e3000000000',
  );
  for (const [hex, mode] of [
    ['1d010000' + '0600190000000000', 'legacy'],
    ['1d010000' + '0600190001000000', 'switchdev'],
    ['1d010000' + '0600190007000000', undefined],
    ['1d010000', undefined],
  ] as const)
    assert.equal(readEswitchMode(bytes(hex)), mode);
});

test('the devlink family is asked for and read', () => {
  assert.equal(
    written((to) => writeFamilyGet(to, 'devlink')),
    '03010000' + '0c0002006465766c696e6b00',
  );
  assert.equal(readFamily(bytes('01020000' + '0600010015000000')), 0x15);
  assert.throws(() => readFamily(bytes('01020000')), malformedError);
});

test('devlink information is asked for by PCI address', () => {
  const hex = written((to) => writeDevlinkInfoGet(to, parsePciAddress('0000:41:00.0')));
  assert.equal(hex, '33010000' + '0800010070636900' + '11000200303030303a34313a30302e3000000000');
});

test('devlink information is read with its versions', () => {
  const writer = new AttributeWriter();
  writer.raw(bytes('33010000')).text(98, 'ice').text(99, '00-01').text(146, 'B7');
  writer.nest(100, (into) => into.text(103, 'board.id').text(104, 'K1'));
  writer.nest(101, (into) => into.text(103, 'fw.mgmt').text(104, '7.5'));
  writer.nest(101, (into) => into.text(103, 'fw.app').text(104, '1.3'));
  assert.deepEqual(readDevlinkInfo(writer.bytes()), {
    driver: 'ice',
    serial: '00-01',
    boardSerial: 'B7',
    fixed: { 'board.id': 'K1' },
    running: { 'fw.mgmt': '7.5', 'fw.app': '1.3' },
    stored: {},
  });
});

test("a driver's account of itself is read without what it leaves empty", () => {
  const info = Buffer.alloc(196);
  info.write('igb', 4);
  info.write('6.1.0', 36);
  info.write('N/A', 68);
  info.write('0000:01:00.0', 100);
  assert.deepEqual(readDriverInfo(info), { driver: 'igb', version: '6.1.0', busInfo: '0000:01:00.0' });
  assert.throws(() => readDriverInfo(info.subarray(0, 195)), malformedError);
});

for (const mac of [
  '02:00:00:00:00:01',
  `80:00:00:48:${Array.from({ length: 16 }, (_, i) => `a${i.toString(16)}`).join(':')}`,
]) {
  test(`a hardware address comes back as it went: ${mac}`, () => {
    assert.equal(macFromBytes(macToBytes(parseMacAddress(mac))), mac);
  });
}

test('four bytes are no hardware address', () => {
  assert.equal(macFromBytes(bytes('7f000001')), undefined);
});

/** A uevent as the kernel sends it. */
function uevent(lines: readonly string[]): Buffer {
  return Buffer.from(`${lines.join('\0')}\0`);
}

const PATH = '/devices/pci0000:00/0000:00:02.0/0000:01:10.0';
const VF = '0000:01:10.0';

const UEVENTS = [
  {
    name: 'a VF that was made',
    lines: [`add@${PATH}`, 'ACTION=add', `DEVPATH=${PATH}`, 'SUBSYSTEM=pci', `PCI_SLOT_NAME=${VF}`, 'SEQNUM=7'],
    hints: [{ kind: 'pci', address: VF, action: 'add' }],
  },
  {
    name: 'a driver that let go, without PCI_SLOT_NAME',
    lines: [`unbind@${PATH}`, 'ACTION=unbind', `DEVPATH=${PATH}`, 'SUBSYSTEM=pci'],
    hints: [{ kind: 'pci', address: VF, action: 'unbind' }],
  },
  ...(
    [
      ['BEGIN_RECOVERY', 'begun'],
      ['SUCCESSFUL_RECOVERY', 'over'],
      ['FAILED_RECOVERY', 'failed'],
    ] as const
  ).map(([event, recovery]) => ({
    name: `a PCI error, ${event}`,
    lines: [`change@${PATH}`, 'ACTION=change', `DEVPATH=${PATH}`, 'SUBSYSTEM=pci', `ERROR_EVENT=${event}`],
    hints: [{ kind: 'pci', address: VF, action: 'change', recovery }],
  })),
  {
    name: 'an action of no name here',
    lines: [`online@${PATH}`, 'ACTION=online', `DEVPATH=${PATH}`, 'SUBSYSTEM=pci', `PCI_SLOT_NAME=${VF}`],
    hints: [{ kind: 'pci', address: VF, action: 'change' }],
  },
  {
    name: 'the netdev of a VF',
    lines: [`add@${PATH}/net/eth3`, 'ACTION=add', `DEVPATH=${PATH}/net/eth3`, 'SUBSYSTEM=net', 'INTERFACE=eth3'],
    hints: [{ kind: 'pci', address: VF, action: 'change' }],
  },
  {
    name: 'an RDMA device of a VF',
    lines: [`add@${PATH}/infiniband/m0`, 'ACTION=add', `DEVPATH=${PATH}/infiniband/m0`, 'SUBSYSTEM=infiniband'],
    hints: [
      { kind: 'pci', address: VF, action: 'change' },
      { kind: 'module', subsystem: 'infiniband', devpath: `${PATH}/infiniband/m0` },
    ],
  },
  {
    name: 'a virtual netdev',
    lines: ['add@/devices/virtual/net/br0', 'ACTION=add', 'DEVPATH=/devices/virtual/net/br0', 'SUBSYSTEM=net'],
    hints: [],
  },
  {
    name: 'a disk',
    lines: [`add@${PATH}/block/sda`, 'ACTION=add', `DEVPATH=${PATH}/block/sda`, 'SUBSYSTEM=block'],
    hints: [],
  },
];

for (const { name, lines, hints } of UEVENTS) {
  test(`a uevent gives its hints: ${name}`, () => {
    assert.deepEqual(hintsOfUevent(readUevent(uevent(lines))), hints);
  });
}

test('what udev sends, and what is cut off, is no uevent of the kernel', () => {
  const whole = uevent(UEVENTS[0]?.lines ?? []);
  assert.throws(() => readUevent(Buffer.from('libudev\0\xfe\xed\xca\xfe\0', 'latin1')), malformedError);
  for (let length = 0; length < whole.length - 'SEQNUM=7\0'.length; length++) {
    const cut = whole.subarray(0, length);
    if (cut.at(-1) === 0 && cut.includes('SUBSYSTEM=pci\0')) continue;
    assert.throws(() => readUevent(cut), malformedError, `${length} bytes`);
  }
});

function noticesIn(hex: string): unknown[] {
  return readMessages(bytes(hex)).map(noticeOfMessage);
}

test('notifications of links, addresses and namespaces become notices', () => {
  const link = { kind: 'link', ifindex: 4, ifname: 'mv0', action: 'new' };
  assert.deepEqual(noticesIn(recorded.macvlanLink), [{ kind: 'hint', hint: link }]);
  const address = { kind: 'hint', hint: { kind: 'address', ifindex: 3 } };
  assert.deepEqual(noticesIn(recorded.addresses), [address, address, address]);
  const gone = '1c000000590000000000000000000000' + '00000000' + '0800010005000000';
  assert.deepEqual(noticesIn(gone), [{ kind: 'namespace-gone', nsid: 5 }]);
});

test('of routes only the default ones are told', () => {
  assert.deepEqual(noticesIn(recorded.routes), [undefined, undefined, undefined, undefined]);
  const byDefault = '24000000180000000000000000000000' + '02000000fe03000100000000' + '0800040003000000';
  assert.deepEqual(noticesIn(byDefault), [{ kind: 'hint', hint: { kind: 'route' } }]);
});

test("the end of a bridge's port is not the end of the link", () => {
  const header = (family: string): string => `28000000110000000000000000000000${family}0001000700000000000000`;
  const del = (family: string): string => `${header(family)}00000000${'0700030065740000'}`;
  const action = (family: string): unknown => JSON.stringify(noticesIn(del(family))[0]);
  assert.match(String(action('00')), /"action":"del"/);
  assert.match(String(action('07')), /"action":"new"/);
});

test('a gratuitous ARP names the address as sender and target', () => {
  const mac = parseMacAddress('02:00:00:00:00:01');
  const expected = [
    'ffffffffffff' + '020000000001' + '0806',
    '0001080006040001' + '020000000001' + '0a090002' + '000000000000' + '0a090002',
  ];
  assert.equal(announcementFrame(mac, '10.9.0.2/24').toString('hex'), expected.join(''));
});

test('an unsolicited advertisement goes to all nodes, with a right checksum', () => {
  const frame = announcementFrame(parseMacAddress('02:00:00:00:00:01'), 'fd00::2/64');
  const icmp = frame.subarray(54);
  assert.equal(frame.subarray(0, 14).toString('hex'), '333300000001' + '020000000001' + '86dd');
  assert.equal(icmp.subarray(0, 2).toString('hex') + icmp.subarray(4, 8).toString('hex'), '8800' + '20000000');
  assert.equal(icmp.subarray(24).toString('hex'), '0201020000000001');
  // Over the pseudo header and all of it, the checksum included, the sum is all ones.
  const summed = Buffer.concat([frame.subarray(22, 54), bytes('00000020' + '0000003a'), icmp]);
  let sum = 0;
  for (let at = 0; at < summed.length; at += 2) sum += summed.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  assert.equal(sum, 0xffff);
});

test.run();
