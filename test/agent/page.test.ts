/** The agent's page and stream as the whole program serves them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { suite } from 'uvu';
import type { FeedDocument } from '../../src/engine/feed/document.ts';
import type { PageAccess } from '../../src/engine/view.ts';
import { getFromAgent } from '../../src/http/client.ts';
import { followAgent } from '../../src/http/stream-client.ts';
import { ip, leaveMachine } from '../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { type AgentNode, createAgentNode } from '../standins/agent-node.ts';

const test = suite<{ node: AgentNode }>('page of the agent');

const BERTH = join(import.meta.dirname, '../../bin/berth');
const socketOf = ({ folder }: AgentNode): string => join(folder, 'run/api.sock');

if (requireFeature('root and macvlan', isRoot() && hasLinkKind('macvlan'))) {
  leaveMachine();
  ip('link', 'set', 'lo', 'up');

  test.before.each(async (context) => {
    context.node = await createAgentNode('pools: []\n');
  });
  test.after.each(async ({ node }) => {
    await node.remove();
  });

  test('the address that the socket tells opens the page and the data behind it', async ({ node }) => {
    await node.startAgent();
    const { url } = await getFromAgent<PageAccess>(socketOf(node), '/v1/page');
    const { hash, origin } = new URL(url);
    const page = await fetch(origin);
    assert.match(await page.text(), /<title>Berth<\/title>/);
    const script = await fetch(`${origin}/node.ts`);
    assert.match(script.headers.get('content-type') ?? '', /javascript/);
    assert.equal((await fetch(`${origin}/v1/status`)).status, 401);
    const authorization = `Bearer ${new URLSearchParams(hash.slice(1)).get('token')}`;
    const status = (await (await fetch(`${origin}/v1/status`, { headers: { authorization } })).json()) as object;
    assert.ok('attachments' in status);
    assert.deepEqual(await getFromAgent(socketOf(node), '/v1/counters'), {});
  });

  test('the stream follows the kernel', async ({ node }) => {
    await node.startAgent();
    const ended = new AbortController();
    let document: FeedDocument | undefined;
    await followAgent(
      socketOf(node),
      (next) => {
        if (document === undefined) ip('link', 'add', 'followed', 'type', 'veth', 'peer', 'name', 'other');
        document = next;
        if (next.virtual.some((link) => link.ifname === 'followed')) ended.abort();
      },
      ended.signal,
    );
    assert.ok(document?.virtual.some((link) => link.ifname === 'followed'));
    ip('link', 'del', 'followed');
  });

  test('berth watch shows the node in a terminal, and gives the terminal back', async ({ node }) => {
    await node.startAgent();
    const command = `${BERTH} watch --run-dir ${join(node.folder, 'run')}`;
    // script(1) makes the terminal; NO_COLOR is what a person may have set.
    const script = spawn('script', ['-qefc', command, '/dev/null'], { env: { ...process.env, NO_COLOR: '1' } });
    let shown = '';
    const live = new Promise<void>((resolve) => {
      script.stdout.setEncoding('utf8').on('data', (text: string) => {
        shown += text;
        if (/ {2}live {2}0 VFs/.test(shown)) resolve();
      });
    });
    await live;
    script.stdin.write('q');
    const [exit] = await once(script, 'exit');
    assert.equal(exit, 0);
    assert.ok(shown.startsWith('\u001b[?1049h'), JSON.stringify(shown.slice(0, 80)));
    assert.ok(shown.trimEnd().endsWith('\u001b[?1049l'), JSON.stringify(shown.slice(-80)));
    assert.equal(shown.includes('\u001b[1m'), false);
  });

  test('a port that is taken costs the page and nothing else', async ({ node }) => {
    await node.startAgent();
    const second = await createAgentNode('pools: []\n');
    try {
      await second.startAgent();
      await assert.rejects(getFromAgent(socketOf(second), '/v1/page'), { reason: 'page-off' });
      assert.equal((await second.status()).attachments.total, 0);
    } finally {
      await second.remove();
    }
  });
}

test.run();
