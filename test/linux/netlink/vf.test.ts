import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { parseMacAddress } from '../../../src/engine/values.ts';
import { readVfList, type VfSetting, writeVfSetting } from '../../../src/linux/netlink/vf.ts';
import { AttributeWriter } from '../../../src/linux/netlink/wire/attribute.ts';
import { readMessages } from '../../../src/linux/netlink/wire/message.ts';
import { malformedError } from './malformed.ts';
import { bytes, recorded } from './recorded.ts';

const IFINFOMSG = '00000100' + '03000000' + '00000000' + '00000000';
const MAC_OF_VF_0 = `2800010000000000020000000001${'00'.repeat(26)}`;

/** A link with one VF whose entry is the MAC and `more`. */
function oneVf(more: string): Buffer {
  const entry = MAC_OF_VF_0 + more;
  const size = (extra: number): string => {
    const length = Buffer.alloc(2);
    length.writeUInt16LE(entry.length / 2 + extra);
    return length.toString('hex');
  };
  return bytes(`${IFINFOMSG}0800150001000000${size(8)}1600${size(4)}0100${entry}`);
}

const READINGS = [
  { name: 'a MAC alone', hex: '', settings: {} },
  { name: 'a VLAN and its priority', hex: '10000200' + '000000000a00000003000000', settings: { vlan: 10, vlanQos: 3 } },
  {
    name: 'a provider VLAN',
    hex: '18000c80' + '14000100' + '000000000a0000000300000088a80000',
    settings: { vlan: 10, vlanQos: 3, vlanProto: '802.1ad' },
  },
  {
    name: 'rates, the newer attribute over the older',
    hex: '0c00030000000000c8000000' + '1000060000000000' + '64000000c8000000',
    settings: { minTxRateMbps: 100, maxTxRateMbps: 200 },
  },
  { name: 'an upper rate of old kernels', hex: '0c00030000000000c8000000', settings: { maxTxRateMbps: 200 } },
  { name: 'spoof checking off', hex: '0c0004000000000000000000', settings: { spoofCheck: false } },
  { name: 'spoof checking that the driver does not tell', hex: '0c00040000000000ffffffff', settings: {} },
  { name: 'trust', hex: '0c0009000000000001000000', settings: { trust: true } },
  { name: 'trust that the driver does not tell', hex: '0c00090000000000ffffffff', settings: {} },
  { name: 'a link state', hex: '0c0005000000000002000000', settings: { linkState: 'disable' } },
  { name: 'a link state from the future', hex: '0c0005000000000009000000', settings: {} },
  {
    name: 'GUIDs of InfiniBand',
    hex:
      '14000a00' +
      '00000000' +
      '00000000' +
      'efcdab8967452301' +
      '14000b00' +
      '00000000' +
      '00000000' +
      '0100000000000002',
    settings: { nodeGuid: '01:23:45:67:89:ab:cd:ef', portGuid: '02:00:00:00:00:00:00:01' },
  },
  { name: 'an attribute from the future', hex: '08006300ffffffff', settings: {} },
];

for (const { name, hex, settings } of READINGS) {
  test(`the list of a PF is read: ${name}`, () => {
    const list = readVfList(oneVf(hex));
    assert.equal(list.numVfs, 1);
    assert.deepEqual(list.missing, []);
    assert.deepEqual([...list.settings], [[0, { adminMac: '02:00:00:00:00:01', ...settings }]]);
  });
}

test('the list of a real PF is read', () => {
  const [message] = readMessages(bytes(recorded.pfLink));
  assert.ok(message);
  const { numVfs, missing, settings } = readVfList(message.payload);
  assert.deepEqual([numVfs, missing], [2, []]);
  const told = { vlanProto: '802.1q', minTxRateMbps: 0, maxTxRateMbps: 0, linkState: 'auto' };
  assert.deepEqual(settings.get(1), {
    ...told,
    adminMac: '02:00:00:00:aa:01',
    vlan: 100,
    vlanQos: 3,
    spoofCheck: false,
    trust: true,
  });
  assert.deepEqual([settings.get(0)?.vlan, settings.get(0)?.spoofCheck, settings.get(0)?.trust], [0, true, false]);
});

