/** Scalable functions over time: given to pods, gone, without their driver. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import type { AttachmentSummary } from '../../../src/engine/attachments/model.ts';
import type { Inventory, ScalableFunction } from '../../../src/engine/inventory/model.ts';
import { silentLogger } from '../../../src/engine/logger.ts';
import { holdsOf } from '../../../src/engine/pools/holds.ts';
import { createPoolSet } from '../../../src/engine/pools/pool-set.ts';
import { parseIfName, parsePciAddress } from '../../../src/engine/values.ts';
import { inventory, nic, vfSpec, virtual } from './build.ts';

const PARENT = parsePciAddress('0000:41:00.0');
const sf = (id: number, facts: Partial<ScalableFunction> = {}): ScalableFunction => ({
  name: `mlx5_core.sf.${id}`,
  sfnum: id,
  parent: PARENT,
  driver: 'mlx5_core.sf',
  ...facts,
});
const node = (...scalable: ScalableFunction[]): Inventory =>
  inventory([nic('eth0', [], { driver: 'mlx5_core', scalable })]);
const spec = vfSpec({ resource: 'berth.dev/sf', candidates: 'scalable' });
/** An attachment of the host-device kind, which names the function as the device plugin does. */
const held = (device: string) =>
  holdsOf([{ kind: 'host-device', device, state: 'attached', containerId: 'c' } as unknown as AttachmentSummary]);

function shown(pools: ReturnType<typeof createPoolSet>): readonly string[] {
  return (pools.state('berth.dev/sf')?.devices ?? []).map(({ id, reason }) =>
    reason === undefined ? id : `${id}: ${reason}`,
  );
}

test('a function that is in a pod stays listed, whatever a new configuration selects', () => {
  const pools = createPoolSet({ specs: [spec], inventory: node(sf(1), sf(2)), log: silentLogger });
  pools.update({ holds: held('mlx5_core.sf.2') });
  pools.update({ specs: [{ ...spec, selectors: [{ isRdma: true }] }] });
  assert.deepEqual(shown(pools), ['mlx5_core.sf.2']);
  pools.update({ holds: holdsOf([]) });
  assert.deepEqual(shown(pools), []);
  pools.stop();
});

test('one that is destroyed under its pod is shown as gone, until the pod is', () => {
  const pools = createPoolSet({ specs: [spec], inventory: node(sf(1), sf(2)), log: silentLogger });
  pools.update({ holds: held('mlx5_core.sf.2') });
  pools.update({ inventory: node(sf(1)) });
  assert.deepEqual(shown(pools), ['mlx5_core.sf.1', 'mlx5_core.sf.2: the device is gone while a pod holds it']);
  pools.update({ holds: holdsOf([]) });
  assert.deepEqual(shown(pools), ['mlx5_core.sf.1']);
  pools.stop();
});

test('one that loses its driver is unhealthy', () => {
  const pools = createPoolSet({ specs: [spec], inventory: node(sf(1), sf(2)), log: silentLogger });
  pools.plan();
  const { driver: _driver, ...unbound } = sf(2);
  pools.update({ inventory: node(sf(1), unbound) });
  assert.deepEqual(shown(pools), ['mlx5_core.sf.1', 'mlx5_core.sf.2: its driver mlx5_core is not bound any more']);
  pools.stop();
});

test('one whose netdev the node uses is in no pool', () => {
  const ifname = parseIfName('eth0s1');
  const used = {
    ...node(sf(1, { ifname }), sf(2)),
    virtual: [virtual('sf', 'eth0s1', { addresses: ['192.0.2.1/24'] })],
  };
  const pools = createPoolSet({ specs: [spec], inventory: used, log: silentLogger });
  assert.deepEqual(shown(pools), ['mlx5_core.sf.2']);
  const [unused] = pools.plan().unused.filter(({ scalable }) => scalable !== undefined);
  assert.deepEqual(unused, {
    scalable: 'mlx5_core.sf.1',
    reasons: ['berth.dev/sf: the node uses it: eth0s1 is up with the address 192.0.2.1/24'],
  });
  pools.stop();
});

test.run();
