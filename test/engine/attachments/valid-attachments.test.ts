/** GC: what a runtime does not list goes, unless something contradicts the runtime. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AttachmentKey, PodIdentity } from '../../../src/engine/attachments/model.ts';
import { parseContainerId, parseIfName, parseNetworkName } from '../../../src/engine/values.ts';
import { createPodNode, macvlan, type PodNode, vf } from '../../standins/attachment-node.ts';
import { podDevices } from '../../standins/pod-devices.ts';

const test = suite('valid attachments');

const pod = (name: string): PodIdentity => ({ namespace: 'default', name, uid: name });
const key = (container: string, ifname = 'net1'): AttachmentKey => ({
  containerId: parseContainerId(container),
  ifname: parseIfName(ifname),
});
const operation = { requestId: 'gc', signal: new AbortController().signal };

async function gc(node: PodNode, valid: readonly AttachmentKey[], network = 'net-a'): Promise<readonly string[]> {
  await node.engine.keepValid(parseNetworkName(network), valid, operation);
  return node.engine
    .list()
    .map(({ containerId, ifname }) => `${containerId}@${ifname}`)
    .sort();
}

test('what the runtime does not list is taken away with its address, and the listed stays', async () => {
  const node = createPodNode();
  node.world.addSandbox('/run/netns/gone');
  const before = node.snapshot();
  await node.attach('gone', vf(node.device(0), { vlan: 9 }));
  await node.attach('stays', macvlan());
  await node.attach('stays', macvlan(), { ifname: 'net2' });
  assert.equal(await gc(node, [key('stays'), key('stays', 'net2')]), ['stays@net1', 'stays@net2']);
  assert.equal(await gc(node, [key('stays', 'net2')]), ['stays@net2']);
  assert.equal(await gc(node, []), []);
  node.world.paths.delete('/run/netns/stays');
  assert.is(node.snapshot(), before);
});

test('attachments of other networks are not looked at, whatever the list says', async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan());
  assert.equal(await gc(node, [key('other')], 'net-b'), ['c1@net1']);
});

test('a pod that kubelet lists keeps its attachments, whatever a cache lost', async () => {
  const node = createPodNode();
  node.podDevices = podDevices([], ['mine', 'other']);
  await node.attach('c1', macvlan(), { pod: pod('mine') });
  assert.equal(await gc(node, []), ['c1@net1']);
  node.podDevices = podDevices([], ['other']);
  assert.equal(await gc(node, []), []);
});

test('a kubelet that lists no pod, or does not answer, contradicts', async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan(), { pod: pod('mine') });
  node.podDevices = podDevices([]);
  assert.equal(await gc(node, []), ['c1@net1']);
  node.podDevices = { ...podDevices([], ['mine']), lists: async () => false, listsAny: async () => false };
  assert.equal(await gc(node, []), ['c1@net1']);
  node.podDevices = undefined;
  assert.equal(await gc(node, []), []);
});

test('an attachment that is made anew while GC waits is not the one that was missing in the list', async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan());
  let again: Promise<unknown> | undefined;
  node.kernel.intercept((step) => {
    // The DEL holds the attachment's lock; GC and the next ADD wait for it.
    if (step.what !== 'link.delete' || again !== undefined) return;
    again = Promise.all([
      node.engine.keepValid(parseNetworkName('net-a'), [], operation),
      node.attach('c1', macvlan()),
    ]);
  });
  await node.detach('c1');
  await again;
  node.kernel.intercept(undefined);
  assert.equal(
    node.engine.list().map(({ containerId, state }) => `${containerId} ${state}`),
    ['c1 attached'],
  );
});

test('one that fails does not keep the others, and is told', async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan());
  await node.attach('c2', macvlan());
  let failed = false;
  node.kernel.intercept((step) => {
    if (step.what !== 'link.delete' || failed) return;
    failed = true;
    throw new Error('the kernel says no');
  });
  const failure = await gc(node, []).catch((error: unknown) => error);
  node.kernel.intercept(undefined);
  assert.match(String(failure), /@net1: .*the kernel says no/);
  assert.equal(
    node.engine.list().map(({ state }) => state),
    ['stuck'],
  );
});

test.run();
