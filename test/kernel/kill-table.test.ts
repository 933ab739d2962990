/** Every change of an ADD and of a DEL on the live kernel: failed, killed, cancelled. Prints the table of docs/attachments.md. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LinkSpec } from '../../src/engine/attachments/model.ts';
import { hasLinkKind, requireFeature } from '../runner/features.ts';
import { liveSubject } from '../standins/kill-subject.ts';
import { killTable, renderTable } from '../standins/kill-table.ts';
import { createPrivateNode, type PrivateNode } from '../standins/private-node.ts';
import { leaveMachine } from './own-namespace.ts';

const test = suite<{ node: PrivateNode }>('kill table', undefined as never);

const KINDS: readonly { readonly kind: 'macvlan' | 'ipvlan' | 'vlan'; readonly link: LinkSpec }[] = [
  { kind: 'macvlan', link: { kind: 'macvlan', uplink: 'up0', mode: 'bridge', mtu: 1400 } },
  { kind: 'ipvlan', link: { kind: 'ipvlan', uplink: 'up0', mode: 'l2', flag: 'bridge' } },
  { kind: 'vlan', link: { kind: 'vlan', uplink: 'up0', vlanId: 9 } },
];

if (requireFeature('macvlan on veth', hasLinkKind('macvlan') && hasLinkKind('veth'))) {
  leaveMachine();
  test.before.each((context) => {
    context.node = createPrivateNode();
  });
  test.after.each((context) => context.node.remove());

  for (const { kind, link } of KINDS) {
    if (!requireFeature(`${kind} links`, hasLinkKind(kind))) continue;
    test(`${kind}: whatever happens at any change of ADD or DEL, everything is as it was`, async ({ node }) => {
      const path = node.addSandbox('a');
      const { kernel, folder } = node;
      const state = (): unknown => node.ip(['address', 'show'], 'a');
      const rows = await killTable(liveSubject({ kernel, folder, path, link, state }));
      assert.ok(rows.length > 12);
      process.stdout.write(`\n${renderTable(kind, rows)}\n`);
    });
  }
}

test.run();
