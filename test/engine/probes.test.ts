import assert from 'node:assert/strict';
import { test } from 'uvu';
import { healthOf, type ProbeReport, readinessOf } from '../../src/engine/probes.ts';
import type { AgentStatus } from '../../src/engine/view.ts';

const NOW = new Date('2026-01-01T01:00:00Z');

const vf = { resource: 'berth.dev/vf', devices: 4, healthy: 3, reasons: [], registered: true };
const status = {
  configuration: { source: 'built-in', problems: [], warnings: [] },
  resources: [vf],
  inventory: { nics: 1, vfs: 4, readAt: '2026-01-01T00:00:00Z' },
} as unknown as AgentStatus;

function wrong({ checks, ok }: ProbeReport): readonly string[] {
  assert.equal(
    ok,
    checks.every((check) => check.ok),
  );
  return checks.filter((check) => !check.ok).map(({ name, note }) => (note === undefined ? name : `${name}: ${note}`));
}

test('an agent that starts is healthy and not ready, and says what it does', () => {
  assert.deepEqual(wrong(healthOf(undefined, NOW)), []);
  assert.deepEqual(wrong(readinessOf('waiting for another agent to end', undefined)), [
    'start: waiting for another agent to end',
  ]);
});

test('an agent that serves and is registered is ready', () => {
  assert.deepEqual(wrong(readinessOf('serving', status)), []);
});

for (const [name, facts, expected] of [
  [
    'a pool that kubelet does not listen to',
    { resources: [{ ...vf, registered: false, problem: 'kubelet is away' }] },
    ['pool berth.dev/vf: not registered with kubelet: kubelet is away'],
  ],
  [
    'a pool without devices, which need not be announced',
    { resources: [{ ...vf, devices: 0, registered: false }] },
    [],
  ],
  [
    'a configuration that was broken from the start',
    {
      resources: [],
      configuration: {
        source: 'c',
        running: 'nothing',
        problems: ['c:1: x'],
        warnings: [],
        brokenSince: '2026-01-01T00:00:00Z',
      },
    },
    ['configuration: broken since 2026-01-01T00:00:00Z: c:1: x'],
  ],
  [
    'a newer configuration that is broken while an older one runs',
    { configuration: { source: 'c', running: 'file', problems: ['c:1: x'], warnings: [] } },
    [],
  ],
  [
    'a shim that is not in place',
    { installation: { folder: '/opt/cni/bin', names: ['berth'], problem: 'EROFS' } },
    ['shim: EROFS'],
  ],
] as const) {
  test(`${name}: ${expected.length === 0 ? 'ready' : 'not ready'}`, () => {
    assert.deepEqual(wrong(readinessOf('serving', { ...status, ...facts } as unknown as AgentStatus)), expected);
  });
}

test('only a node that could not be read for long is unhealthy: a restart may mend it', () => {
  assert.deepEqual(wrong(healthOf(status, NOW)), [], 'an old reading without a problem is a quiet node');
  const failing = (readAt: string) =>
    ({ ...status, inventory: { ...status.inventory, readAt, problem: 'EMFILE' } }) as AgentStatus;
  assert.deepEqual(wrong(healthOf(failing('2026-01-01T00:55:00Z'), NOW)), []);
  assert.deepEqual(wrong(healthOf(failing('2026-01-01T00:45:00Z'), NOW)), [
    'inventory: EMFILE, read last at 2026-01-01T00:45:00Z',
  ]);
});

test.run();
