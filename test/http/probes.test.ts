/** The probes and metrics as kubelet and Prometheus ask for them. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { silentLogger } from '../../src/engine/logger.ts';
import type { ProbeReport } from '../../src/engine/probes.ts';
import { type MetricsText, serveProbes } from '../../src/http/probes.ts';
import type { TcpListener } from '../../src/http/tcp-listener.ts';

const good: ProbeReport = { ok: true, checks: [{ name: 'event-loop', ok: true }] };
const bad: ProbeReport = {
  ok: false,
  checks: [
    { name: 'start', ok: true },
    { name: 'registered berth.dev/vf', ok: false, note: 'kubelet is away' },
  ],
};
const text: MetricsText = { contentType: 'text/plain; version=0.0.4; charset=utf-8', body: 'berth_x 1\n' };

let ready: () => ProbeReport;
let metrics: () => Promise<MetricsText | undefined>;
let listener: TcpListener;

test.before(async () => {
  listener = await serveProbes({
    at: { host: '127.0.0.1', port: 0 },
    health: () => good,
    ready: () => ready(),
    metrics: () => metrics(),
    log: silentLogger,
  });
});
test.after(() => listener.close());
test.before.each(() => {
  ready = () => good;
  metrics = () => Promise.resolve(text);
});

async function get(path: string, method = 'GET'): Promise<readonly [number, string, string | null]> {
  const answer = await fetch(`http://127.0.0.1:${listener.address.port}${path}`, { method });
  return [answer.status, await answer.text(), answer.headers.get('content-type')];
}

test('a probe answers by its status, and names each check with what is wrong', async () => {
  const type = 'text/plain; charset=utf-8';
  assert.deepEqual(await get('/healthz'), [200, 'ok   event-loop\n', type]);
  assert.deepEqual(await get('/readyz'), [200, 'ok   event-loop\n', type]);
  ready = () => bad;
  const body = 'ok   start\nFAIL registered berth.dev/vf: kubelet is away\n';
  assert.deepEqual(await get('/readyz?verbose'), [503, body, type]);
  assert.equal((await get('/healthz'))[0], 200, 'not being ready restarts nothing');
});

test('metrics are served as they are, and not before the agent has any', async () => {
  assert.deepEqual(await get('/metrics'), [200, text.body, text.contentType]);
  metrics = () => Promise.resolve(undefined);
  assert.equal((await get('/metrics'))[0], 503);
});

test('what throws is answered too, and the next request as ever', async () => {
  ready = () => {
    throw new Error('a bug');
  };
  metrics = () => Promise.reject(new Error('a bug'));
  assert.equal((await get('/readyz'))[0], 500);
  assert.equal((await get('/metrics'))[0], 500);
  assert.equal((await get('/healthz'))[0], 200);
});

for (const [path, method, status] of [
  ['/v1/attachments', 'GET', 404],
  ['/', 'GET', 404],
  ['/metrics', 'POST', 405],
  ['/healthz', 'DELETE', 405],
  ['/healthz', 'HEAD', 200],
] as const) {
  test(`${method} ${path} is ${status}`, async () => assert.equal((await get(path, method))[0], status));
}

test('a scraper that names the node as it likes is answered', async () => {
  const answer = await fetch(`http://127.0.0.1:${listener.address.port}/healthz`, {
    headers: { host: 'node-7.example' },
  });
  assert.equal(answer.status, 200);
});

test.run();
