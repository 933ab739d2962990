/** ListAndWatch messages: what is in them, and the size that kubelet's client takes. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import type { PoolDevice, PoolState } from '../../src/engine/pools/model.ts';
import { DeviceListEncoder, MAX_MESSAGE_BYTES } from '../../src/kubelet/device-list.ts';
import { ListAndWatchResponse } from '../../src/kubelet/gen/deviceplugin/v1beta1/device_plugin.ts';
import { slotSpec } from '../engine/pools/build.ts';
import { testNode } from './node.ts';

const RESOURCE = 'rig.example/slots';

function state(devices: readonly PoolDevice[], excludeTopology = false): PoolState {
  return { spec: slotSpec('macvlan', { resource: RESOURCE, excludeTopology }), devices, notes: [] };
}

/** The message takes 2 + 2 + id + 2 + 7 bytes for each healthy device: tags and lengths, the id, the health. */
const bytesOf = (id: string): number => 13 + id.length;

/** Devices whose message has exactly `bytes` bytes. */
function devicesOf(bytes: number): readonly PoolDevice[] {
  const devices: PoolDevice[] = [];
  const id = (length: number): string => String(devices.length).padStart(length, 'x');
  let left = bytes;
  while (left >= 2 * bytesOf(id(60))) {
    devices.push({ id: id(60), healthy: true });
    left -= bytesOf(id(60));
  }
  devices.push({ id: id(left - 13), healthy: true });
  return devices;
}

test('a device is its id, its health, and the hint unless the pool leaves it out', () => {
  const devices: PoolDevice[] = [
    { id: 'eth0-0', healthy: true, numaNode: 1 },
    { id: 'eth0-1', healthy: false, reason: 'eth0 is down' },
  ];
  const decoded = (excludeTopology: boolean) =>
    ListAndWatchResponse.decode(new DeviceListEncoder().encode(state(devices, excludeTopology))).devices;
  assert.deepEqual(decoded(false), [
    { ID: 'eth0-0', health: 'Healthy', topology: { nodes: [{ ID: 1 }] } },
    { ID: 'eth0-1', health: 'Unhealthy', topology: undefined },
  ]);
  assert.deepEqual(decoded(true), [
    { ID: 'eth0-0', health: 'Healthy', topology: undefined },
    { ID: 'eth0-1', health: 'Unhealthy', topology: undefined },
  ]);
});

test('a device that changes is encoded anew, whatever the last list said', () => {
  const encoder = new DeviceListEncoder();
  const healths = [true, false, true].map((healthy) => {
    const message = encoder.encode(
      state([
        { id: 'a', healthy },
        { id: 'b', healthy: true },
      ]),
    );
    return ListAndWatchResponse.decode(message).devices.map(({ health }) => health);
  });
  assert.deepEqual(healths, [
    ['Healthy', 'Healthy'],
    ['Unhealthy', 'Healthy'],
    ['Healthy', 'Healthy'],
  ]);
});

test('a list of 4 MiB is sent, one of a byte more is refused with both sizes', () => {
  const encoder = new DeviceListEncoder();
  assert.equal(encoder.encode(state(devicesOf(MAX_MESSAGE_BYTES))).length, 4_194_304);
  const devices = devicesOf(MAX_MESSAGE_BYTES + 1);
  assert.throws(() => encoder.encode(state(devices)), {
    reason: 'pool-too-large',
    message: new RegExp(`has ${devices.length} devices and 4194305 bytes; kubelet takes 4194304 bytes`),
  });
});

/** The most slots of `eth0` whose list kubelet takes. */
function mostSlots(): number {
  let bytes = 0;
  for (let slot = 0; ; slot++) {
    bytes += bytesOf(`eth0-${slot}`);
    if (bytes > MAX_MESSAGE_BYTES) return slot;
  }
}

test('a pool just below the limit works, one above it offers nothing and says why, live', async () => {
  const most = mostSlots();
  const pool = (capacity: number) =>
    slotSpec('macvlan', { resource: RESOURCE, capacity, excludeTopology: true, origin: 'config.yaml:1' });
  const node = await testNode({ specs: [pool(most)] });
  try {
    const frontEnd = node.frontEnd();
    await frontEnd.start();
    await node.allocatable(most, RESOURCE);
    assert.deepEqual(frontEnd.status()[0]?.problems, []);
    node.pools.update({ specs: [pool(most + 1)] });
    await node.allocatable(0, RESOURCE);
    assert.match(
      frontEnd.status()[0]?.problems[0] ?? '',
      new RegExp(`^not offered: the list of ${RESOURCE} has ${most + 1} devices and 41943[0-9]{2} bytes`),
    );
    node.pools.update({ specs: [pool(most)] });
    await node.allocatable(most, RESOURCE);
    assert.deepEqual(frontEnd.status()[0]?.problems, []);
    assert.equal(frontEnd.status()[0]?.registered, true);
  } finally {
    await node.close();
  }
});

test.run();
