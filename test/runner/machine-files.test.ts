/** A machine that stands still is replaced; one that works is not, whatever a file does. */
import assert from 'node:assert/strict';
import { suite } from 'uvu';
import type { TestFile } from './discover.ts';
import { type Machine, runInMachine } from './machine-files.ts';
import type { Outcome } from './outcome.ts';

const test = suite('files in a machine');

const [FIRST, SECOND] = ['one.lab.ts', 'two.lab.ts'].map((file): TestFile => ({ file, mode: 'lab' })) as [
  TestFile,
  TestFile,
];

/** What happened, in order; `fails` are the executions that fail, `still` those after which the machine stands still. */
async function happened(fails: readonly number[], still: readonly number[]): Promise<readonly string[]> {
  const log: string[] = [];
  let executions = 0;
  const machine: Machine = {
    start: async () => void log.push('start'),
    stop: async () => void log.push('stop'),
    answers: async () => !still.includes(executions),
  };
  await runInMachine(machine, [FIRST, SECOND], {
    execute: async ({ file }) => {
      executions += 1;
      log.push(`run ${file}`);
      return outcome(file, fails.includes(executions));
    },
    finished: ({ file, failed }) => void log.push(`${failed === 0 ? 'passed' : 'failed'} ${file}`),
    note: (text) => void log.push(text.trim()),
  });
  return log;
}

function outcome(file: string, hasFailed: boolean): Outcome {
  const counts = hasFailed ? { passed: 0, failed: 1 } : { passed: 1, failed: 0 };
  return { file, ...counts, skipped: 0, problems: [], missingFeatures: [], output: '', durationMs: 0 };
}

test('a file that fails in a machine that works has failed', async () => {
  assert.deepEqual(await happened([1], []), [
    ...['run one.lab.ts', 'failed one.lab.ts'],
    ...['run two.lab.ts', 'passed two.lab.ts'],
  ]);
});

test('a file that fails in a machine that stands still is run once more in a fresh one, and the rest after it', async () => {
  assert.deepEqual(await happened([1], [1]), [
    'run one.lab.ts',
    'one.lab.ts: the machine stands still; a fresh one takes its place, and the file is run once more',
    ...['stop', 'start', 'run one.lab.ts', 'passed one.lab.ts'],
    ...['run two.lab.ts', 'passed two.lab.ts'],
  ]);
});

test('a file that brings the machine to a stand twice has failed', async () => {
  const log = await happened([1, 2], [1, 2]);
  assert.deepEqual(log.slice(-3), ['failed one.lab.ts', 'run two.lab.ts', 'passed two.lab.ts']);
});

test.run();
