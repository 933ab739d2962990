/** `berth dashboard` without a browser: who gets what, what is printed, and what keeps it from starting. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import type { ClusterChange } from '../../src/engine/cluster/document.ts';
import { inventoryNamed } from '../kubernetes/inventories.ts';
import { type ShownCluster, showCluster } from '../page/cluster-scene.ts';
import { startDashboardApi } from '../standins/apiserver/dashboard-calls.ts';

const BERTH = join(import.meta.dirname, '../../bin/berth');
const VF_2 = '0000:10:02.2';
const TOKEN = 'a-token-of-more-than-sixteen-letters';
const worker = await inventoryNamed('worker-1', { pfs: [{ vfs: 2 }] });

const test = suite<{ folder: string }>('dashboard');

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'berth-dashboard-test-'));
});
test.after.each(({ folder }) => {
  rmSync(folder, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

function ask(origin: string, path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const call = request({ host: hostname, port, path, headers, method, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    call.on('error', reject).end();
  });
}

const bearerOf = ({ url }: ShownCluster): Record<string, string> => ({
  authorization: `Bearer ${new URLSearchParams(new URL(url).hash.slice(1)).get('token')}`,
});

test('the page is for everybody under strict headers, the data for who has the token', async () => {
  const cluster = await showCluster([worker]);
  const { origin } = new URL(cluster.url);
  const page = await ask(origin, '/');
  assert.match(page.body, /<title>Berth dashboard<\/title>/);
  assert.match(String(page.headers['content-security-policy']), /default-src 'none'.*frame-ancestors 'none'/);
  assert.match(String((await ask(origin, '/cluster.ts')).headers['content-type']), /javascript/);
  const refused = await ask(origin, '/v1/stream');
  assert.equal(refused.status, 401);
  assert.match(JSON.parse(refused.body).remedy, /berth dashboard/);
  assert.equal((await ask(origin, '/v1/stream', { authorization: 'Bearer wrong' })).status, 401);
  await cluster.close();
});

for (const [method, path, headers, status] of [
  ['GET', '/v1/stream', { host: 'evil.example' }, 421],
  ['GET', '/', { host: 'evil.example' }, 421],
  ['GET', '/', { host: '10.0.0.1' }, 421],
  ['GET', '/node.html', {}, 404],
  ['GET', '/../../etc/passwd', {}, 404],
  ['GET', '/%2e%2e/x', {}, 404],
  ['POST', '/', {}, 405],
  ['GET', '/v1/status', {}, 404],
  ['GET', '/v1/', {}, 404],
  ['POST', '/v1/stream', {}, 405],
  ['DELETE', '/v1/stream', {}, 405],
  ['POST', '/v1/gc', {}, 405],
] as readonly (readonly [string, string, Record<string, string>, number])[]) {
  test(`${method} ${path} for host ${headers.host ?? 'localhost'} is answered with ${status}`, async () => {
    const cluster = await showCluster([]);
    const answer = await ask(new URL(cluster.url).origin, path, { ...bearerOf(cluster), ...headers }, method);
    assert.equal(answer.status, status);
    await cluster.close();
    assert.deepEqual(cluster.api.refused, []);
  });
}

test('the stream tells the cluster, its nodes in portions, and then what changes', async () => {
  const cluster = await showCluster([worker, { ...worker, metadata: { name: 'worker-2' } }]);
  const answer = await fetch(`${new URL(cluster.url).origin}/v1/stream`, { headers: bearerOf(cluster) });
  assert.equal(answer.headers.get('content-type'), 'text/event-stream');
  const names: string[] = [];
  let live = false;
  let changed: ClusterChange['nodes'];
  let rest = '';
  assert.ok(answer.body);
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    const events = `${rest}${chunk}`.split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      const [, name = '', data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
      names.push(name);
      const body = JSON.parse(data) as ClusterChange;
      if (body.connection?.state === 'live' && !live) {
        live = true;
        cluster.api.put(await inventoryNamed('worker-2', { pfs: [{ vfs: 3 }] }));
      }
      changed = body.nodes?.['worker-2']?.devices?.[VF_2 as never] === undefined ? changed : body.nodes;
    }
    if (changed !== undefined) break;
  }
  assert.deepEqual(names.slice(0, 1), ['cluster']);
  assert.deepEqual(Object.keys(changed ?? {}), ['worker-2']);
  await cluster.close();
});

test('a token of a file is used and never printed', async ({ folder }) => {
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o600 });
  const cluster = await showCluster([], { tokenFile });
  assert.equal(new URL(cluster.url).hash, '');
  assert.equal(cluster.told.join('').includes(TOKEN), false);
  assert.equal((await ask(cluster.url, '/v1/none', { authorization: `Bearer ${TOKEN}` })).status, 404);
  assert.equal(cluster.told.join('').includes('warning'), false);
  await cluster.close();
});

test('a token that others can read, and an address that others can reach, are warned of', async ({ folder }) => {
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, TOKEN);
  chmodSync(tokenFile, 0o644);
  const cluster = await showCluster([], { tokenFile, listen: '0.0.0.0:0' });
  const told = cluster.told.join('');
  assert.match(told, /warning: others than you can read/);
  assert.match(told, /warning: other machines can reach it, without encryption/);
  assert.equal((await ask(cluster.url, '/v1/stream')).status, 401, 'the token is asked for there, too');
  assert.equal((await ask(cluster.url, '/', { host: 'evil.example' })).status, 421);
  await cluster.close();
});

for (const [what, text] of [
  ['is not there', undefined],
  ['is empty', ''],
  ['is short', 'short'],
  ['has two words', 'two words of more than sixteen letters'],
  ['has other letters', 'ünïcödé-of-more-than-sixteen'],
  ['is without end', 'x'.repeat(5000)],
] as const) {
  test(`a token file that ${what} is refused before anything starts`, async ({ folder }) => {
    const tokenFile = join(folder, 'token');
    if (text !== undefined) writeFileSync(tokenFile, text);
    await assert.rejects(showCluster([], { tokenFile }), { reason: 'token-file-unusable' });
  });
}

test('an address that is none is refused', async () => {
  await assert.rejects(showCluster([], { listen: 'localhost:1' }), { reason: 'listen-address' });
});

test('a port that is taken is told', async () => {
  const first = await showCluster([]);
  await assert.rejects(showCluster([], { listen: new URL(first.url).host }), { reason: 'listen-failed' });
  await first.close();
});

test('the program prints the address, tells how it stands, and ends with the signal', async ({ folder }) => {
  const api = await startDashboardApi([worker]);
  const kubeconfig = join(folder, 'config');
  writeFileSync(kubeconfig, api.kubeconfig);
  const program = spawn(BERTH, ['dashboard', '--kubeconfig', kubeconfig, '--listen', '127.0.0.1:0']);
  let out = '';
  program.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  let err = '';
  const live = new Promise<void>((resolve) => {
    program.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
      if (err.includes('live, 1 node\n')) resolve();
    });
  });
  await live;
  assert.match(out, /^http:\/\/127\.0\.0\.1:\d+\/#token=\S{43}\n$/);
  assert.match(err, /the inventories of context test, http:/);
  program.kill('SIGTERM');
  const [code] = await once(program, 'exit');
  assert.equal(code, 0, err);
  await api.close();
});

for (const [what, words, reason] of [
  ['a kubeconfig that is not there', ['--kubeconfig', '/nonexistent/config'], 'kubeconfig-unusable'],
  ['an address that is none', ['--listen', 'nowhere'], 'listen-address'],
] as const) {
  test(`the program ends with 1 and says why for ${what}`, async () => {
    const program = spawn(BERTH, ['dashboard', ...words], { stdio: ['ignore', 'ignore', 'pipe'] });
    let err = '';
    program.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
    });
    const [code] = await once(program, 'close');
    assert.equal(code, 1);
    assert.match(err, new RegExp(`^berth: .*\\[${reason}\\]\n {2}\\S`));
  });
}

test.run();
