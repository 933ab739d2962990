/** The stream and the page's server: who gets what, and what happens to clients that misbehave. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import type { FeedDocument } from '../../src/engine/feed/document.ts';
import { createNodeFeed, type Feed } from '../../src/engine/feed/feed.ts';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import { inventoryView } from '../../src/engine/inventory-view.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import type { AgentView } from '../../src/engine/view.ts';
import type { EventStreams } from '../../src/http/event-stream.ts';
import { createNodeStreams } from '../../src/http/node-stream.ts';
import { type PageServer, servePage } from '../../src/http/page.ts';
import { answerApi, serveApi } from '../../src/http/server.ts';
import { followAgent } from '../../src/http/stream-client.ts';
import { isLoopback, parseListenAddress } from '../../src/http/tcp-listener.ts';
import { inventory, netdev, nic, vf } from '../engine/inventory/fixtures.ts';
import { withFailingAccept } from '../standins/failing-accept.ts';

interface Context {
  now: Inventory;
  change: () => void;
  feed: Feed<FeedDocument>;
  streams: EventStreams;
  page: PageServer;
  port: number;
}

const TOKEN = 'the-token';
const test = suite<Context>('page');
const ASSETS = new Map([['/', { type: 'text/html', body: '<!doctype html>' }]]);
const emptyPlan = { pools: [], unused: [] };

test.before.each(async (context) => {
  context.now = inventory();
  const listeners = new Set<() => void>();
  context.change = () => {
    for (const listener of listeners) listener();
  };
  context.feed = createNodeFeed({
    view: () => inventoryView(context.now, emptyPlan, {}),
    changes: [
      (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    ],
    log: silentLogger,
    coalesceMs: 1,
  });
  context.streams = createNodeStreams({ feed: context.feed, log: silentLogger, mostClients: 2, stallMs: 50 });
  const view = { status: () => ({ node: 'n1' }) } as unknown as AgentView;
  context.page = await servePage({
    at: { host: '127.0.0.1', port: 0 },
    assets: ASSETS,
    token: TOKEN,
    tokenRemedy: 'Ask the test.',
    silentMs: 250,
    answer: (call, response) => answerApi({ view, streams: context.streams, log: silentLogger }, call, response),
    log: silentLogger,
  });
  context.port = Number(new URL(context.page.url).port);
});

test.after.each(async ({ feed, page, streams }) => {
  streams.close();
  feed.stop();
  await page.close();
});

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

function ask(port: number, path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ host: '127.0.0.1', port, path, headers, method, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    call.on('error', reject).end();
  });
}

const BEARER = { authorization: `Bearer ${TOKEN}` };

test('the page is for everybody, under strict headers', async ({ port }) => {
  const { status, headers, body } = await ask(port, '/');
  assert.deepEqual([status, body], [200, '<!doctype html>']);
  assert.match(String(headers['content-security-policy']), /default-src 'none'.*frame-ancestors 'none'/);
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(headers['cache-control'], 'no-store');
});

test('the page stays when the kernel has no room for a connection', async ({ port }) => {
  await withFailingAccept(() => ask(port, '/'));
  assert.equal((await ask(port, '/')).status, 200);
});

test('data is for who has the token, and the address holds it where browsers do not send it', async ({
  page,
  port,
}) => {
  assert.equal((await ask(port, '/v1/status')).status, 401);
  assert.equal((await ask(port, '/v1/status', { authorization: 'Bearer other' })).status, 401);
  assert.equal((await ask(port, `/v1/status?token=${TOKEN}`)).status, 401);
  assert.deepEqual(JSON.parse((await ask(port, '/v1/status', BEARER)).body), { node: 'n1' });
  assert.equal(new URL(page.url).hash, `#token=${TOKEN}`);
});

for (const [host, status] of [
  ['localhost:PORT', 200],
  ['127.0.0.1', 200],
  ['[::1]:PORT', 200],
  ['LOCALHOST', 200],
  ['evil.example:PORT', 421],
  ['localhost.evil.example', 421],
  ['10.0.0.7:PORT', 421],
] as const) {
  test(`a request for host ${JSON.stringify(host)} is answered with ${status}`, async ({ port }) => {
    assert.equal((await ask(port, '/', { host: host.replace('PORT', String(port)) })).status, status);
  });
}

for (const [method, path, status] of [
  ['GET', '/nothing', 404],
  ['GET', '/../../etc/passwd', 404],
  ['GET', '/%2e%2e/x', 404],
  ['POST', '/', 405],
  ['HEAD', '/', 200],
] as const) {
  test(`${method} ${path} is answered with ${status}`, async ({ port }) => {
    assert.equal((await ask(port, path, {}, method)).status, status);
  });
}

test('the API behind it only reads', async ({ port }) => {
  assert.equal((await ask(port, '/v1/status', BEARER, 'DELETE')).status, 405);
  assert.equal((await ask(port, '/v1/nothing', BEARER)).status, 404);
});

interface Event {
  readonly name: string;
  readonly data: unknown;
}

/** Opens a stream; `until` resolves with the first events for which it is true. */
async function watch(
  port: number,
): Promise<{ until(done: (events: readonly Event[]) => boolean): Promise<readonly Event[]>; close(): void }> {
  const events: Event[] = [];
  let wake: () => void = () => undefined;
  const opened = new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    request({ host: '127.0.0.1', port, path: '/v1/stream', headers: BEARER, agent: false }, resolve)
      .on('error', reject)
      .end();
  });
  const response = await opened;
  assert.equal(response.statusCode, 200);
  let rest = '';
  response.on('error', () => wake());
  response.setEncoding('utf8').on('data', (text: string) => {
    const parts = `${rest}${text}`.split('\n\n');
    rest = parts.pop() ?? '';
    for (const part of parts) {
      const found = /^event: (\w+)\ndata: (.*)$/.exec(part);
      if (found?.[1] !== undefined) events.push({ name: found[1], data: JSON.parse(found[2] ?? '') });
    }
    wake();
  });
  return {
    until: async (done) => {
      while (!done(events)) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return events;
    },
    close: () => response.destroy(),
  };
}

