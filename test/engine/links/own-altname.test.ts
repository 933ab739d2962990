/** Netdevs whose alternative names are those that they are to get: what udev and other plugins leave behind. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toBerthError } from '../../../src/engine/errors.ts';
import { createPodNode, hostDevice, type PodNode, vf } from '../../standins/attachment-node.ts';
import type { WorldLink } from '../../standins/fake-world.ts';

const test = suite('own alternative names');

function netdevOf(node: PodNode): WorldLink {
  const { link } = node.device(0);
  if (link === undefined) throw new Error('the VF has no netdev');
  return link;
}

test('a VF that came home with the name of its pod as an alternative name goes into the next pod under it', async () => {
  const node = createPodNode();
  netdevOf(node).altnames = ['enp65s16', 'net1'];
  await node.attach('c1', vf(node.device(0)));
  assert.equal([netdevOf(node).name, netdevOf(node).altnames], ['net1', ['enp65s16']]);
  await node.detach('c1');
  assert.is(netdevOf(node).name, 'pf0v0');
});

test('a VF that was given its own name as an alternative name in the pod comes home under it', async () => {
  const node = createPodNode();
  const before = node.snapshot();
  await node.attach('c1', vf(node.device(0)));
  netdevOf(node).altnames = ['pf0v0'];
  await node.detach('c1');
  assert.equal([netdevOf(node).name, netdevOf(node).altnames], ['pf0v0', []]);
  node.world.destroySandbox('/run/netns/c1');
  assert.is(node.snapshot(), before);
});

test('a VF that udev finds first, when its sandbox died, comes home under its name', async () => {
  const node = createPodNode();
  await node.attach('c1', vf(node.device(0)));
  node.world.destroySandbox('/run/netns/c1');
  netdevOf(node).altnames = ['pf0v0'];
  await node.engine.onMissed();
  assert.equal([netdevOf(node).name, netdevOf(node).altnames], ['pf0v0', []]);
  assert.equal(node.engine.list(), []);
});

test('a device of the node, too', async () => {
  const node = createPodNode();
  const link = node.world.addLink(node.world.host, { name: 'nic0', altnames: ['net1', 'storage'] });
  await node.attach('c1', hostDevice({ by: 'name', name: 'nic0' }));
  assert.equal([link.name, link.altnames], ['net1', ['storage']]);
  link.altnames = ['storage', 'nic0'];
  await node.detach('c1');
  assert.equal([link.name, link.altnames], ['nic0', ['storage']]);
});

test('an alternative name of another interface in the sandbox is somebody else’s', async () => {
  const node = createPodNode();
  node.world.addLink(node.world.addSandbox('/run/netns/c1'), { name: 'dummy0', altnames: ['net1'] });
  let reason = '';
  await node.attach('c1', vf(node.device(0))).catch((error: unknown) => {
    reason = toBerthError(error).reason;
  });
  assert.is(reason, 'interface-name-taken');
  assert.is(netdevOf(node).name, 'pf0v0');
});

test.run();