const WRITINGS: { setting: VfSetting; hex: string }[] = [
  {
    setting: { name: 'mac', mac: parseMacAddress('02:00:00:00:00:09') },
    hex: `280001000700000002000000000900${'00'.repeat(25)}`,
  },
  { setting: { name: 'vlan', vlan: 10, qos: 3 }, hex: '10000200070000000a00000003000000' },
  {
    setting: { name: 'vlan', vlan: 10, qos: 0, protocol: '802.1ad' },
    hex: '18000c8014000100070000000a0000000000000088a80000',
  },
  { setting: { name: 'rate', minMbps: 100, maxMbps: 200 }, hex: '100006000700000064000000c8000000' },
  { setting: { name: 'max-rate', maxMbps: 200 }, hex: '0c00030007000000c8000000' },
  { setting: { name: 'spoof-check', on: true }, hex: '0c0004000700000001000000' },
  { setting: { name: 'trust', on: false }, hex: '0c0009000700000000000000' },
  { setting: { name: 'link-state', state: 'enable' }, hex: '0c0005000700000001000000' },
  {
    setting: { name: 'node-guid', guid: '01:23:45:67:89:ab:cd:ef' },
    hex: '14000a000700000000000000efcdab8967452301',
  },
  {
    setting: { name: 'port-guid', guid: '02:00:00:00:00:00:00:01' },
    hex: '14000b0007000000000000000100000000000002',
  },
];

for (const { setting, hex } of WRITINGS) {
  test(`a setting of a VF is written: ${JSON.stringify(setting)}`, () => {
    const writer = new AttributeWriter();
    writeVfSetting(writer, 7, setting);
    const length = Buffer.alloc(2);
    length.writeUInt16LE(hex.length / 2 + 4);
    assert.equal(writer.bytes().toString('hex'), `${length.toString('hex')}0180${hex}`);
  });
}

/** What the kernel sends for so many VFs: the list's length is cut to 16 bits. */
function manyVfs(count: number, behind: Buffer, listed = count): Buffer {
  const writer = new AttributeWriter();
  writer.raw(bytes(IFINFOMSG)).put(1, Buffer.from('0200000000ff', 'hex')).u32(21, count);
  const start = writer.reserve(4);
  for (let vf = 0; vf < listed; vf++) {
    writer.nest(1, (into) => {
      const mac = Buffer.alloc(36);
      mac.writeUInt32LE(vf, 0);
      mac.writeUIntBE(0x020000000000 + vf, 4, 6);
      into
        .put(1, mac)
        .words(2, [vf, vf % 4096, 0])
        .words(4, [vf, 1])
        .words(6, [vf, 0, 100]);
      into
        .words(9, [vf, 0])
        .words(5, [vf, 0])
        .nest(8, (stats) => {
          for (const type of [0, 1, 2, 3, 4, 5, 7, 8]) stats.u64(type, BigInt(vf * 10 + type));
        });
    });
  }
  writer.memory.writeUInt16LE((writer.length - start) & 0xffff, start);
  writer.memory.writeUInt16LE(22, start + 2);
  writer.raw(behind);
  return Buffer.from(writer.bytes());
}

const BEHIND = bytes('08001b000000000008001e0000000000');

for (const count of [1, 64, 250, 256, 300, 1024]) {
  test(`all ${count} VFs are read, whatever the list's length says`, () => {
    const list = readVfList(manyVfs(count, BEHIND));
    assert.equal(list.settings.size, count);
    assert.deepEqual(list.missing, []);
    assert.equal(list.settings.get(count - 1)?.vlan, (count - 1) % 4096);
    assert.equal(list.settings.get(0)?.adminMac, '02:00:00:00:00:00');
  });
}

test('what the PF counted is read by VF', () => {
  assert.deepEqual(readVfList(manyVfs(3, BEHIND)).counters.get(2), {
    rxPackets: 20,
    txPackets: 21,
    rxBytes: 22,
    txBytes: 23,
    broadcast: 24,
    multicast: 25,
    rxDropped: 27,
    txDropped: 28,
  });
});

test('a list without statistics has no counters', () => {
  const [message] = readMessages(bytes(recorded.pfLink));
  assert.ok(message);
  const { settings, counters } = readVfList(message.payload);
  assert.ok(settings.size > 0);
  assert.equal(counters.size, 0);
});

test('the list survives every length it may wrap to', () => {
  for (let padding = 0; padding < 8; padding++) {
    const message = manyVfs(250 + padding, BEHIND);
    assert.equal(readVfList(message).settings.size, 250 + padding);
  }
});

test('VFs that the kernel did not list are named', () => {
  const list = readVfList(manyVfs(4, BEHIND, 2));
  assert.deepEqual([...list.settings.keys()], [0, 1]);
  assert.deepEqual(list.missing, [2, 3]);
});

test('a device without a PF side has no list', () => {
  const list = readVfList(bytes(IFINFOMSG));
  assert.equal(list.numVfs, undefined);
  assert.equal(list.settings.size, 0);
});

test('an entry that is cut off is refused', () => {
  const whole = oneVf('0c0009000000000001000000');
  assert.throws(() => readVfList(whole.subarray(0, -4)), malformedError);
});

test.run();
