import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { BerthError } from '../../src/engine/errors.ts';
import type { FeedDocument } from '../../src/engine/feed/document.ts';
import type { Feed } from '../../src/engine/feed/feed.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import type { AgentView } from '../../src/engine/view.ts';
import { getFromAgent } from '../../src/http/client.ts';
import { createNodeStreams } from '../../src/http/node-stream.ts';
import { type ApiServer, serveApi } from '../../src/http/server.ts';
import { withFailingAccept } from '../standins/failing-accept.ts';

interface Context {
  folder: string;
  socketPath: string;
  server: ApiServer;
  uid: number;
}

const test = suite<Context>('api');

const view = {
  status: () => ({ node: 'n1' }),
  inventory: () => ({ owners: {} }),
  plan: () => {
    throw new Error('a bug');
  },
  attachments: () => [],
  garbage: async () => ({ dryRun: true, living: 2, items: [] }),
  explain: (name: string) => {
    throw new BerthError({ code: 'NotFound', reason: 'device-unknown', message: `no ${name}`, remedy: 'Look again.' });
  },
} as unknown as AgentView;

/** Nobody watches in these tests. */
const streams = createNodeStreams({ feed: {} as Feed<FeedDocument>, log: silentLogger });

test.before.each(async (context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'berth-api-'));
  context.socketPath = join(context.folder, 'api.sock');
  context.uid = 0;
  context.server = await serveApi({
    socketPath: context.socketPath,
    view,
    peerUid: () => {
      if (Number.isNaN(context.uid)) throw new Error('the socket is closed');
      return context.uid;
    },
    streams,
    collect: async () => ({ dryRun: false, living: 2, items: [] }),
    log: silentLogger,
  });
});

test.after.each(async (context) => {
  await context.server.close();
  rmSync(context.folder, { recursive: true, force: true });
});

const caught = (error: unknown): BerthError => {
  assert.ok(error instanceof BerthError, String(error));
  return error;
};

test('answers what the view says', async ({ socketPath }) => {
  assert.deepEqual(await getFromAgent(socketPath, '/v1/status'), { node: 'n1' });
  assert.deepEqual(await getFromAgent(socketPath, '/v1/attachments'), []);
});

test('tells what a collection would do, and does it when it is asked to', async ({ socketPath }) => {
  assert.deepEqual(await getFromAgent(socketPath, '/v1/gc'), { dryRun: true, living: 2, items: [] });
  assert.deepEqual(await getFromAgent(socketPath, '/v1/gc', 'POST'), { dryRun: false, living: 2, items: [] });
});

test('may be opened by root alone', ({ socketPath }) => {
  assert.equal(statSync(socketPath).mode & 0o777, 0o600);
});

test('cuts off a peer that is not root', async (context) => {
  context.uid = 1000;
  const error = await getFromAgent(context.socketPath, '/v1/status').then(() => undefined, caught);
  assert.equal(error?.reason, 'agent-away');
});

test('cuts off a peer that cannot be identified, and goes on', async (context) => {
  context.uid = Number.NaN;
  const error = await getFromAgent(context.socketPath, '/v1/status').then(() => undefined, caught);
  assert.equal(error?.reason, 'agent-away');
  context.uid = 0;
  assert.deepEqual(await getFromAgent(context.socketPath, '/v1/status'), { node: 'n1' });
});

test('goes on when the kernel has no room for a connection', async ({ socketPath }) => {
  await withFailingAccept(() => getFromAgent(socketPath, '/v1/status'));
  assert.deepEqual(await getFromAgent(socketPath, '/v1/status'), { node: 'n1' });
});

test("carries an error's code, reason and remedy to the caller", async ({ socketPath }) => {
  const error = await getFromAgent(socketPath, '/v1/explain?device=eth%209').then(() => undefined, caught);
  assert.equal(error?.code, 'NotFound');
  assert.equal(error?.reason, 'device-unknown');
  assert.equal(error?.message, 'no eth 9');
  assert.equal(error?.remedy, 'Look again.');
});

test('answers 500 to a bug and goes on', async ({ socketPath }) => {
  const error = await getFromAgent(socketPath, '/v1/plan').then(() => undefined, caught);
  assert.equal(error?.code, 'Internal');
  assert.deepEqual(await getFromAgent(socketPath, '/v1/status'), { node: 'n1' });
});

for (const [name, method, path, status] of [
  ['a path that is not there', 'GET', '/v2/status', 404],
  ['a method that writes', 'DELETE', '/v1/attachments', 405],
  ['doing what cannot be done', 'POST', '/v1/attachments', 405],
  ['a path that is no URL', 'GET', '//', 400],
] as const) {
  test(`refuses ${name}`, async ({ socketPath }) => {
    const got = await new Promise<number | undefined>((resolve, reject) => {
      request({ socketPath, path, method }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
    assert.equal(got, status);
  });
}

test('survives bytes that are no HTTP', async ({ socketPath }) => {
  await new Promise<void>((resolve) => {
    const socket = connect(socketPath, () => socket.end('\u0000\u0001 nonsense\r\n\r\n'));
    socket.on('error', () => resolve());
    socket.on('close', () => resolve());
    socket.resume();
  });
  assert.deepEqual(await getFromAgent(socketPath, '/v1/status'), { node: 'n1' });
});

test('says that no agent is there, or none any more, and how to start one', async ({ folder }) => {
  writeFileSync(join(folder, 'stale.sock'), '');
  for (const [name, words] of [
    ['none.sock', /none\.sock: no socket is there$/],
    ['stale.sock', /stale\.sock: nobody listens at the socket, so the agent has ended$/],
  ] as const) {
    const error = await getFromAgent(join(folder, name), '/v1/status').then(() => undefined, caught);
    assert.equal(error?.reason, 'agent-away');
    assert.match(error?.message ?? '', words);
    assert.match(error?.remedy ?? '', /berth agent/);
  }
});

test('takes the place of a socket that a dead agent left', async ({ folder }) => {
  const socketPath = join(folder, 'stale.sock');
  writeFileSync(socketPath, '');
  const server = await serveApi({
    socketPath,
    view,
    streams,
    peerUid: () => 0,
    collect: () => Promise.reject(new Error('not asked for')),
    log: silentLogger,
  });
  assert.deepEqual(await getFromAgent(socketPath, '/v1/status'), { node: 'n1' });
  await server.close();
});

test.run();
