import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { statusCommand } from '../../src/cli/commands.ts';
import type { ProgramDeps } from '../../src/cli/port.ts';
import type { AgentStatus } from '../../src/engine/view.ts';

const SINCE = '2026-01-01T00:05:00Z';

function statusWith(resources: readonly object[]): AgentStatus {
  return {
    node: 'worker-1',
    version: '1.2.3',
    startedAt: SINCE,
    configuration: { source: 'built-in', running: 'built-in', takenAt: SINCE, problems: [], warnings: [] },
    inventory: { nics: 1, vfs: 4, readAt: SINCE },
    attachments: { total: 0, stuck: 0, unreadable: 0 },
    spool: { entries: 0, unreadable: 0 },
    process: { rssBytes: 1, eventLoopMaxMs: 1 },
    resources,
  } as unknown as AgentStatus;
}

const GOOD = { resource: 'berth.dev/vf', devices: 4, healthy: 4, registered: true, reasons: [] };
const EMPTY = { resource: 'berth.dev/vf-vfio', devices: 0, healthy: 0, registered: false, reasons: [] };
const LOST = { ...GOOD, resource: 'berth.dev/\u001b[31m', registered: false, problem: 'kubelet is away' };

async function run(resources: readonly object[], options: { exitCode?: boolean; output?: string }) {
  let out = '';
  let err = '';
  const output = {
    out: (text: string) => (out += text),
    err: (text: string) => (err += text),
    now: () => new Date(SINCE),
  };
  const agent = () => Promise.resolve(statusWith(resources));
  const deps = { output, agent } as unknown as ProgramDeps;
  const exit = await statusCommand(deps)({ output: 'text', runDir: '/r', ...options });
  return { exit, out, err };
}

test('an agent that is ready ends with 0; a pool without devices need not be registered', async () => {
  assert.deepEqual(await run([GOOD, EMPTY], {}), await run([GOOD, EMPTY], { exitCode: true }));
  const { err, exit } = await run([GOOD, EMPTY], { exitCode: true });
  assert.deepEqual([exit, err], [0, '']);
});

test('one that is not ready ends with 1 where that is asked for, and says what is not', async () => {
  assert.equal((await run([GOOD, LOST], {})).exit, 0);
  for (const output of ['text', 'json']) {
    const { err, exit, out } = await run([GOOD, LOST], { exitCode: true, output });
    assert.equal(exit, 1);
    assert.equal(err, 'berth: not ready: pool berth.dev/?[31m: not registered with kubelet: kubelet is away\n');
    assert.notEqual(out, '');
  }
});

test.run();
