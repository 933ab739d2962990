/** Links of a kind that the node's kernel cannot make. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LinkSpec } from '../../../src/engine/attachments/model.ts';
import { toBerthError } from '../../../src/engine/errors.ts';
import { createPodNode, ipvlan, macvlan, macvtap, vlan } from '../../standins/attachment-node.ts';
import { kernelError } from '../../standins/fake-world.ts';

const test = suite('a kernel without a kind of link');

const CASES: readonly (readonly [string, LinkSpec, string])[] = [
  ['macvlan', macvlan(), 'macvlan'],
  ['ipvlan', ipvlan(), 'ipvlan'],
  ['macvtap', macvtap(), 'macvtap'],
  ['vlan', vlan(), '8021q'],
  ['vlan', macvlan({ uplinkVlan: 7 }), '8021q'],
];

for (const [kind, link, module] of CASES) {
  test(`${kind} for a ${link.kind} is named with its module, and nothing is left`, async () => {
    const node = createPodNode();
    node.world.addSandbox('/run/netns/c1');
    const before = node.snapshot();
    node.kernel.intercept(({ what, when }) => {
      if (when === 'before' && what.endsWith('link.create'))
        throw kernelError(`link.create ${kind} net1`, 'EOPNOTSUPP', 'Unknown device type');
    });
    const failure = toBerthError(await node.attach('c1', link).catch((error: unknown) => error));
    assert.equal([failure.reason, failure.code], ['link-kind-unsupported', 'Unsupported']);
    assert.match(failure.message, new RegExp(`makes no ${kind} links: .*Unknown device type`));
    assert.match(failure.remedy ?? '', new RegExp(`modprobe ${module}`));
    assert.is(node.snapshot(), before);
  });
}

test.run();
