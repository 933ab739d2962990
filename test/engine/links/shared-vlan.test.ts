/** A VLAN that several attachments share: made for the first, removed with the last, never anybody else's. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toBerthError } from '../../../src/engine/errors.ts';
import { createPodNode, ipvlan, macvlan, type PodNode } from '../../standins/attachment-node.ts';
import type { WorldLink } from '../../standins/fake-world.ts';

const test = suite('a shared VLAN');

function vlans(node: PodNode): readonly WorldLink[] {
  return [...node.world.host.links.values()].filter((link) => link.kind === 'vlan');
}

function eth1(node: PodNode): WorldLink {
  return node.world.byName(node.world.host, 'eth1') as WorldLink;
}

/** What somebody else made. */
function addForeignVlan(node: PodNode, name: string): WorldLink {
  const parent = eth1(node);
  return node.world.addLink(node.world.host, {
    name,
    kind: 'vlan',
    up: true,
    parent,
    parentIndex: parent.index,
    vlan: { id: 100, protocol: '802.1q' },
  });
}

test('it is made for the first, kept for the second and removed with the last', async () => {
  const node = createPodNode();
  const before = node.snapshot();
  await node.attach('c1', macvlan({ uplinkVlan: 100 }));
  const [made, ...others] = vlans(node);
  assert.is(others.length, 0);
  assert.ok(made);
  assert.equal([made.name, made.up, made.vlan?.id], ['eth1.100', true, 100]);
  assert.match(made.alias ?? '', /^berth:vlan:100:/);
  await node.attach('c2', macvlan({ uplinkVlan: 100 }));
  assert.equal(vlans(node), [made]);
  await node.detach('c1');
  assert.equal(vlans(node), [made]);
  await node.detach('c2');
  assert.equal(vlans(node), []);
  node.world.destroySandbox('/run/netns/c1');
  node.world.destroySandbox('/run/netns/c2');
  assert.is(node.snapshot(), before);
});

test('64 pods that come and go at once leave nothing', async () => {
  const node = createPodNode();
  const pods = Array.from({ length: 64 }, (_none, number) => `c${number}`);
  await Promise.all(pods.map((pod) => node.attach(pod, macvlan({ uplinkVlan: 100 }))));
  assert.is(vlans(node).length, 1);
  await Promise.all([
    ...pods.map((pod) => node.detach(pod)),
    ...pods.map((pod) => node.attach(`${pod}b`, macvlan({ uplinkVlan: 100 }))),
  ]);
  assert.is(vlans(node).length, 1);
  await Promise.all(pods.map((pod) => node.detach(`${pod}b`)));
  assert.equal(vlans(node), []);
});

test('macvlan and ipvlan may each have a VLAN of one uplink', async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan({ uplinkVlan: 100 }));
  await node.attach('c2', ipvlan({ uplinkVlan: 200 }));
  await node.attach('c3', ipvlan());
  assert.equal(
    vlans(node).map(({ name }) => name),
    ['eth1.100', 'eth1.200'],
  );
  assert.equal(
    node.engine.list().map(({ device }) => device),
    ['eth1.100', 'eth1.200', 'eth1'],
  );
});

test('a VLAN of somebody else is used, under whatever name, and stays', async () => {
  const node = createPodNode();
  const foreign = addForeignVlan(node, 'storage');
  await node.attach('c1', macvlan({ uplinkVlan: 100 }));
  assert.equal(vlans(node), [foreign]);
  await node.detach('c1');
  assert.equal(vlans(node), [foreign]);
  assert.is(foreign.alias, undefined);
});

test('ours stays while a link of somebody else stands on it', async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan({ uplinkVlan: 100 }));
  const [made] = vlans(node);
  assert.ok(made);
  node.world.addLink(node.world.host, { name: 'mine', kind: 'macvlan', parent: made, parentIndex: made.index });
  await node.detach('c1');
  assert.equal(vlans(node), [made]);
  assert.ok(node.world.byName(node.world.host, 'mine'));
});

test('its name may be taken: then it keeps its temporary one', async () => {
  const node = createPodNode();
  node.world.addLink(node.world.host, { name: 'eth1.100', kind: 'dummy' });
  await node.attach('c1', macvlan({ uplinkVlan: 100 }));
  assert.match(vlans(node)[0]?.name ?? '', /^btv[0-9a-f]{12}$/);
  await node.detach('c1');
  assert.equal(vlans(node), []);
});

test('an uplink that is down is named, and nothing stays', async () => {
  const node = createPodNode();
  eth1(node).up = false;
  const failure = await node.attach('c1', macvlan({ uplinkVlan: 100 })).catch(toBerthError);
  assert.is(toBerthError(failure).reason, 'uplink-down');
  assert.equal(vlans(node), []);
});

test('an uplink that is gone took the VLAN and its links along, and DEL has nothing to do', async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan({ uplinkVlan: 100 }));
  const inner = node.world.paths.get('/run/netns/c1');
  assert.ok(inner);
  for (const gone of [eth1(node), ...vlans(node)]) node.world.host.links.delete(gone.index);
  for (const link of inner.links.values()) if (link.name === 'net1') inner.links.delete(link.index);
  await node.detach('c1');
  assert.equal(node.engine.list(), []);
});

test('CHECK sees that the VLAN is down, gone, or another one', async () => {
  const node = createPodNode();
  const result = await node.attach('c1', macvlan({ uplinkVlan: 100 }));
  const problem = async (): Promise<string> => {
    const sandbox = node.openSandbox('c1');
    const key = node.engine.list().map(({ containerId, ifname }) => ({ containerId, ifname }))[0];
    assert.ok(key);
    try {
      await node.engine.check(
        { key, sandbox, link: macvlan({ uplinkVlan: 100 }), expected: result },
        { requestId: 'check', signal: new AbortController().signal },
      );
      return '';
    } catch (error) {
      return toBerthError(error).message;
    } finally {
      sandbox.close();
    }
  };
  assert.is(await problem(), '');
  const [made] = vlans(node);
  assert.ok(made);
  made.up = false;
  assert.match(await problem(), /eth1\.100, which net1 stands on, is down/);
  node.world.host.links.delete(made.index);
  assert.match(await problem(), /VLAN 100 of eth1, which net1 stands on, is gone/);
  addForeignVlan(node, 'other');
  assert.match(await problem(), /not on other/);
});

test.run();
