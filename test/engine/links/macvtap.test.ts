/** Links with a character device: made on a slot, or moved when a device plugin made them. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { MacvtapLinkSpec } from '../../../src/engine/attachments/model.ts';
import { toBerthError } from '../../../src/engine/errors.ts';
import { tapIndexOf, tapPath } from '../../../src/engine/links/tap-index.ts';
import type { IfName } from '../../../src/engine/values.ts';
import { createPodNode, macvlan, macvtap, type PodNode } from '../../standins/attachment-node.ts';
import type { WorldLink } from '../../standins/fake-world.ts';

const test = suite('macvtap');

function linkIn(node: PodNode, container: string): WorldLink {
  const link = node.world.byName(node.world.paths.get(`/run/netns/${container}`) as never, 'net1');
  assert.ok(link);
  return link;
}

/** What macvtap-cni's device plugin makes when kubelet allocates. */
function withGiven(node: PodNode): WorldLink {
  const parent = node.world.byName(node.world.host, 'eth1') as WorldLink;
  return node.world.addLink(node.world.host, {
    name: 'dataplaneMvp0',
    kind: 'macvtap',
    up: true,
    parent,
    parentIndex: parent.index,
    macvlan: { mode: 'bridge' },
  });
}

test('the device of a slot is known before the link is made', async () => {
  const node = createPodNode();
  await node.attach('c1', macvtap({ slot: 'eth1-3', promiscuous: true }));
  const link = linkIn(node, 'c1');
  assert.equal([link.index, link.tapOwner, link.promiscuous], [tapIndexOf('eth1-3'), '107:107', true]);
  assert.match(tapPath(link.index), /^\/dev\/tap[5-9][0-9]{8}$|^\/dev\/tap10[0-9]{8}$/);
});

test('slots have different devices, the same at all times', () => {
  const indexes = new Set(Array.from({ length: 1000 }, (_none, slot) => tapIndexOf(`eth0-${slot}`)));
  assert.is(indexes.size, 1000);
  assert.is(tapIndexOf('eth0-7'), tapIndexOf('eth0-7'));
});

test('macvtap and macvlan stand beside each other on one uplink', async () => {
  const node = createPodNode();
  await node.attach('c1', macvtap());
  await node.attach('c2', macvlan());
  await node.attach('c3', macvtap({ mode: 'vepa' }));
  assert.is(linkIn(node, 'c3').macvlan?.mode, 'vepa');
});

test('a slot that is in use is refused: its device would be the other one', async () => {
  const node = createPodNode();
  await node.attach('c1', macvtap({ slot: 'eth1-3' }));
  const failure = toBerthError(await node.attach('c2', macvtap({ slot: 'eth1-3' })).catch((e: unknown) => e));
  assert.equal([failure.reason, failure.code], ['tap-device-taken', 'Busy']);
  await node.detach('c1');
  await node.attach('c2', macvtap({ slot: 'eth1-3' }));
});

test('an id that does not tell its uplink is looked up in the pools, with their mode', async () => {
  const node = createPodNode();
  node.slots.set('dataplaneMvp1', { uplink: 'eth1', mode: 'private' });
  const { uplink: _none, mode: _unset, ...spec } = macvtap();
  await node.attach('c1', { ...spec, given: 'dataplaneMvp1' });
  const link = linkIn(node, 'c1');
  assert.equal([link.index, link.macvlan?.mode], [tapIndexOf('dataplaneMvp1'), 'private']);
  assert.is(node.engine.list()[0]?.slot, 'dataplaneMvp1');
});

test('an id that nobody knows is refused', async () => {
  const node = createPodNode();
  const failure = toBerthError(await node.attach('c1', macvtap({ given: 'dataplaneMvp9' })).catch((e: unknown) => e));
  assert.is(failure.reason, 'device-not-on-node');
});

test('a link that a device plugin made is moved, and comes back for a new sandbox of its pod', async () => {
  const node = createPodNode();
  const link = withGiven(node);
  const before = node.snapshot();
  const spec: MacvtapLinkSpec = macvtap({ given: 'dataplaneMvp0', mtu: 1400, owner: { uid: 0, gid: 36 } });
  const pod = { namespace: 'a', name: 'p' };
  await node.attach('c1', spec, { pod });
  assert.equal([linkIn(node, 'c1'), link.mtu, link.tapOwner], [link, 1400, '0:36']);
  await node.attach('c2', spec, { pod });
  assert.is(linkIn(node, 'c2'), link);
  await node.detach('c1');
  await node.detach('c2');
  node.world.destroySandbox('/run/netns/c1');
  node.world.destroySandbox('/run/netns/c2');
  assert.is(node.snapshot(), before);
});

test('a link of another kind is not taken for one of a device plugin', async () => {
  const node = createPodNode();
  node.world.addLink(node.world.host, { name: 'dataplaneMvp0' });
  const failure = toBerthError(await node.attach('c1', macvtap({ given: 'dataplaneMvp0' })).catch((e: unknown) => e));
  assert.is(failure.reason, 'device-not-on-node');
});

test('CHECK sees that the device is gone, or somebody else’s', async () => {
  const node = createPodNode();
  const result = await node.attach('c1', macvtap({ slot: 'eth1-3' }));
  const problem = async (): Promise<string> => {
    const [attached] = node.engine.list();
    assert.ok(attached);
    const { containerId, ifname } = attached;
    const sandbox = node.openSandbox('c1');
    const request = { key: { containerId, ifname }, sandbox, link: macvtap({ slot: 'eth1-3' }), expected: result };
    const checked = node.engine.check(request, { requestId: 'check', signal: new AbortController().signal });
    return await checked
      .then(
        () => '',
        (error: unknown) => toBerthError(error).message,
      )
      .finally(() => sandbox.close());
  };
  assert.is(await problem(), '');
  const link = linkIn(node, 'c1');
  link.tapOwner = '0:0';
  assert.match(await problem(), /tap\d+ is owned by 0:0, not 107:107/);
  link.tapGone = true;
  assert.match(await problem(), /tap\d+, the device of net1, is gone/);
});

test('passthru on the uplink that carries the node is refused', async () => {
  const node = createPodNode();
  const failure = toBerthError(
    await node.attach('c1', macvtap({ uplink: 'eth0' as IfName, mode: 'passthru' })).catch((e: unknown) => e),
  );
  assert.is(failure.reason, 'passthru-on-node-uplink');
});

test('records of both forms are read again', async () => {
  const node = createPodNode();
  withGiven(node);
  await node.attach('c1', macvtap({ slot: 'eth1-3' }));
  await node.attach('c2', macvtap({ given: 'dataplaneMvp0' }));
  const report = await node.restart().recover();
  assert.equal([report.unreadable.length, report.kept.length], [0, 2]);
  await node.detach('c1');
  await node.detach('c2');
  assert.equal(node.engine.list(), []);
});

test.run();
