import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { BerthError } from '../../src/engine/errors.ts';
import { takeAgentLock } from '../../src/linux/agent-lock.ts';

const test = suite<{ folder: string }>('agent lock');

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'berth-lock-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }));

const forever = new AbortController().signal;
const never = () => assert.fail('nothing to wait for');

test('a second agent waits, is told who it waits for, and goes on when the first has ended', async ({ folder }) => {
  const path = join(folder, 'agent.lock');
  const first = await takeAgentLock(path, forever, never);
  assert.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
  const waited: string[] = [];
  const second = takeAgentLock(path, forever, (holder) => {
    waited.push(holder);
    first.release();
  });
  (await second).release();
  assert.deepEqual(waited, [String(process.pid)]);
});

test('stops waiting when it is told to', async ({ folder }) => {
  const path = join(folder, 'agent.lock');
  const first = await takeAgentLock(path, forever, never);
  const stop = new AbortController();
  const second = takeAgentLock(path, stop.signal, () => stop.abort());
  await assert.rejects(second, (error) => error instanceof BerthError && error.code === 'Interrupted');
  first.release();
});

test('makes the run directory for root alone', async ({ folder }) => {
  (await takeAgentLock(join(folder, 'run', 'berth', 'agent.lock'), forever, never)).release();
  assert.equal(statSync(join(folder, 'run', 'berth')).mode & 0o777, 0o700);
});

test('says what it needs when the run directory cannot be made', async ({ folder }) => {
  writeFileSync(join(folder, 'file'), '');
  const impossible = takeAgentLock(join(folder, 'file', 'run', 'agent.lock'), forever, never);
  await assert.rejects(
    impossible,
    (error) => error instanceof BerthError && error.reason === 'agent-lock' && /--run-dir/.test(error.remedy ?? ''),
  );
});

test.run();
