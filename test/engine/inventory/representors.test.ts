import assert from 'node:assert/strict';
import { test } from 'uvu';
import { withRepresentors } from '../../../src/engine/inventory/representors.ts';
import { netdev, nic, vf, virtualLink } from './fixtures.ts';

const SWITCH = { physSwitchId: 'a0b1' };
const pf = (address: string, port: string, ifname: string, ifindex: number) =>
  nic(address, netdev(ifname, ifindex, { ...SWITCH, physPortName: port }), [vf(address, 0), vf(address, 1)]);
const nics = [pf('0000:41:00.0', 'p0', 'eth0', 2), pf('0000:42:00.0', 'p1', 'eth1', 3)];
const representor = (ifname: string, ifindex: number, port: string, more: object = SWITCH) =>
  virtualLink(ifname, ifindex, 'representor', { ...more, physPortName: port });

test('a VF has the representor of its number on its PF’s port of the switch', () => {
  const links = [representor('eth0_0', 10, 'pf0vf0'), representor('eth1_1', 11, 'c0pf1vf1')];
  assert.deepEqual(
    withRepresentors(nics, links).map(({ vfs }) => vfs.map(({ representor: name }) => name)),
    [
      ['eth0_0', undefined],
      [undefined, 'eth1_1'],
    ],
  );
});

for (const [what, link] of [
  ['of another switch', representor('x', 10, 'pf0vf0', { physSwitchId: 'ffff' })],
  ['on behalf of another host', representor('x', 10, 'c1pf0vf0')],
  ['of a scalable function', representor('x', 10, 'pf0sf0')],
  ['of a PF', representor('x', 10, 'pf0')],
  ['without a switch', representor('x', 10, 'pf0vf0', {})],
] as const) {
  test(`a representor ${what} is nobody’s, and the NICs stay the same objects`, () => {
    assert.ok(withRepresentors(nics, [link]).every((one, at) => one === nics[at]));
  });
}

test('a representor that is gone leaves its VF', () => {
  const before = withRepresentors(nics, [representor('eth0_0', 10, 'pf0vf0')]);
  assert.deepEqual(withRepresentors(before, []), nics);
});

test('one that is as before changes nothing', () => {
  const links = [representor('eth0_0', 10, 'pf0vf0')];
  const before = withRepresentors(nics, links);
  assert.equal(withRepresentors(before, links)[0], before[0]);
});

test.run();
