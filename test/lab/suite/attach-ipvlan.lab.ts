/** ipvlan on the lab's NIC: its mode belongs to the uplink, and macvlan cannot stand beside it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { IpvlanLinkSpec } from '../../../src/engine/attachments/model.ts';
import type { IpamSpec } from '../../../src/engine/ipam/model.ts';
import { ip } from '../../kernel/own-namespace.ts';
import { hasLinkKind, requireFeature } from '../../runner/features.ts';
import { createLabNode, type LabNode } from './vf-node.ts';

const UPLINK = 'eth0';

const test = suite<{ node: LabNode }>('ipvlan on igb', { node: undefined as never });

function ipvlan(spec: Partial<IpvlanLinkSpec> = {}): IpvlanLinkSpec {
  return { kind: 'ipvlan', uplink: UPLINK, mode: 'l2', flag: 'bridge', ...spec };
}

const addressing: IpamSpec = { type: 'static', addresses: [{ address: '10.8.0.2/24' }], routes: [], dns: {} };

if (requireFeature('ipvlan', hasLinkKind('ipvlan'))) {
  test.before.each(async (context) => {
    ip('link', 'set', UPLINK, 'up');
    context.node = await createLabNode(UPLINK, 0);
  });
  test.after.each((context) => context.node.remove());

  for (const mode of ['l2', 'l3', 'l3s'] as const) {
    test(`ADD makes an ipvlan in mode ${mode} with the uplink's MAC; DEL takes it away`, async ({ node }) => {
      const result = await node.attach('a', ipvlan({ mode, flag: 'private' }), addressing);
      const link = node.link('net1', 'a');
      assert.equal([link.linkinfo?.info_kind, link.linkinfo?.info_data?.mode], ['ipvlan', mode]);
      assert.is(result.mac, node.link(UPLINK).address);
      assert.ok(link.addr_info?.some((entry) => entry.local === '10.8.0.2'));
      await node.detach('a');
      assert.equal(
        node.show(['link', 'show'], 'a').map((entry) => entry.ifname),
        ['lo'],
      );
    });
  }

  test('another mode than the running one is refused, and the running links keep theirs', async ({ node }) => {
    await node.attach('a', ipvlan());
    const failure = await node.refusal('b', ipvlan({ mode: 'l3' }));
    assert.is(failure.reason, 'ipvlan-mode-differs');
    assert.match(failure.message, 'container a net1');
    const link = node.link('net1', 'a');
    assert.is(link.linkinfo?.info_data?.mode, 'l2');
    await node.attach('b', ipvlan());
  });

  test('macvlan beside ipvlan is refused with the reason, and the other way round', async ({ node }) => {
    await node.attach('a', ipvlan());
    assert.is((await node.refusal('b', { kind: 'macvlan', uplink: UPLINK, mode: 'bridge' })).reason, 'uplink-in-use');
    await node.detach('a');
    await node.attach('a', { kind: 'macvlan', uplink: UPLINK, mode: 'bridge' });
    assert.is((await node.refusal('b', ipvlan())).reason, 'uplink-in-use');
    assert.equal(
      node.show(['link', 'show'], 'b').map((entry) => entry.ifname),
      ['lo'],
    );
  });
}

test.run();
