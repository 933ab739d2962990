/** A container with a macvtap slot gets the character device of a link that is made after Allocate. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { tapIndexOf, tapPath } from '../../src/engine/links/tap-index.ts';
import { macvtapSlot } from '../../src/engine/pools/slot.ts';
import { slotSpec } from '../engine/pools/build.ts';
import { pod, testNode } from './node.ts';

const RESOURCE = 'rig.example/tap';

for (const slotIds of ['uplink', 'macvtap-cni'] as const) {
  test(`slots called as by ${slotIds} bring their device`, async () => {
    const spec = slotSpec('macvlan', { kind: 'macvtap', resource: RESOURCE, slotIds, mode: 'vepa' });
    const node = await testNode({ specs: [spec] });
    try {
      await node.frontEnd().start();
      await node.allocatable(2, RESOURCE);
      const { containers } = await node.kubelet.admit(pod('p1', 1, RESOURCE));
      const id = slotIds === 'uplink' ? 'eth0-0' : 'tapMvp0';
      assert.equal(containers[0]?.envs.PCIDEVICE_RIG_EXAMPLE_TAP, id);
      assert.deepEqual(containers[0]?.deviceNodes, [{ path: tapPath(tapIndexOf(id)), permissions: 'rw' }]);
      assert.deepEqual(macvtapSlot(node.pools.plan(), id), { uplink: 'eth0', mode: 'vepa' });
      assert.equal(macvtapSlot(node.pools.plan(), 'eth9-0'), undefined);
    } finally {
      await node.close();
    }
  });
}

test.run();
