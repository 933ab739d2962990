/** ARP probes as bytes, and which frames speak against an address. */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { parseMacAddress } from '../../../src/engine/values.ts';
import { conflictIn, probeFrame } from '../../../src/linux/netns/arp-probe.ts';

const OWN = parseMacAddress('02:00:00:00:00:01');
const OTHER = '020000000002';
const own = Buffer.from('020000000001', 'hex');

/** An ARP frame: operation, sender's MAC and address, target's address. */
function arp(operation: 1 | 2, mac: string, sender: string, target: string): Buffer {
  const ip = (text: string): string => Buffer.from(text.split('.').map(Number)).toString('hex');
  return Buffer.from(
    `ffffffffffff${mac}0806000108000604000${operation}${mac}${ip(sender)}000000000000${ip(target)}`,
    'hex',
  );
}

test('a probe is a request to all for the address, from no address', () => {
  assert.equal(
    probeFrame(OWN, '10.1.2.3').toString('hex'),
    'ffffffffffff02000000000108060001080006040001020000000001000000000000000000000a010203',
  );
  assert.throws(() => probeFrame(OWN, 'fd00::1'), RangeError);
});

for (const [what, frame, address] of [
  ['an answer with the address', arp(2, OTHER, '10.1.2.3', '0.0.0.0'), '10.1.2.3'],
  ['a gratuitous request', arp(1, OTHER, '10.1.2.3', '10.1.2.3'), '10.1.2.3'],
  ['a request by its user for somebody else', arp(1, OTHER, '10.1.2.4', '10.1.2.1'), '10.1.2.4'],
  ["another's probe for it", arp(1, OTHER, '0.0.0.0', '10.1.2.3'), '10.1.2.3'],
  ['our own probe', arp(1, own.toString('hex'), '0.0.0.0', '10.1.2.3'), undefined],
  ['a request for it by somebody who has another', arp(1, OTHER, '10.1.2.9', '10.1.2.3'), undefined],
  ['an answer for another address', arp(2, OTHER, '10.1.2.9', '10.1.2.3'), undefined],
  [
    'something that is no ARP',
    Buffer.concat([Buffer.alloc(12), Buffer.from('0800', 'hex'), Buffer.alloc(40)]),
    undefined,
  ],
] as const) {
  test(`${what} is ${address === undefined ? 'no' : 'a'} conflict`, () => {
    assert.deepEqual(
      conflictIn(frame, own, ['10.1.2.3', '10.1.2.4']),
      address === undefined ? undefined : { address, mac: '02:00:00:00:00:02' },
    );
  });
}

test('a frame that is cut off anywhere is none, and padding behind it does not matter', () => {
  const frame = arp(2, OTHER, '10.1.2.3', '0.0.0.0');
  for (let length = 0; length < frame.length; length += 1)
    assert.equal(conflictIn(frame.subarray(0, length), own, ['10.1.2.3']), undefined);
  assert.equal(conflictIn(Buffer.concat([frame, Buffer.alloc(18)]), own, ['10.1.2.3'])?.address, '10.1.2.3');
});

test.run();
