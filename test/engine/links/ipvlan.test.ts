/** Mode and flag belong to the uplink: every ipvlan on it has to agree, in whichever sandbox. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { IpvlanLinkSpec } from '../../../src/engine/attachments/model.ts';
import { toBerthError } from '../../../src/engine/errors.ts';
import { createPodNode, ipvlan } from '../../standins/attachment-node.ts';

const test = suite('ipvlans on one uplink');

const DIFFERENT: readonly (readonly [string, Partial<IpvlanLinkSpec>])[] = [
  ['another mode', { mode: 'l3' }],
  ['another flag', { flag: 'private' }],
];

for (const [what, spec] of DIFFERENT) {
  test(`${what} than that of another pod is refused with its holder, and changes nothing`, async () => {
    const node = createPodNode();
    await node.attach('c1', ipvlan());
    node.world.addSandbox('/run/netns/c2');
    const before = node.snapshot();
    const failure = toBerthError(await node.attach('c2', ipvlan(spec)).catch((error: unknown) => error));
    assert.equal([failure.reason, failure.code], ['ipvlan-mode-differs', 'Busy']);
    assert.match(failure.message, /eth1 runs ipvlan in mode l2 bridge, held by container c1 net1/);
    assert.is(node.snapshot(), before);
    await node.attach('c2', ipvlan());
    await node.detach('c1');
    await node.detach('c2');
    await node.attach('c3', ipvlan(spec));
  });
}

test.run();
