/** The kinds of links beside macvlan and ipvlan, by the bytes of their messages. */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { parseIfName } from '../../../src/engine/values.ts';
import { readLink, writeAltnameDelete, writeLinkChange, writeLinkCreate } from '../../../src/linux/netlink/link.ts';
import { AttributeWriter } from '../../../src/linux/netlink/wire/attribute.ts';
import { bytes } from './recorded.ts';

function written(fill: (writer: AttributeWriter) => void): string {
  const writer = new AttributeWriter();
  fill(writer);
  return writer.bytes().toString('hex');
}

const PARENT = '0800050003000000';

for (const [protocol, hex] of [
  ['802.1q', '8100'],
  ['802.1ad', '88a8'],
] as const) {
  const info = '24001280' + '09000100' + '766c616e00000000' + '14000280' + '060001002a000000' + `06000500${hex}0000`;

  test(`a VLAN of ${protocol} is created with its number`, () => {
    const made = written((to) =>
      writeLinkCreate(to, { name: parseIfName('t00'), parentIndex: 3, kind: { name: 'vlan', id: 42, protocol } }),
    );
    assert.equal(made, `${'00000000'.repeat(4)}0800030074303000${PARENT}${info}`);
  });

  test(`a VLAN of ${protocol} is read with its number`, () => {
    const link = `${'00000100'}${'07000000'}${'00000000'.repeat(2)}${'0800030074303000'}${PARENT}`;
    const { kind, vlan } = readLink(bytes(link + info));
    assert.deepEqual([kind, vlan], ['vlan', { id: 42, protocol }]);
  });
}

test('a macvtap is created with the index that is asked for', () => {
  const made = written((to) =>
    writeLinkCreate(to, {
      name: parseIfName('t00'),
      index: 0x2000_0001,
      parentIndex: 3,
      kind: { name: 'macvtap', mode: 'vepa' },
    }),
  );
  const header = '00000000' + '01000020' + '00000000' + '00000000';
  const info = '1c001280' + '0c000100' + '6d61637674617000' + '0c000280' + '0800010002000000';
  assert.equal(made, `${header}0800030074303000${PARENT}${info}`);
});

test('a macvtap is read with its mode', () => {
  const info = '1c001280' + '0c000100' + '6d61637674617000' + '0c000280' + '0800010002000000';
  const { kind, macvlan } = readLink(bytes(`00000100${'07000000'}${'00000000'.repeat(2)}0800030074303000${info}`));
  assert.deepEqual([kind, macvlan], ['macvtap', { mode: 'vepa' }]);
});

for (const [promiscuous, flags] of [
  [true, '00010000'],
  [false, '00000000'],
] as const) {
  test(`a link is ${promiscuous ? 'made promiscuous' : 'not promiscuous any more'}, and nothing else changes`, () => {
    const made = written((to) => writeLinkChange(to, { index: 3, promiscuous }));
    assert.equal(made, `00000000${'03000000'}${flags}00010000`);
  });
}

test('the receive modes of a link are read where somebody set them, and set beside each other', () => {
  const link = (flags: string) => readLink(bytes(`00000100${'07000000'}${flags}00000000${'0800030074303000'}`));
  const { promiscuous, allMulticast, up } = link('01030000');
  assert.deepEqual([promiscuous, allMulticast, up], [true, true, true]);
  assert.equal('promiscuous' in link('01000000') || 'allMulticast' in link('01000000'), false);
  const made = written((to) => writeLinkChange(to, { index: 3, promiscuous: false, allMulticast: true }));
  assert.equal(made, `00000000${'03000000'}${'00020000'}00030000`);
});

test('an alternative name is taken away by a list of one', () => {
  const made = written((to) => writeAltnameDelete(to, 7, 'net1'));
  assert.equal(made, `00000000${'07000000'}${'0000000000000000'}${'10003480' + '09003500' + '6e65743100000000'}`);
});

test.run();
