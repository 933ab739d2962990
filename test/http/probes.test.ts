/** The probes and metrics as kubelet and Prometheus ask for them. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { silentLogger } from '../../src/engine/logger.ts';
import type { AgentStatus } from '../../src/engine/view.ts';
import { createAgentMetrics } from '../../src/http/metrics.ts';
import { notReady, serveProbes } from '../../src/http/probes.ts';
import type { TcpListener } from '../../src/http/tcp-listener.ts';

const vf = { resource: 'berth.dev/vf', devices: 4, healthy: 3, reasons: [], registered: true } as const;
const status = {
  version: '1.2.3',
  node: 'worker-1',
  startedAt: '2026-01-01T00:00:00Z',
  configuration: { source: 'built-in', problems: [], warnings: [] },
  resources: [vf, { resource: 'berth.dev/vf-vfio', devices: 0, healthy: 0, reasons: [], registered: false }],
  attachments: { total: 3, stuck: 1, unreadable: 0 },
  spool: { entries: 2, unreadable: 0 },
  inventory: { nics: 2, vfs: 4, readAt: '2026-01-01T00:00:10Z' },
  process: { rssBytes: 1024, eventLoopMaxMs: 2.5 },
} as unknown as AgentStatus;

let current = status;
const metrics = createAgentMetrics();
let listener: TcpListener;

test.before(async () => {
  listener = await serveProbes({
    at: { host: '127.0.0.1', port: 0 },
    status: () => current,
    metrics,
    log: silentLogger,
  });
});
test.after(() => listener.close());
test.before.each(() => {
  current = status;
});

async function get(
  path: string,
  init: RequestInit = {},
): Promise<{ status: number; body: string; type: string | null }> {
  const answer = await fetch(`http://127.0.0.1:${listener.address.port}${path}`, init);
  return { status: answer.status, body: await answer.text(), type: answer.headers.get('content-type') };
}

test('an agent that answers is healthy, also while it is not ready', async () => {
  current = { ...status, resources: [{ ...vf, registered: false }] };
  assert.equal((await get('/healthz')).status, 200);
});

test('ready is an agent whose pools with devices are all registered', async () => {
  assert.deepEqual([(await get('/readyz')).status, (await get('/readyz')).body], [200, 'ok\n']);
  current = { ...status, resources: [{ ...vf, registered: false, problem: 'kubelet is away' }] };
  const { status: code, body } = await get('/readyz');
  assert.deepEqual([code, body], [503, 'berth.dev/vf is not registered: kubelet is away\n']);
});

test('an agent whose shim is not in place is not ready, and says why', () => {
  const installation = { folder: '/opt/cni/bin', names: ['berth'] };
  assert.deepEqual(notReady({ ...status, installation }), []);
  assert.deepEqual(notReady({ ...status, installation: { ...installation, problem: 'EROFS' } }), [
    'the CNI shim is not installed: EROFS',
  ]);
});

test('other paths, methods and a status that throws have their answers', async () => {
  assert.equal((await get('/v1/attachments')).status, 404);
  assert.equal((await get('/metrics', { method: 'POST' })).status, 405);
  current = undefined as unknown as AgentStatus;
  assert.equal((await get('/readyz')).status, 500);
});

test('metrics tell what the status tells, in the text format', async () => {
  const { body, type } = await get('/metrics');
  assert.match(type ?? '', /^text\/plain; version=0\.0\.4/);
  for (const line of [
    '# TYPE berth_pool_devices gauge',
    'berth_build_info{version="1.2.3"} 1',
    'berth_pool_devices{resource="berth.dev/vf",state="healthy"} 3',
    'berth_pool_devices{resource="berth.dev/vf",state="unhealthy"} 1',
    'berth_pool_registered{resource="berth.dev/vf"} 1',
    'berth_attachments{state="attached"} 2',
    'berth_attachments{state="stuck"} 1',
    'berth_spool_entries 2',
    'berth_event_loop_delay_max_seconds 0.0025',
  ]) {
    assert.ok(body.split('\n').includes(line), `${line} is not in\n${body}`);
  }
  assert.doesNotMatch(body, /vf-vfio/, 'a built-in pool that this node has no device for');
});

test('CNI calls are counted by phase with cumulative buckets, failures by reason', async () => {
  const durationsMs = { parse: 0.5, engine: 30, total: 31 };
  metrics.observeCni({ command: 'ADD', kind: 'vf', code: 0, durationsMs });
  metrics.observeCni({ command: 'ADD', kind: 'vf', code: 7, reason: 'a "quoted"\\\nreason', durationsMs });
  const lines = (await get('/metrics')).body.split('\n');
  const of = (le: string): string =>
    `berth_cni_duration_seconds_bucket{command="ADD",kind="vf",phase="engine",le="${le}"}`;
  for (const line of [
    `${of('0.025')} 0`,
    `${of('0.05')} 2`,
    `${of('+Inf')} 2`,
    'berth_cni_duration_seconds_sum{command="ADD",kind="vf",phase="engine"} 0.06',
    'berth_cni_duration_seconds_count{command="ADD",kind="vf",phase="engine"} 2',
    'berth_cni_errors_total{command="ADD",code="7",reason="a \\"quoted\\"\\\\\\nreason"} 1',
  ]) {
    assert.ok(lines.includes(line), `${line} is not in\n${lines.join('\n')}`);
  }
});

test('every family has its help, its type, and names that follow the rules', async () => {
  const { body } = await get('/metrics');
  const names = new Set(
    body.split('\n').flatMap((line) => /^([a-z_]+?)(?:_bucket|_sum|_count)?[{ ]/.exec(line)?.[1] ?? []),
  );
  for (const name of names) {
    assert.match(name, /^(berth|process)_[a-z_]+$/);
    assert.ok(body.includes(`# HELP ${name} `) && body.includes(`# TYPE ${name} `), name);
    const isCounter = body.includes(`# TYPE ${name} counter`);
    assert.equal(name.endsWith('_total'), isCounter, name);
  }
});

test.run();
