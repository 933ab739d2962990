/** What a pod switched on to hear more than its own: it ends with the pod, whoever cleans up. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { MacAddress } from '../../../src/engine/values.ts';
import { createPodNode, hostDevice, type PodNode, vf } from '../../standins/attachment-node.ts';
import type { WorldLink } from '../../standins/fake-world.ts';

const test = suite('receive modes');

function netdevOf(node: PodNode): WorldLink {
  const { link } = node.device(0);
  if (link === undefined) throw new Error('the VF has no netdev');
  return link;
}

const MODES = [{ promiscuous: true }, { allMulticast: true }, { promiscuous: true, allMulticast: true }] as const;
const off = ({ promiscuous, allMulticast }: WorldLink) => ({ promiscuous, allMulticast });
const OFF = { promiscuous: undefined, allMulticast: undefined };

for (const modes of MODES) {
  const what = Object.keys(modes).join(' and ');

  test(`what a pod made ${what} comes home without`, async () => {
    const node = createPodNode();
    await node.attach('c1', vf(node.device(0)));
    Object.assign(netdevOf(node), modes);
    await node.detach('c1');
    assert.equal(off(netdevOf(node)), OFF);
  });

  test(`a sandbox that dies leaves nothing ${what}`, async () => {
    const node = createPodNode();
    await node.attach('c1', vf(node.device(0)));
    Object.assign(netdevOf(node), modes);
    node.world.destroySandbox('/run/netns/c1');
    await node.engine.onMissed();
    assert.equal(off(netdevOf(node)), OFF);
  });

  test(`a VF that somebody left ${what} goes into the pod without, and comes home without`, async () => {
    const node = createPodNode();
    Object.assign(netdevOf(node), modes);
    await node.attach('c1', vf(node.device(0)));
    assert.equal(off(netdevOf(node)), OFF);
    await node.detach('c1');
    assert.equal(off(netdevOf(node)), OFF);
  });

  test(`a NIC of the node that is ${what} is so again when it comes back`, async () => {
    const node = createPodNode();
    const link = node.world.addLink(node.world.host, {
      name: 'nic0',
      altnames: [],
      mac: '02:aa:00:00:00:51' as MacAddress,
      mtu: 1500,
      up: true,
      ...modes,
    });
    const before = node.snapshot();
    await node.attach('c1', hostDevice({ by: 'name', name: 'nic0' }));
    for (const mode of Object.keys(modes) as (keyof typeof OFF)[]) delete link[mode];
    await node.detach('c1');
    assert.equal(off(link), { ...OFF, ...modes });
    node.world.destroySandbox('/run/netns/c1');
    assert.is(node.snapshot(), before);
  });
}

test.run();
