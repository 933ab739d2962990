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

const link: LinkSpec = { kind: 'macvlan', uplink: 'up0', mode: 'bridge', mtu: 1400 };

if (requireFeature('macvlan on veth', hasLinkKind('macvlan') && hasLinkKind('veth'))) {
  leaveMachine();
  test.before.each((context) => {
    context.node = createPrivateNode();
  });
  test.after.each((context) => context.node.remove());

  // The kinds that this machine's kernel may lack are in test/lab/suite/kill-table.lab.ts.
  test('macvlan: whatever happens at any change of ADD or DEL, everything is as it was', async ({ node }) => {
    const path = node.addSandbox('a');
    const { kernel, folder } = node;
    const state = (): unknown => node.ip(['address', 'show'], 'a');
    const rows = await killTable(liveSubject({ kernel, folder, path, link, state }));
    assert.ok(rows.length > 12);
    process.stdout.write(`\n${renderTable('macvlan', rows)}\n`);
  });
}

test.run();
