import assert from 'node:assert/strict';
import { test } from 'uvu';
import type { AttachmentSummary } from '../../../src/engine/attachments/model.ts';
import type { Clock } from '../../../src/engine/clock.ts';
import { silentLogger } from '../../../src/engine/logger.ts';
import { holdsOf, NO_HOLDS } from '../../../src/engine/pools/holds.ts';
import { createPoolSet, type PoolChange, type PoolSet } from '../../../src/engine/pools/pool-set.ts';
import { zeroConfigPools } from '../../../src/engine/pools/zero-config.ts';
import { parseContainerId, parseIfName, parseNetworkName, parsePciAddress } from '../../../src/engine/values.ts';
import { away, inventory, nic, slotSpec, vf, vfio, vfSpec } from './build.ts';

const ADDRESS = parsePciAddress('0000:41:10.0');
const held = { ...NO_HOLDS, devices: new Map([[ADDRESS, {}]]) };

/** Time that stands still until told otherwise. */
function stoppedClock(): Clock & { advance(ms: number): void } {
  let now = 0;
  return {
    now: () => new Date(now),
    delay: () => Promise.resolve(),
    advance: (ms) => {
      now += ms;
    },
  };
}

function poolSet(given: ReturnType<typeof inventory>, clock: Clock = stoppedClock()): PoolSet {
  return createPoolSet({ specs: zeroConfigPools(), inventory: given, log: silentLogger, clock });
}

const ids = (pools: PoolSet, resource = 'berth.dev/vf'): readonly string[] =>
  pools.state(resource)?.devices.map((device) => `${device.id}${device.healthy ? '' : '!'}`) ?? [];

test('a burst of news is one change that names the pools that changed', async () => {
  const pools = poolSet(inventory([nic('eth0')]));
  const changes: PoolChange[] = [];
  const changed = new Promise<void>((resolve) => {
    pools.subscribe((change) => {
      changes.push(change);
      resolve();
    });
  });
  pools.update({ inventory: inventory([nic('eth0', [vf(0)])]) });
  pools.update({ inventory: inventory([nic('eth0', [vf(0), vf(1)])]) });
  await changed;
  assert.equal(changes.length, 1);
  assert.deepEqual(
    changes[0]?.changed.map(({ spec, devices }) => [spec.resource, devices.length]),
    [['berth.dev/vf', 2]],
  );
  pools.stop();
});

test('news that change no list are no change', () => {
  const pools = poolSet(inventory([nic('eth0', [vf(0)])]));
  let changes = 0;
  pools.subscribe(() => changes++);
  pools.update({ inventory: inventory([nic('eth0', [vf(0)], { firmware: '1.2' }, { speedMbps: 1000 })]) });
  pools.plan();
  assert.equal(changes, 0);
  pools.stop();
});

test('a reader never sees an older state than the news', () => {
  const pools = poolSet(inventory([nic('eth0')]));
  pools.update({ inventory: inventory([nic('eth0', [vf(0)])]) });
  assert.deepEqual(ids(pools), [ADDRESS]);
  pools.stop();
});

test('a listener that ended is not called', () => {
  const pools = poolSet(inventory([nic('eth0')]));
  let changes = 0;
  const end = pools.subscribe(() => changes++);
  end();
  pools.update({ inventory: inventory([nic('eth0', [vf(0)])]) });
  pools.plan();
  assert.equal(changes, 0);
  pools.stop();
});

test('a configuration without a pool removes its resource', () => {
  const pools = poolSet(inventory([nic('eth0', [vf(0)])]));
  const changes: PoolChange[] = [];
  pools.subscribe((change) => changes.push(change));
  pools.update({ specs: [vfSpec({ resource: 'berth.dev/vf' })] });
  pools.plan();
  assert.deepEqual(
    changes.map(({ changed, removed }) => [changed.length, removed]),
    [[0, ['berth.dev/vf-vfio', 'berth.dev/macvlan', 'berth.dev/ipvlan']]],
  );
  pools.stop();
});

for (const [first, then] of [
  ['the hold', 'the netdev'],
  ['the netdev', 'the hold'],
] as const) {
  test(`a VF on its way into a pod stays listed when news of ${first} come before those of ${then}`, () => {
    const pools = poolSet(inventory([nic('eth0', [vf(0)])]));
    const news = { 'the hold': { holds: held }, 'the netdev': { inventory: inventory([nic('eth0', [away(0)])]) } };
    for (const step of [first, then]) {
      pools.update(news[step]);
      assert.deepEqual(ids(pools), [ADDRESS]);
    }
    pools.stop();
  });
}

