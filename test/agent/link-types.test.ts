/** Types beside macvlan by the whole program on the live kernel: macvtap on a slot, a host device, a link on a link of the pod. */
import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { suite } from 'uvu';
import { tapIndexOf, tapPath } from '../../src/engine/links/tap-index.ts';
import { ip, leaveMachine } from '../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { type AgentNode, createAgentNode } from '../standins/agent-node.ts';
import type { Pod } from '../standins/runtime/index.ts';

const test = suite<{ node: AgentNode }>('agent and other types of links');

const CONFIG = 'pools:\n  - { name: tap, kind: macvtap, mode: private, capacity: 2, uplinks: [{ names: [up0] }] }\n';
const RESOURCE = 'berth.dev/tap';

const pod = (name: string): Pod => ({ namespace: 'default', name, uid: `uid-${name}` });

interface Shown {
  readonly ifname: string;
  readonly ifindex: number;
  readonly address: string;
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: { readonly mode?: string } };
}

function linksIn(netns: string): readonly Shown[] {
  const links = JSON.parse(ip('-n', netns.split('/').at(-1) ?? '', '-j', '-d', 'link', 'show')) as readonly Shown[];
  return links.filter(({ ifname }) => ifname !== 'lo');
}

if (requireFeature('root and macvtap', isRoot() && hasLinkKind('macvtap'))) {
  leaveMachine();
  const SLOT = 'up0-1';

  test.before.each(async (context) => {
    context.node = await createAgentNode(CONFIG, { devicesOf: () => new Map([[RESOURCE, [SLOT]]]) });
    await context.node.startAgent();
  });
  test.after.each(({ node }) => node.remove());

  test("a slot's pod has the character device that kubelet was told, in the mode of the pool", async ({ node }) => {
    const network = { ...node.network('vm', { type: 'macvtap', master: undefined }), resourceName: RESOURCE };
    const sandbox = await node.runtime.addPod(pod('vm'), [{ network }]);
    const [link, ...others] = linksIn(sandbox.netns);
    assert.equal(others.length, 0);
    assert.deepEqual(
      [link?.ifname, link?.ifindex, link?.linkinfo?.info_kind, link?.linkinfo?.info_data?.mode],
      ['net1', tapIndexOf(SLOT), 'macvtap', 'private'],
    );
    assert.equal(statSync(tapPath(tapIndexOf(SLOT))).uid, 107);
    await node.runtime.checkPod(pod('vm'));
    await node.runtime.deletePod(pod('vm'));
    assert.ok(!existsSync(tapPath(tapIndexOf(SLOT))));
    assert.equal((await node.status()).attachments.total, 0);
  });

  test('a device of the node goes into the pod, and another network of the pod stands on it', async ({ node }) => {
    ip('link', 'add', 'dev0', 'type', 'veth', 'peer', 'name', 'dev1');
    const whole = node.network('whole', { type: 'host-device', master: undefined, device: 'dev0' });
    const upon = node.network('upon', { type: 'macvlan', master: 'net1', linkInContainer: true });
    const sandbox = await node.runtime.addPod(pod('app'), [{ network: whole }, { network: upon }]);
    assert.deepEqual(
      linksIn(sandbox.netns)
        .map(({ ifname, linkinfo }) => `${ifname} ${linkinfo?.info_kind}`)
        .sort(),
      ['net1 veth', 'net2 macvlan'],
    );
    await node.runtime.checkPod(pod('app'));
    await node.runtime.deletePod(pod('app'));
    assert.match(ip('link', 'show', 'dev0'), /dev0@dev1/);
    ip('link', 'del', 'dev0');
  });
}

test.run();
