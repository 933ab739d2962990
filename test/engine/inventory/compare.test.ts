import assert from 'node:assert/strict';
import { test } from 'uvu';
import { compareInventories, type SavedInventory } from '../../../src/engine/inventory/compare.ts';

type Nic = SavedInventory['nics'][number];

const vf = (index: number, more: object = {}) => ({ index, address: `0000:41:10.${index}`, driver: 'igbvf', ...more });

function nic(address: string, more: object = {}): Nic {
  return { address, ifname: 'eth0', driver: 'igb', vfs: [vf(0), vf(1)], ...more } as Nic;
}

function saved(nics: readonly Nic[], more: Partial<SavedInventory> = {}): SavedInventory {
  return { node: { name: 'n1' }, nics, virtual: [], findings: [], ...more };
}

const told = (before: SavedInventory, after: SavedInventory) =>
  compareInventories(before, after).map(({ change, fields, kind, name }) => [
    change,
    kind,
    name,
    fields.map(({ after: now, before: old, field }) => [field, old, now]),
  ]);

test('equal inventories have no difference, whatever index the kernel gave', () => {
  const one = saved([nic('0000:41:00.0', { netdev: { ifindex: 2, mtuBytes: 1500 } })]);
  const other = saved([nic('0000:41:00.0', { netdev: { ifindex: 7, mtuBytes: 1500 } })]);
  assert.deepEqual(told(one, structuredClone(one)), []);
  assert.deepEqual(told(one, other), []);
});

test('fields are compared one by one, also those of a newer release', () => {
  const before = saved([nic('0000:41:00.0', { firmware: '9.1', netdev: { mtuBytes: 1500 }, gone: 1 })]);
  const after = saved([nic('0000:41:00.0', { firmware: '9.3', netdev: { mtuBytes: 9000 }, newer: [1] })]);
  assert.deepEqual(told(before, after), [
    [
      'changed',
      'nic',
      'eth0 (0000:41:00.0)',
      [
        ['firmware', '9.1', '9.3'],
        ['netdev.mtuBytes', 1500, 9000],
        ['gone', 1, undefined],
        ['newer', undefined, [1]],
      ],
    ],
  ]);
});

test('counters go on all the time and are no difference', () => {
  const counted = (rxBytes: number) =>
    saved([nic('0000:41:00.0', { ownCounters: { rxBytes }, vfs: [vf(0, { counters: { rxBytes } })] })]);
  assert.deepEqual(told(counted(1), counted(2)), []);
});

test('scalable functions are known by their number, and accelerators are compared like NICs', () => {
  const sf = (sfnum: number, more: object = {}) => ({ name: `mlx5_core.sf.${sfnum}`, sfnum, ...more });
  const qat = (driver: string) => ({ address: '0000:3b:00.0', driver, vfs: [] });
  const before = saved([nic('0000:41:00.0', { scalable: [sf(1), sf(2)] })], { accelerators: [qat('c6xx')] });
  const after = saved([nic('0000:41:00.0', { scalable: [sf(2, { driver: 'mlx5_core.sf' }), sf(3)] })], {
    accelerators: [qat('vfio-pci')],
  });
  assert.deepEqual(told(before, after), [
    ['changed', 'scalable', 'SF 2 of eth0 (mlx5_core.sf.2)', [['driver', undefined, 'mlx5_core.sf']]],
    ['added', 'scalable', 'SF 3 of eth0 (mlx5_core.sf.3)', []],
    ['removed', 'scalable', 'SF 1 of eth0 (mlx5_core.sf.1)', []],
    ['changed', 'accelerator', '0000:3b:00.0', [['driver', 'c6xx', 'vfio-pci']]],
  ]);
  assert.deepEqual(told(saved([]), saved([], { accelerators: [qat('c6xx')] })), [
    ['added', 'accelerator', '0000:3b:00.0', []],
  ]);
});

test('a VF is known by its PF and index, so that another address is a change', () => {
  const before = saved([nic('0000:41:00.0')]);
  const after = saved([
    nic('0000:41:00.0', { vfs: [vf(0), vf(1, { address: '0000:41:11.0', driver: 'vfio-pci' }), vf(2)] }),
  ]);
  assert.deepEqual(told(before, after), [
    [
      'changed',
      'vf',
      'VF 1 of eth0 (0000:41:11.0)',
      [
        ['address', '0000:41:10.1', '0000:41:11.0'],
        ['driver', 'igbvf', 'vfio-pci'],
      ],
    ],
    ['added', 'vf', 'VF 2 of eth0 (0000:41:10.2)', []],
  ]);
});

const mac = (permanentMac: string) => ({ netdev: { permanentMac } });

for (const [what, before, after, expected] of [
  [
    'a card that was moved is the same card, by its permanent address',
    nic('0000:41:00.0', mac('02:00:00:00:00:01')),
    nic('0000:81:00.0', mac('02:00:00:00:00:01')),
    [['changed', 'nic', 'eth0 (0000:81:00.0)', [['address', '0000:41:00.0', '0000:81:00.0']]]],
  ],
  [
    'a card that was moved is the same card, by its serial number and port',
    nic('0000:41:00.1', { serial: 'S1' }),
    nic('0000:81:00.1', { serial: 'S1' }),
    [['changed', 'nic', 'eth0 (0000:81:00.1)', [['address', '0000:41:00.1', '0000:81:00.1']]]],
  ],
  [
    'another card in the same slot is another card',
    nic('0000:41:00.0', mac('02:00:00:00:00:01')),
    nic('0000:41:00.0', mac('02:00:00:00:00:02')),
    [
      ['added', 'nic', 'eth0 (0000:41:00.0)', []],
      ['removed', 'nic', 'eth0 (0000:41:00.0)', []],
    ],
  ],
] as const) {
  test(what, () => {
    assert.deepEqual(told(saved([before]), saved([after])), expected);
  });
}

test('two ports with one serial number are told apart by their addresses', () => {
  const ports = [nic('0000:41:00.0', { serial: 'S1' }), nic('0000:42:00.0', { serial: 'S1' })];
  assert.deepEqual(told(saved(ports), saved(ports.toReversed())), []);
});

test('links, findings and the node are compared, too', () => {
  const finding = { id: 'pf-down', severity: 'warning', evidence: 'eth0 is down' };
  const before = saved([], { virtual: [{ ifname: 'br0', kind: 'bridge' }, { ifname: 'old' }], findings: [finding] });
  const after = saved([], { node: { name: 'n1', kernel: '6.18' }, virtual: [{ ifname: 'br0', kind: 'bond' }] });
  assert.deepEqual(told(before, after), [
    ['changed', 'node', 'node', [['kernel', undefined, '6.18']]],
    ['changed', 'virtual', 'br0', [['kind', 'bridge', 'bond']]],
    ['removed', 'virtual', 'old', []],
    ['removed', 'finding', 'warning pf-down: eth0 is down', []],
  ]);
});

test.run();
