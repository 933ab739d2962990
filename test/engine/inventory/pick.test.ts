import assert from 'node:assert/strict';
import { test } from 'uvu';
import { BerthError } from '../../../src/engine/errors.ts';
import type { Finding, Inventory } from '../../../src/engine/inventory/model.ts';
import { pickDevices } from '../../../src/engine/inventory/pick.ts';
import { inventory, netdev, nic, vf } from './fixtures.ts';

/** Addresses of NICs with the numbers of their VFs, then names of links. */
function shown({ accelerators = [], nics, virtual }: Inventory): readonly string[] {
  return [
    ...[...nics, ...accelerators].map(({ address, vfs }) => `${address} ${vfs.map(({ index }) => index).join(',')}`),
    ...virtual.map(({ ifname }) => ifname),
  ];
}

for (const [names, expected] of [
  [['eth0'], ['0000:10:00.0 0,1']],
  [['eth0#1'], ['0000:10:00.0 1']],
  [['10:02.0', 'eth0#1'], ['0000:10:00.0 0,1']],
  [
    ['eth1', 'br0'],
    ['0000:11:00.0 ', 'br0'],
  ],
  [
    ['eth0#0', 'eth0', 'eth1'],
    ['0000:10:00.0 0,1', '0000:11:00.0 '],
  ],
] as const) {
  test(`of ${names.join(' and ')} remains what they are`, () => {
    assert.deepEqual(shown(pickDevices(inventory(), names)), expected);
  });
}

test('accelerators are named by their addresses, with or without the domain', () => {
  const card = nic('0000:3b:00.0', netdev('unused', 9), [vf('0000:3b:00.0', 0), vf('0000:3b:00.0', 1)]);
  const node = inventory({ accelerators: [card] });
  assert.deepEqual(shown(pickDevices(node, ['3b:00.0'])), ['0000:3b:00.0 0,1']);
  assert.deepEqual(shown(pickDevices(node, ['0000:3b:02.1'])), ['0000:3b:00.0 1']);
  assert.deepEqual(shown(pickDevices(node, ['eth1'])), ['0000:11:00.0 ']);
});

test('a name of nothing is told', () => {
  assert.throws(
    () => pickDevices(inventory(), ['eth0', 'eth9']),
    (error) => error instanceof BerthError && error.reason === 'device-unknown' && /"eth9"/.test(error.message),
  );
});

test('findings are those about what remains', () => {
  const finding = (subject: string): Finding => ({ id: 'x', severity: 'info', subject, evidence: '', remedy: '' });
  const findings = ['0000:10:00.0', 'eth1', '0000:10:02.1', 'br0', 'node-1'].map(finding);
  const subjects = (...names: readonly string[]) =>
    pickDevices(inventory({ findings }), names).findings.map(({ subject }) => subject);
  assert.deepEqual(subjects('eth0'), ['0000:10:00.0', '0000:10:02.1']);
  assert.deepEqual(subjects('eth0#0'), ['0000:10:00.0']);
  assert.deepEqual(subjects('eth1', 'br0'), ['eth1', 'br0']);
});

test('who shares an IOMMU group with what remains is not forgotten', () => {
  const [first, second] = inventory().nics;
  assert.ok(first !== undefined && second !== undefined);
  const node = inventory({
    nics: [
      { ...first, iommuGroup: 7 },
      { ...second, iommuGroup: 7 },
    ],
  });
  assert.deepEqual(
    pickDevices(node, ['eth1']).groupmates?.map(({ address, iommuGroup }) => [address, iommuGroup]),
    [['0000:10:00.0', 7]],
  );
});

test.run();
