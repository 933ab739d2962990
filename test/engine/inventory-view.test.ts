/** What people see of a node: devices joined with what offers them and who has them. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { inventoryView, standingOf } from '../../src/engine/inventory-view.ts';
import type { Plan, PoolDevice, PoolSpec } from '../../src/engine/pools/model.ts';
import { parsePciAddress } from '../../src/engine/values.ts';
import { inventory } from './inventory/fixtures.ts';

const VF = parsePciAddress('0000:10:02.0');
const PARENT = parsePciAddress('0000:10:00.0');
const SF = 'mlx5_core.sf.4';
const OWNER = { pod: 'default/web-0', containerId: 'c', ifname: 'net1', since: '2026-01-01T00:00:00Z' };
const SPEC: PoolSpec = {
  kind: 'vf',
  resource: 'berth.dev/vf',
  origin: 'built-in',
  excludeTopology: false,
  selectors: [],
  health: { linkDown: 'ignore', driverChanged: 'ignore' },
  additionalInfo: {},
};

function planOf(devices: readonly PoolDevice[], unused: Plan['unused'] = []): Plan {
  return { pools: [{ spec: SPEC, devices, notes: [] }], unused };
}

test('VFs go by their address and scalable functions by their name; slots are no devices', () => {
  const view = inventoryView(
    inventory(),
    planOf([
      { id: VF, pci: VF, healthy: true },
      { id: SF, parent: PARENT, healthy: false, reason: 'it has no driver' },
      { id: 'eth1-0', uplink: 'eth1', healthy: true },
    ]),
    {},
  );
  assert.deepEqual(view.pools, { [VF]: SPEC.resource, [SF]: SPEC.resource });
  assert.deepEqual(view.unhealthy, { [SF]: 'it has no driver' });
});

test('who has a device counts more than its health, and health more than its pool', () => {
  const view = { inventory: inventory(), pools: { a: 'r', b: 'r', c: 'r' }, unhealthy: { a: 'x', b: 'x' } };
  const owned = { ...view, owners: { a: OWNER } };
  assert.deepEqual(standingOf('a', owned), { state: 'taken', pool: 'r', problem: 'x', owner: OWNER });
  assert.deepEqual(standingOf('b', owned), { state: 'broken', pool: 'r', problem: 'x' });
  assert.deepEqual(standingOf('c', owned), { state: 'free', pool: 'r' });
  assert.deepEqual(standingOf('d', owned), { state: 'unused' });
});

test('findings know why a scalable function is in no pool', () => {
  const scalable = [{ name: SF, sfnum: 88, parent: PARENT, driver: 'mlx5_core.sf' }];
  const [eth0, ...others] = inventory().nics;
  assert.ok(eth0);
  const node = inventory({ nics: [{ ...eth0, scalable }, ...others] });
  const { findings } = inventoryView(node, planOf([], [{ scalable: SF, reasons: ['drivers: no'] }]), {}).inventory;
  const told = findings.find(({ id }) => id === 'sf-unselected');
  assert.match(told?.evidence ?? '', /SF 88 \(mlx5_core\.sf\.4\) in no pool \(drivers: no\)/);
});

test.run();