test('a VF on its way home stays listed, and leaves only when it does not arrive', () => {
  const clock = stoppedClock();
  const pools = poolSet(inventory([nic('eth0', [vf(0)])]), clock);
  pools.update({ inventory: inventory([nic('eth0', [away(0)])]), holds: held });
  assert.deepEqual(ids(pools), [ADDRESS]);
  clock.advance(60_000);
  pools.update({ holds: NO_HOLDS });
  assert.deepEqual(ids(pools), [ADDRESS]);
  clock.advance(1_900);
  pools.update({});
  assert.deepEqual(ids(pools), [ADDRESS]);
  clock.advance(200);
  pools.update({});
  assert.deepEqual(ids(pools), []);
  pools.update({ inventory: inventory([nic('eth0', [vf(0)])]) });
  assert.deepEqual(ids(pools), [ADDRESS]);
  pools.stop();
});

test('a VF that loses its driver is unhealthy, and healthy again when it is back', () => {
  const pools = poolSet(inventory([nic('eth0', [vf(0)])]));
  const { driver: _driver, ...unbound } = away(0);
  pools.update({ inventory: inventory([nic('eth0', [unbound])]) });
  assert.deepEqual(ids(pools), [`${ADDRESS}!`]);
  pools.update({});
  assert.deepEqual(ids(pools), [`${ADDRESS}!`]);
  pools.update({ inventory: inventory([nic('eth0', [vf(0)])]) });
  assert.deepEqual(ids(pools), [ADDRESS]);
  pools.stop();
});

test('a VF that is bound to vfio-pci moves to the pool of those', () => {
  const pools = poolSet(inventory([nic('eth0', [vf(0)])]));
  pools.update({ inventory: inventory([nic('eth0', [vfio(0)])]) });
  assert.deepEqual([ids(pools), ids(pools, 'berth.dev/vf-vfio')], [[], [ADDRESS]]);
  pools.stop();
});

test('a VF that is rebound while a pod holds it stays, unhealthy, with the pool it was given from', () => {
  const pools = poolSet(inventory([nic('eth0', [vf(0)])]));
  pools.update({ holds: held });
  pools.update({ inventory: inventory([nic('eth0', [vfio(0)])]) });
  assert.deepEqual([ids(pools), ids(pools, 'berth.dev/vf-vfio')], [[`${ADDRESS}!`], []]);
  pools.stop();
});

test('VFs that are destroyed leave the list, those in pods stay as unhealthy', () => {
  const pools = poolSet(inventory([nic('eth0', [vf(0), vf(1)])]));
  pools.update({ holds: held, inventory: inventory([nic('eth0', [away(0), vf(1)])]) });
  pools.plan();
  pools.update({ inventory: inventory([nic('eth0')]) });
  assert.deepEqual(ids(pools), [`${ADDRESS}!`]);
  pools.update({ holds: NO_HOLDS });
  assert.deepEqual(ids(pools), []);
  pools.stop();
});

test('the VF and its PF are found by address, and whether a pod holds it', () => {
  const pools = poolSet(inventory([nic('eth0', [vf(0)])]));
  assert.equal(pools.functionAt(ADDRESS)?.pf?.ifname, 'eth0');
  assert.equal(pools.functionAt(parsePciAddress('0000:99:10.0')), undefined);
  assert.equal(pools.isHeld(ADDRESS), false);
  pools.update({ holds: held });
  assert.equal(pools.isHeld(ADDRESS), true);
  pools.stop();
});

function attachment(kind: AttachmentSummary['kind'], device: string): AttachmentSummary {
  return {
    containerId: parseContainerId('c'),
    ifname: parseIfName('net1'),
    kind,
    device,
    network: parseNetworkName('n'),
    addresses: [],
    state: 'attached',
    createdAt: '2026-01-01T00:00:00Z',
    since: '2026-01-01T00:00:00Z',
  };
}

test('attachments hold their VF, or decide what their uplink carries', () => {
  const rows = [attachment('vf', ADDRESS), attachment('macvlan', 'eth0'), attachment('ipvlan', 'eth1')];
  assert.deepEqual(
    holdsOf(rows, () => 'berth.dev/vf'),
    {
      devices: new Map([[ADDRESS, { resource: 'berth.dev/vf', attachedTo: 'container c' }]]),
      uplinks: new Map([
        ['eth0', 'macvlan'],
        ['eth1', 'ipvlan'],
      ]),
    },
  );
  const pod = { namespace: 'default', name: 'web' };
  for (const [state, expected] of [
    ['attached', { attachedTo: 'pod default/web' }],
    ['adding', {}],
    ['restoring', {}],
    ['stuck', {}],
  ] as const) {
    assert.deepEqual(holdsOf([{ ...attachment('vf', ADDRESS), state, pod }]).devices, new Map([[ADDRESS, expected]]));
  }
});

test('a pod on an uplink makes the slots of the other kind unhealthy', () => {
  const pools = createPoolSet({
    specs: [slotSpec('ipvlan', { capacity: 1 })],
    inventory: inventory([nic('eth0')]),
    log: silentLogger,
  });
  pools.update({ holds: { ...NO_HOLDS, uplinks: new Map([['eth0', 'macvlan']]) } });
  assert.deepEqual(ids(pools, 'berth.dev/ipvlan'), ['eth0-0!']);
  pools.stop();
});

test.run();