const has = (name: string) => (events: readonly Event[]) => events.some((event) => event.name === name);

test('a thousand requests are answered, each', async ({ port }) => {
  const statuses: number[] = [];
  const worker = async (): Promise<void> => {
    while (statuses.length < 1000) {
      const index = statuses.push(0) - 1;
      statuses[index] = (await ask(port, '/v1/status', index % 2 === 0 ? BEARER : {})).status;
    }
  };
  await Promise.all(Array.from({ length: 20 }, worker));
  assert.deepEqual([...new Set(statuses)].sort(), [200, 401]);
  assert.equal(statuses.filter((status) => status === 200).length, statuses.length / 2);
});

test('connections that say nothing hold no place for long', async ({ port }) => {
  const silent = Array.from({ length: 80 }, () => connect(port, '127.0.0.1').on('error', () => undefined));
  const ended = silent.map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()).resume()));
  await Promise.all(ended);
  assert.equal((await ask(port, '/')).status, 200);
});

for (const [what, text] of [
  ['no HTTP at all', '\u0000\u0001\u0002\r\n\r\n'],
  ['a head that is too long', `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(10_000)}\r\n\r\n`],
  ['a head that never ends', 'GET / HTTP/1.1\r\nhost: localhost\r\n'],
] as const) {
  test(`${what} ends the connection, and nothing else`, async ({ port }) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined).resume();
    const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.write(text);
    await ended;
    assert.equal((await ask(port, '/')).status, 200);
  });
}

test('a stream begins with the whole node, a portion for each NIC', async ({ port }) => {
  const client = await watch(port);
  const events = await client.until(has('ready'));
  assert.deepEqual(
    events.map((event) => event.name),
    ['node', 'devices', 'devices', 'ready'],
  );
  const [first] = events.filter((event) => event.name === 'devices');
  assert.deepEqual(
    ((first?.data ?? []) as { address: string; state: string }[]).map(({ address, state }) => [address, state]),
    [
      ['0000:10:00.0', 'unused'],
      ['0000:10:02.0', 'unused'],
      ['0000:10:02.1', 'unused'],
    ],
  );
  client.close();
});

test('a change is sent alone, and what is gone is null', async (context) => {
  const client = await watch(context.port);
  await client.until(has('ready'));
  const [first, second] = context.now.nics;
  assert.ok(first && second);
  const vfs = [{ ...(first.vfs[0] ?? vf(first.address, 0)), driver: 'vfio-pci' }];
  context.now = { ...context.now, nics: [{ ...first, vfs }, second] };
  context.change();
  const events = await client.until(has('change'));
  const change = events.find((event) => event.name === 'change');
  const { devices } = (change?.data ?? {}) as { devices: Record<string, unknown> };
  assert.deepEqual(Object.keys(devices), ['0000:10:02.0', '0000:10:02.1']);
  assert.equal(devices['0000:10:02.1'], null);
  client.close();
});

test('one stream more than there may be is refused, and a place is free again when one ends', async ({
  port,
  streams,
}) => {
  const one = await watch(port);
  const two = await watch(port);
  const refused = await ask(port, '/v1/stream', BEARER);
  assert.equal(refused.status, 503);
  assert.equal(JSON.parse(refused.body).reason, 'api-too-many-streams');
  one.close();
  while (streams.clients > 1) await new Promise((resolve) => setImmediate(resolve));
  const three = await watch(port);
  await three.until(has('ready'));
  three.close();
  two.close();
});

