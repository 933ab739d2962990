/**
 * The kinds of links that need what only the lab's kernel has: VLANs (8021q), ipvlan with its flags,
 * and a VLAN that pods share. Read back with iproute2.
 */
import { readdirSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LinkSpec } from '../../../src/engine/attachments/model.ts';
import type { IpamSpec } from '../../../src/engine/ipam/model.ts';
import { ip } from '../../kernel/own-namespace.ts';
import { hasLinkKind, requireFeature } from '../../runner/features.ts';
import { createLabNode, type LabNode } from './vf-node.ts';

const UPLINK = 'eth0';
const test = suite<{ node: LabNode }>('links on igb', { node: undefined as never });
const addressing: IpamSpec = { type: 'static', addresses: [{ address: '10.8.0.2/24' }], routes: [], dns: {} };

/** What `ip -d link` says of the kind. */
function kindOf(node: LabNode, name: string, container?: string): Readonly<Record<string, unknown>> {
  const { linkinfo } = node.link(name, container);
  return { kind: linkinfo?.info_kind, ...linkinfo?.info_data };
}

function linksOfNode(): readonly string[] {
  return readdirSync('/sys/class/net');
}

if (requireFeature('VLAN and ipvlan', hasLinkKind('vlan') && hasLinkKind('ipvlan'))) {
  test.before.each(async (context) => {
    ip('link', 'set', UPLINK, 'up');
    context.node = await createLabNode(UPLINK, 0);
  });
  test.after.each((context) => context.node.remove());

  test('a VLAN of its own: ADD makes it in the sandbox, the uplink has it once, DEL takes it away', async ({
    node,
  }) => {
    const spec: LinkSpec = { kind: 'vlan', uplink: UPLINK, vlanId: 42, mtu: 1400 };
    const result = await node.attach('a', spec, addressing);
    const made = kindOf(node, 'net1', 'a');
    assert.equal([made.kind, made.id, made.protocol], ['vlan', 42, '802.1Q']);
    const link = node.link('net1', 'a');
    assert.equal([link.mtu, result.mac], [1400, node.link(UPLINK).address]);
    assert.ok(link.addr_info?.some((entry) => entry.local === '10.8.0.2'));
    const failure = await node.refusal('b', spec);
    assert.is(failure.reason, 'vlan-in-use');
    assert.match(failure.message, /container a net1/);
    await node.attach('b', { ...spec, vlanId: 0 });
    await node.detach('a');
    assert.equal(node.linkNames('a'), ['lo']);
    await node.detach('b');
  });

  test('a VLAN that another namespace has, of whom Berth knows nothing, is refused with the reason', async ({
    node,
  }) => {
    await node.attach('a', { kind: 'vlan', uplink: UPLINK, vlanId: 43 });
    ip('link', 'add', 'link', UPLINK, 'name', 'mine', 'type', 'vlan', 'id', '44');
    assert.match((await node.refusal('b', { kind: 'vlan', uplink: UPLINK, vlanId: 44 })).message, /link mine of the/);
    ip('link', 'del', 'mine');
    await node.detach('a');
  });

  test('a VLAN on an uplink that is down is refused, and nothing stays', async ({ node }) => {
    ip('link', 'set', UPLINK, 'down');
    const before = linksOfNode();
    assert.is((await node.refusal('a', { kind: 'vlan', uplink: UPLINK, vlanId: 42 })).reason, 'uplink-down');
    assert.is(
      (await node.refusal('a', { kind: 'macvlan', uplink: UPLINK, mode: 'bridge', uplinkVlan: 100 })).reason,
      'uplink-down',
    );
    assert.equal(linksOfNode(), before);
    assert.equal(node.linkNames('a'), ['lo']);
  });

  test('pods share a VLAN of the uplink: made for the first, removed with the last', async ({ node }) => {
    const before = linksOfNode();
    await node.attach('a', { kind: 'macvlan', uplink: UPLINK, mode: 'bridge', uplinkVlan: 100 });
    const shared = node.link('eth0.100');
    assert.match(shared.ifalias ?? '', /^berth:vlan:100:/);
    assert.ok(shared.flags.includes('UP'));
    await node.attach('b', { kind: 'macvlan', uplink: UPLINK, mode: 'bridge', uplinkVlan: 100 });
    await node.attach('c', { kind: 'ipvlan', uplink: UPLINK, mode: 'l2', flag: 'bridge', uplinkVlan: 200 });
    await node.detach('a');
    assert.ok(linksOfNode().includes('eth0.100'));
    node.restart();
    await node.engine.recover();
    await node.endSandbox('b');
    await node.detach('b');
    assert.not(linksOfNode().includes('eth0.100'));
    await node.detach('c');
    assert.equal(linksOfNode(), before);
  });

  test('a VLAN of the node is used, and stays', async ({ node }) => {
    ip('link', 'add', 'link', UPLINK, 'name', 'storage', 'type', 'vlan', 'id', '100');
    ip('link', 'set', 'storage', 'up');
    await node.attach('a', { kind: 'macvlan', uplink: UPLINK, mode: 'bridge', uplinkVlan: 100 });
    assert.not(linksOfNode().includes('eth0.100'));
    await node.detach('a');
    assert.ok(node.link('storage').flags.includes('UP'));
    ip('link', 'del', 'storage');
  });

  for (const mode of ['l2', 'l3', 'l3s'] as const) {
    for (const flag of ['bridge', 'private', 'vepa'] as const) {
      test(`ipvlan ${mode} ${flag}: the kernel has it so`, async ({ node }) => {
        await node.attach('a', { kind: 'ipvlan', uplink: UPLINK, mode, flag, mtu: 1400 });
        const made = kindOf(node, 'net1', 'a');
        assert.equal([made.kind, made.mode, made[flag]], ['ipvlan', mode, true]);
        await node.detach('a');
      });
    }
  }

  test('an ipvlan stands on a VLAN that the pod has', async ({ node }) => {
    await node.attach('a', { kind: 'vlan', uplink: UPLINK, vlanId: 42 });
    const failure = await node.refusal('b', {
      kind: 'ipvlan',
      uplink: 'net1',
      uplinkInSandbox: true,
      mode: 'l2',
      flag: 'bridge',
    });
    assert.is(failure.reason, 'uplink-missing');
    await node.detach('a');
  });
}

test.run();
