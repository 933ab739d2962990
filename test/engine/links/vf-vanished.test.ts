/** A VF's netdev that goes away, or is made anew, between the look at it and its move. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toBerthError } from '../../../src/engine/errors.ts';
import { createPodNode, type PodNode, vf } from '../../standins/attachment-node.ts';
import { linkOf } from '../../standins/fake-world.ts';

const test = suite('a VF that vanishes while it is attached');

/** Calls `change` once everything has been looked at, and addresses are reserved. */
function afterPreparing(node: PodNode, change: () => void): void {
  let isLookedAt = false;
  node.kernel.intercept(({ what, when }) => {
    isLookedAt ||= what === 'vfSettings';
    if (!isLookedAt || what !== 'incarnation' || when !== 'before') return;
    node.kernel.intercept(undefined);
    change();
  });
}

/** What a busy lock of the addresses would cost. */
function wait(node: PodNode): void {
  for (let ms = 0; ms < 100; ms++) node.clock.now();
}

for (const waits of [false, true]) {
  test(`it is gone${waits ? ', and its addresses were waited for' : ''}: the ADD fails, and what it did is undone`, async () => {
    const node = createPodNode();
    const device = node.device(1);
    afterPreparing(node, () => {
      node.world.host.links.delete(linkOf(device).index);
      if (waits) wait(node);
    });
    const name = linkOf(device).name;
    const error = await node.attach('c1', vf(device)).then(() => undefined, toBerthError);
    assert.is(error?.reason, 'device-vanished');
    assert.is(error?.code, 'Busy');
    assert.is(node.kernel.openHandles, 0);
    // With a netdev again, the next word of the runtime undoes what was left.
    device.link = node.world.addLink(node.world.host, { name, pci: device.address });
    await node.detach('c1');
    assert.equal([...node.records.files.keys()], []);
  });
}

test('its driver made it anew while its addresses were waited for: the new one is taken', async () => {
  const node = createPodNode();
  const device = node.device(1);
  const before = linkOf(device);
  afterPreparing(node, () => {
    node.world.host.links.delete(before.index);
    device.link = node.world.addLink(node.world.host, { name: before.name, pci: device.address });
    wait(node);
  });
  const result = await node.attach('c1', vf(device));
  assert.is(result.hasNetdev, true);
  assert.is.not(linkOf(device).index, before.index);
  await node.detach('c1');
  assert.is(linkOf(device).name, before.name);
});

test.run();