test('a client that never reads is cut off, and the others are not held up', async (context) => {
  const many = Array.from({ length: 64 }, (_, card) =>
    nic(`0000:${(16 + card).toString(16)}:00.0`, netdev(`eth${card}`, 10 + card), [], {
      offloads: ['x'.repeat(200_000)],
    }),
  );
  context.now = { ...context.now, nics: many };
  context.change();
  const socket = connect(context.port, '127.0.0.1');
  socket.pause();
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => undefined);
  socket.write(`GET /v1/stream HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${TOKEN}\r\n\r\n`);
  while (context.streams.clients === 0) await new Promise((resolve) => setImmediate(resolve));
  const reader = await watch(context.port);
  await reader.until(has('ready'));
  while (context.streams.clients > 1) await new Promise((resolve) => setImmediate(resolve));
  reader.close();
  socket.destroy();
  await ended;
});

test('the command line follows the stream over the socket, and keeps the whole up to date', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-stream-'));
  const socketPath = join(folder, 'api.sock');
  const api = await serveApi({
    collect: () => Promise.reject(new Error('not asked for')),
    socketPath,
    view: {} as AgentView,
    streams: context.streams,
    peerUid: () => 0,
    log: silentLogger,
  });
  const ended = new AbortController();
  const documents: FeedDocument[] = [];
  await followAgent(
    socketPath,
    (document) => {
      documents.push(document);
      if (documents.length === 2) return ended.abort();
      const [first] = context.now.nics;
      context.now = { ...context.now, nics: first === undefined ? [] : [first] };
      context.change();
    },
    ended.signal,
  );
  assert.deepEqual(
    documents.map((document) => document.devices.size),
    [4, 3],
  );
  assert.equal(documents[1]?.node, documents[0]?.node);
  await api.close();
  await assert.rejects(
    followAgent(socketPath, () => undefined, new AbortController().signal),
    { reason: 'agent-away' },
  );
  rmSync(folder, { recursive: true });
});

test('nobody watching costs nothing: the view is asked for once, when somebody comes', async ({ change }) => {
  let asked = 0;
  const feed = createNodeFeed({
    view: () => {
      asked += 1;
      return inventoryView(inventory(), emptyPlan, {});
    },
    changes: [],
    log: silentLogger,
  });
  for (let round = 0; round < 5; round++) change();
  assert.equal(asked, 0);
  feed.current();
  feed.current();
  assert.equal(asked, 1);
  feed.stop();
});

test('a burst of changes is one document, and a change that changes nothing is none', async (context) => {
  const ended = new AbortController();
  const known: FeedDocument = context.feed.current();
  const next = context.feed.next(known, ended.signal);
  context.change();
  context.now = { ...context.now, node: { name: 'renamed' } };
  context.change();
  assert.equal((await next)?.node.name, 'renamed');
  const latest = context.feed.current();
  const silent = context.feed.next(latest, ended.signal);
  context.now = structuredClone(context.now);
  context.change();
  setTimeout(() => ended.abort(), 20);
  assert.equal(await silent, undefined);
  assert.equal(context.feed.current(), latest);
});

test('addresses to listen on are read, and others refused', () => {
  assert.deepEqual(parseListenAddress('127.0.0.1:9474'), { host: '127.0.0.1', port: 9474 });
  assert.deepEqual(parseListenAddress('[::1]:0'), { host: '::1', port: 0 });
  assert.deepEqual(parseListenAddress(':80'), { host: '::', port: 80 });
  for (const wrong of ['', 'x', '9474', 'localhost:1', '300.1.1.1:1', '1.2.3.4:70000', '::1:80'])
    assert.throws(() => parseListenAddress(wrong), { reason: 'listen-address' }, wrong);
  assert.ok(isLoopback({ host: '127.8.0.1', port: 1 }) && isLoopback({ host: '::1', port: 1 }));
  assert.equal(isLoopback({ host: '::', port: 1 }), false);
});

test('a port that is taken is told with its address', async () => {
  const taken = createTcpServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address() as AddressInfo;
  const rest = { tokenRemedy: 'x', answer: () => undefined, log: silentLogger };
  await assert.rejects(servePage({ ...rest, at: { host: '127.0.0.1', port }, assets: ASSETS, token: 'x' }), {
    reason: 'listen-failed',
    code: 'Busy',
  });
  await new Promise((resolve) => taken.close(resolve));
});

test.run();
