/** Devices that kubelet gives, as the views know them: from Allocate and the pod-resources of a kubelet. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { GivenDevices } from '../../src/engine/attachments/given-devices.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { createPodResources } from '../../src/kubelet/index.ts';
import { eventually } from '../standins/eventually.ts';
import { pod, testNode } from './node.ts';

/** Pauses of some milliseconds. */
const clock = {
  now: () => new Date(),
  delay: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms / 50)),
};

test('a pod that is given devices has them without any ADD, until it is gone', async () => {
  const node = await testNode();
  const podDevices = createPodResources({ socketPath: node.kubelet.paths.podResourcesSocket, log: silentLogger });
  const given = new GivenDevices({ podDevices, attached: () => new Set(), clock, log: silentLogger });
  // Kubelet lists a pod's devices in any order.
  const known = () =>
    Object.entries(given.current ?? {})
      .map(([id, { pod: name, container }]) => [id, name, container])
      .sort();
  const soon = (wanted: readonly unknown[]) =>
    eventually(
      () => assert.deepEqual(known(), wanted),
      5000,
      () => JSON.stringify(known()),
    );
  try {
    await node.frontEnd({ onGiven: (devices) => given.given(devices) }).start();
    await node.allocatable(4);
    given.look();
    await eventually(
      () => assert.deepEqual(given.current, {}),
      5000,
      () => 'the first answer',
    );
    await node.kubelet.admit(pod('dpdk', 2));
    await soon([
      ['0000:41:10.0', 'default/dpdk', 'main'],
      ['0000:41:10.1', 'default/dpdk', 'main'],
    ]);
    node.kubelet.remove({ namespace: 'default', name: 'dpdk' });
    given.look();
    await soon([]);
  } finally {
    given.stop();
    podDevices.close();
    await node.close();
  }
});

test.run();
