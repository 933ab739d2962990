import assert from 'node:assert/strict';
import { test } from 'uvu';
import { type FoundDevice, findDevice, netdevOf } from '../../../src/engine/inventory/lookup.ts';
import { namesOf } from '../../../src/engine/inventory/names.ts';
import { parseIfName, parseMacAddress, parsePciAddress } from '../../../src/engine/values.ts';
import { inventory, virtualLink } from './fixtures.ts';

function shown(found: FoundDevice | undefined): string | undefined {
  if (found === undefined) return undefined;
  if (found.kind === 'virtual') return `virtual ${found.link.ifname}`;
  return found.kind === 'nic' ? `nic ${found.nic.address}` : `vf ${found.vf.address} of ${found.nic.address}`;
}

for (const [name, expected] of [
  ['0000:10:00.0', 'nic 0000:10:00.0'],
  ['10:00.0', 'nic 0000:10:00.0'],
  ['0000:10:02.1', 'vf 0000:10:02.1 of 0000:10:00.0'],
  ['eth0v0', 'vf 0000:10:02.0 of 0000:10:00.0'],
  ['enp16s0f0', 'nic 0000:10:00.0'],
  ['02-00-00-00-00-AA', 'nic 0000:10:00.0'],
  ['02:00:00:00:00:04', 'vf 0000:10:02.0 of 0000:10:00.0'],
  ['br0', 'virtual br0'],
  ['eth0#1', 'vf 0000:10:02.1 of 0000:10:00.0'],
  ['0000:10:00.0#0', 'vf 0000:10:02.0 of 0000:10:00.0'],
  ['eth1-17', 'nic 0000:11:00.0'],
  ['eth0#9', undefined],
  ['br0#0', undefined],
  ['eth9', undefined],
  ['eth9-1', undefined],
  ['', undefined],
] as const) {
  test(`${JSON.stringify(name)} is ${expected ?? 'nothing'}`, () => {
    assert.equal(shown(findDevice(inventory(), name)), expected);
  });
}

test('a port answers to the serial number of its card, and its VFs to the number and their index', () => {
  const [port, ...rest] = inventory().nics;
  assert.ok(port);
  const one = inventory({ nics: [{ ...port, serial: 'MT42' }, ...rest] });
  for (const [name, expected] of [
    ['MT42', 'nic 0000:10:00.0'],
    ['MT42@0', 'nic 0000:10:00.0'],
    ['MT42@1', undefined],
    ['MT42#1', 'vf 0000:10:02.1 of 0000:10:00.0'],
    ['MT42@0#0', 'vf 0000:10:02.0 of 0000:10:00.0'],
    [`${port.netdev?.permanentMac}#1`, 'vf 0000:10:02.1 of 0000:10:00.0'],
    ['enp16s0f0#0', 'vf 0000:10:02.0 of 0000:10:00.0'],
  ] as const) {
    assert.equal(shown(findDevice(one, name)), expected, name);
  }
});

test('RDMA devices, administrative addresses and slots of macvtap-cni lead to their devices', () => {
  const [port, ...rest] = inventory().nics;
  const [first, ...others] = port?.vfs ?? [];
  assert.ok(port && first);
  const { netdev: _away, ...away } = first;
  const settings = { adminMac: parseMacAddress('02:aa:00:00:00:01') };
  const vfs = [{ ...away, settings, rdma: [{ name: 'mlx5_2' }] }, ...others];
  const node = inventory({ nics: [{ ...port, vfs, rdma: [{ name: 'mlx5_0' }] }, ...rest] });
  for (const [name, expected] of [
    ['mlx5_0', 'nic 0000:10:00.0'],
    ['mlx5_2', 'vf 0000:10:02.0 of 0000:10:00.0'],
    ['02:AA:00:00:00:01', 'vf 0000:10:02.0 of 0000:10:00.0'],
    ['mlx5_9', undefined],
    ['eth1Mvp3', 'nic 0000:11:00.0'],
  ] as const) {
    assert.equal(shown(findDevice(node, name)), expected, name);
  }
});

test('a device is found by every name that it is said to have', () => {
  const [port, ...rest] = inventory().nics;
  assert.ok(port);
  const node = inventory({ nics: [{ ...port, serial: 'MT42', rdma: [{ name: 'mlx5_0' }] }, ...rest] });
  const all: FoundDevice[] = [
    ...node.nics.flatMap((nic): FoundDevice[] => [
      { kind: 'nic', nic },
      ...nic.vfs.map((vf) => ({ kind: 'vf' as const, vf, nic })),
    ]),
    ...node.virtual.map((link) => ({ kind: 'virtual' as const, link })),
  ];
  for (const found of all) {
    const names = namesOf(found);
    assert.ok(names.length > 0);
    for (const name of names) assert.equal(shown(findDevice(node, name)), shown(found), name);
  }
  assert.deepEqual(namesOf({ kind: 'nic', nic: node.nics[0] as typeof port }).slice(-2), ['MT42@0', 'mlx5_0']);
});

test('a serial number of several ports is not guessed about', () => {
  const [port] = inventory().nics;
  assert.ok(port);
  const twin = { ...port, address: parsePciAddress('0000:10:00.1'), ifname: parseIfName('eth9'), serial: 'MT42' };
  const card = inventory({ nics: [{ ...port, serial: 'MT42' }, twin] });
  assert.throws(() => findDevice(card, 'MT42'), {
    reason: 'device-ambiguous',
    message: '2 ports have the serial number MT42: MT42@0 (eth0), MT42@1 (eth9)',
  });
  assert.equal(shown(findDevice(card, 'MT42@1')), 'nic 0000:10:00.1');
});

test('an interface name wins over the slot id that it looks like', () => {
  const more = { virtual: [virtualLink('eth1-1', 9, 'macvlan')] };
  assert.equal(shown(findDevice(inventory(more), 'eth1-1')), 'virtual eth1-1');
});

test('the permanent address wins over a current one', () => {
  const permanent = inventory().nics[0]?.netdev?.permanentMac;
  assert.ok(permanent);
  const more = { virtual: [virtualLink('bond0', 9, 'bond', { mac: permanent })] };
  assert.equal(shown(findDevice(inventory(more), permanent)), 'nic 0000:10:00.0');
});

test('a found device tells its netdev', () => {
  const found = findDevice(inventory(), 'eth0v0');
  assert.equal(found && netdevOf(found)?.ifindex, 4);
});

test.run();
