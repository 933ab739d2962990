/** Real NICs given away whole, and what igb refuses of a VF. Read back with iproute2. */
import { readdirSync, realpathSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LinkSpec } from '../../../src/engine/attachments/model.ts';
import type { IpamSpec } from '../../../src/engine/ipam/model.ts';
import { hasSriov, requireFeature } from '../../runner/features.ts';
import { createLabNode, type LabNode } from './vf-node.ts';

const test = suite<{ node: LabNode }>('NICs given away whole', { node: undefined as never });
const addressing: IpamSpec = { type: 'static', addresses: [{ address: '10.8.0.2/24' }], routes: [], dns: {} };

/** The netdevs alone: igb's PF lists the MAC that a VF reports when it comes up, whoever raised it. */
function homesOf(node: LabNode): string {
  return JSON.stringify((JSON.parse(node.baseline()) as { homes: unknown }).homes);
}

function linksOfNode(): readonly string[] {
  return readdirSync('/sys/class/net');
}

if (requireFeature('SR-IOV', hasSriov())) {
  test.before.each(async (context) => {
    context.node = await createLabNode('eth1', 2);
  });
  test.after.each((context) => context.node.remove());

  test('a VF as a host device goes and comes back, from a living and from a dead sandbox', async ({ node }) => {
    const [address] = node.vfs;
    assert.ok(address);
    const before = homesOf(node);
    const spec: LinkSpec = { kind: 'host-device', device: { by: 'pci', address } };
    const result = await node.attach('a', spec, addressing);
    assert.equal([result.pci, node.linkNames('a')], [address, ['lo', 'net1']]);
    await node.detach('a');
    assert.is(homesOf(node), before);
    await node.attach('a', spec, addressing);
    await node.endSandbox('a');
    await node.detach('a');
    assert.is(homesOf(node), before);
  });

  test('a VF by its path goes and comes back', async ({ node }) => {
    const path = realpathSync(`/sys/bus/pci/devices/${node.vfs[1]}`);
    const [name] = readdirSync(`${path}/net`);
    const before = homesOf(node);
    await node.attach('a', { kind: 'host-device', device: { by: 'kernelpath', path } });
    assert.not(linksOfNode().includes(name ?? ''));
    await node.detach('a');
    assert.is(homesOf(node), before);
  });

  test('802.1ad, a least rate and a link state are refused by igb with its own words, and nothing stays', async ({
    node,
  }) => {
    const [device] = node.vfs;
    assert.ok(device);
    const before = node.baseline();
    for (const [setting, errno] of [
      [{ vlan: 100, vlanProto: '802.1ad' }, 'EPROTONOSUPPORT'],
      [{ minTxRateMbps: 100, maxTxRateMbps: 200 }, 'EINVAL'],
      [{ linkState: 'enable' }, 'EOPNOTSUPP'],
    ] as const) {
      const failure = await node.refusal('a', { kind: 'vf', device, ...setting });
      assert.is(failure.reason, 'vf-setting-refused');
      assert.match(failure.message, errno);
      assert.is(node.baseline(), before);
    }
  });
}

test.run();
