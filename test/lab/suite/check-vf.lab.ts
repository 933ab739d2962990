/** CHECK of a real VF: everything that ADD promised, in the sandbox and on the PF, changed one by one with iproute2. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AttachResult, VfLinkSpec } from '../../../src/engine/attachments/model.ts';
import { toBerthError } from '../../../src/engine/errors.ts';
import { type MacAddress, type PciAddress, parseContainerId, parseIfName } from '../../../src/engine/values.ts';
import { ip } from '../../kernel/own-namespace.ts';
import { hasSriov, requireFeature } from '../../runner/features.ts';
import { createLabNode, type LabNode } from './vf-node.ts';

const PF = 'eth1';

const test = suite<{ node: LabNode }>('CHECK of a VF', { node: undefined as never });

/** What CHECK finds; empty when everything holds. */
async function differences(node: LabNode, link: VfLinkSpec, expected: AttachResult): Promise<string> {
  const sandbox = await node.kernel.open(node.sandboxPath('a'));
  assert.ok(sandbox);
  const key = { containerId: parseContainerId('a'), ifname: parseIfName('net1') };
  try {
    await node.engine.check({ key, sandbox, link, expected }, { requestId: 'r', signal: new AbortController().signal });
    return '';
  } catch (error) {
    const failure = toBerthError(error);
    assert.is(failure.reason, 'attachment-changed');
    return failure.message;
  } finally {
    sandbox.close();
  }
}

if (requireFeature('SR-IOV', hasSriov())) {
  test.before.each(async (context) => {
    context.node = await createLabNode(PF, 1);
  });
  test.after.each((context) => context.node.remove());

  test('what was changed on the PF and in the sandbox is told, and all of it is brought back by DEL', async ({
    node,
  }) => {
    const before = node.baseline();
    const link: VfLinkSpec = {
      kind: 'vf',
      device: node.vfs[0] as PciAddress,
      vlan: 100,
      vlanQos: 3,
      spoofCheck: false,
      mtu: 1400,
      mac: '02:00:00:00:be:21' as MacAddress,
    };
    const result = await node.attach('a', link, {
      type: 'static',
      addresses: [{ address: '10.9.0.2/24', gateway: '10.9.0.1' }],
      routes: [{ dst: '10.99.0.0/16', mtu: 1300 }],
      dns: {},
    });
    assert.is(await differences(node, link, result), '');
    const sandbox = node.sandboxPath('a').split('/').at(-1) ?? '';
    const changes: readonly [readonly string[], RegExp][] = [
      [['link', 'set', PF, 'vf', '0', 'vlan', '101', 'qos', '3'], /vlan is 101, not 100/],
      [['link', 'set', PF, 'vf', '0', 'spoofchk', 'on'], /spoofCheck is true, not false/],
      [['-n', sandbox, 'link', 'set', 'net1', 'mtu', '1300'], /net1 has MTU 1300, not 1400/],
      [
        ['-n', sandbox, 'route', 'del', '10.99.0.0/16'],
        /net1 lacks the route 10\.99\.0\.0\/16 via 10\.9\.0\.1 mtu 1300/,
      ],
      [['-n', sandbox, 'address', 'del', '10.9.0.2/24', 'dev', 'net1'], /net1 lacks the address 10\.9\.0\.2\/24/],
      [['-n', sandbox, 'link', 'set', 'net1', 'down'], /net1 is down/],
    ];
    for (const [words, expected] of changes) {
      ip(...words);
      assert.match(await differences(node, link, result), expected);
    }
    await node.detach('a');
    assert.is(node.baseline(), before);
  });
}

test.run();
