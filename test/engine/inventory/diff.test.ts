import assert from 'node:assert/strict';
import { test } from 'uvu';
import { diffInventories, isEmptyDiff } from '../../../src/engine/inventory/diff.ts';
import type { Inventory } from '../../../src/engine/inventory/model.ts';
import { isSame, shareInventory } from '../../../src/engine/inventory/share.ts';
import { withVfSettings } from '../../../src/engine/inventory/vf-settings.ts';
import { parsePciAddress } from '../../../src/engine/values.ts';
import { inventory, netdev, nic, vf, virtualLink } from './fixtures.ts';

const PF = parsePciAddress('0000:10:00.0');

test('equal inventories share everything and have no diff', () => {
  const before = inventory();
  assert.equal(shareInventory(before, inventory()), before);
  assert.ok(isEmptyDiff(diffInventories(before, inventory())));
});

interface Case {
  readonly name: string;
  readonly change: (before: Inventory) => Inventory;
  readonly summary: readonly string[];
}

const withNics = (before: Inventory, change: (nics: Inventory['nics']) => Inventory['nics']): Inventory => ({
  ...before,
  nics: change(before.nics),
});

const cases: readonly Case[] = [
  {
    name: 'a NIC that goes takes its VFs',
    change: (before) => withNics(before, (nics) => nics.slice(1)),
    summary: ['nic - 0000:10:00.0', 'vf - 0000:10:02.0', 'vf - 0000:10:02.1'],
  },
  {
    name: 'a NIC that comes',
    change: (before) => withNics(before, (nics) => [...nics, nic('0000:12:00.0', netdev('eth2', 9))]),
    summary: ['nic + 0000:12:00.0'],
  },
  {
    name: 'a VF that is rebound is no change of its NIC',
    change: (before) =>
      withNics(before, ([first, ...rest]) => [
        nic(PF, netdev('eth0', 2, { ...first?.netdev }), [first?.vfs[0] ?? vf(PF, 0), vf(PF, 1)]),
        ...rest,
      ]),
    summary: ['vf ~ 0000:10:02.1 driver'],
  },
  {
    name: 'fields of the netdev are named',
    change: (before) =>
      withNics(before, ([first, ...rest]) => [
        first ?? nic(PF, netdev('x', 1)),
        ...rest.map((other) => ({ ...other, netdev: netdev('eth1', 3, { mtuBytes: 9000 }) })),
      ]),
    summary: ['nic ~ 0000:11:00.0 netdev.mtuBytes,netdev.master'],
  },
  {
    name: 'a virtual link that is renamed is the same one',
    change: (before) => ({ ...before, virtual: [virtualLink('br9', 5, 'bridge', { lowers: ['eth1'] })] }),
    summary: ['virtual ~ 5 ifname'],
  },
  {
    name: 'a note',
    change: (before) => ({ ...before, unread: [{ source: 'sys/x', reason: 'EIO' }] }),
    summary: ['unread'],
  },
  { name: 'the machine', change: (before) => ({ ...before, node: { name: 'node-2' } }), summary: ['node'] },
];

function summary(before: Inventory, after: Inventory): readonly string[] {
  const diff = diffInventories(before, after);
  const lines = <T>(
    kind: string,
    list: { added: readonly T[]; removed: readonly T[]; changed: readonly { after: T; fields: readonly string[] }[] },
    name: (item: T) => unknown,
  ) => [
    ...list.added.map((item) => `${kind} + ${name(item)}`),
    ...list.removed.map((item) => `${kind} - ${name(item)}`),
    ...list.changed.map((item) => `${kind} ~ ${name(item.after)} ${item.fields.join(',')}`),
  ];
  return [
    ...lines('nic', diff.nics, (item) => item.address),
    ...lines('vf', diff.vfs, (item) => item.address),
    ...lines('virtual', diff.virtual, (item) => item.ifindex),
    ...(diff.node ? ['node'] : []),
    ...(diff.unread ? ['unread'] : []),
  ];
}

for (const { name, change, summary: expected } of cases) {
  test(`diff: ${name}`, () => {
    const before = inventory();
    const after = change(inventory());
    assert.deepEqual(summary(before, after), expected);
    assert.deepEqual(summary(before, shareInventory(before, after)), expected);
    assert.deepEqual(shareInventory(before, after), after);
  });
}

test('sharing keeps what did not change', () => {
  const before = inventory();
  const next = inventory();
  const after = shareInventory(before, {
    ...next,
    nics: next.nics.map((item) => (item.address === PF ? { ...item, driver: 'ice' } : item)),
  });
  assert.notEqual(after.nics[0], before.nics[0]);
  assert.equal(after.nics[0]?.vfs, before.nics[0]?.vfs);
  assert.equal(after.nics[1], before.nics[1]);
  assert.equal(after.virtual, before.virtual);
});

test('devices in another order are another list of the same devices', () => {
  const before = inventory();
  const after = shareInventory(before, { ...inventory(), nics: inventory().nics.toReversed() });
  assert.notEqual(after.nics, before.nics);
  assert.equal(after.nics[1], before.nics[0]);
});

for (const [one, other, expected] of [
  [{ a: 1 }, { a: 1, b: undefined }, true],
  [{ a: 1, b: undefined }, { a: 1 }, true],
  [{ a: [] }, { a: {} }, false],
  [[1, 2], [1], false],
  [null, {}, false],
  [{ a: { b: [1] } }, { a: { b: [1] } }, true],
] as const) {
  test(`${JSON.stringify(one)} ${expected ? 'equals' : 'differs from'} ${JSON.stringify(other)}`, () => {
    assert.equal(isSame(one, other), expected);
  });
}

test('VF settings are put in, and only where they differ', () => {
  const before = inventory();
  const answer = { settings: new Map([[1, { vlan: 7 }]]), missing: [] };
  const after = withVfSettings(before, PF, answer);
  assert.deepEqual(after.nics[0]?.vfs[1]?.settings, { vlan: 7 });
  assert.equal(after.nics[0]?.vfs[0], before.nics[0]?.vfs[0]);
  assert.equal(after.nics[0]?.sriov?.vfSettings, true);
  assert.equal(withVfSettings(after, PF, answer), after);
  const none = withVfSettings(after, PF, 'none');
  assert.equal(none.nics[0]?.sriov?.vfSettings, false);
  assert.equal(none.nics[0]?.vfs[1]?.settings, undefined);
  assert.equal(withVfSettings(after, PF, undefined), after);
  assert.equal(withVfSettings(after, parsePciAddress('0000:99:00.0'), answer), after);
});

test.run();
