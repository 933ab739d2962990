/**
 * The test runner: `node test/runner/main.ts [options] [FILTER...]`, normally by `hack/test`. Runs every
 * test file in a process of its own and is strict where uvu is not: see `outcome.ts` for the rule.
 *
 * To debug one file leave the runner out: `node --inspect-brk test/engine/values.test.ts`.
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { findTestFiles, type Mode, selectFiles, type TestFile } from './discover.ts';
import { type CommandFor, endAll, execute } from './execute.ts';
import { Lab } from './lab.ts';
import { runInMachine } from './machine-files.ts';
import type { Outcome } from './outcome.ts';
import { Reporter } from './report.ts';

const USAGE = `usage: hack/test [options] [FILTER...]
  FILTER           only files whose path contains it; each must match at least one file
  --no-lint        leave out the lint step (only a run without a filter has it)
  --no-lab         leave out the files that run in the lab (refused when CI=true)
  --limit SECONDS  how long one file may take (default 120, in the lab 300)
  --jobs N         files at a time (default: as many as the machine has cores, at most 4)
  --folder DIR     tests of another folder
  --list           print the files and what they need, run nothing
`;

/** The thread pool as `bin/berth` sets it, so that tests meet the same concurrency. */
const THREAD_POOL_SIZE = '64';

const checkout = resolve(import.meta.dirname, '../..');
const TESTS = join(checkout, 'test');

interface Options {
  readonly filters: readonly string[];
  readonly folder: string;
  readonly lab: boolean;
  readonly lint: boolean;
  readonly list: boolean;
  readonly jobs: number;
  readonly limitMs: Readonly<Record<Mode, number>>;
}

function parseOptions(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    allowNegative: true,
    options: {
      folder: { type: 'string', default: TESTS },
      help: { type: 'boolean', short: 'h' },
      jobs: { type: 'string', default: String(Math.min(availableParallelism(), 4)) },
      lab: { type: 'boolean', default: true },
      limit: { type: 'string' },
      lint: { type: 'boolean', default: true },
      list: { type: 'boolean', default: false },
    },
  });
  if (values.help === true) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  if (!(values.lab && values.lint) && process.env.CI === 'true') {
    throw new Error('--no-lab, --no-lint: with CI=true everything has to run');
  }
  const limit = (fallback: number): number => positive('--limit', values.limit ?? String(fallback)) * 1000;
  return {
    filters: positionals,
    folder: resolve(values.folder),
    lab: values.lab,
    lint: values.lint && positionals.length === 0 && resolve(values.folder) === TESTS,
    list: values.list,
    jobs: positive('--jobs', values.jobs),
    limitMs: { parallel: limit(120), serial: limit(120), lab: limit(300) },
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${name} ${text}: a number above 0`);
  return value;
}

async function runFiles(options: Options, files: readonly TestFile[], reporter: Reporter): Promise<void> {
  const modeFiles = (mode: Mode): TestFile[] => files.filter((file) => file.mode === mode);
  const local: CommandFor = (path, variables) => ({
    program: process.execPath,
    args: [join(import.meta.dirname, 'child.ts'), path],
    environment: { UV_THREADPOOL_SIZE: THREAD_POOL_SIZE, ...variables },
  });

  const run = async ({ file, mode }: TestFile, commandFor: CommandFor): Promise<Outcome> => {
    reporter.progress(file, undefined);
    const onProgress = (running: string | undefined): void => reporter.progress(file, running);
    const path = join(options.folder, file);
    return await execute({ file, path, limitMs: options.limitMs[mode], commandFor, onProgress });
  };
  const runQueue = async (queue: TestFile[]): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) reporter.finished(await run(next, local));
  };

  const parallel = modeFiles('parallel');
  await Promise.all(Array.from({ length: options.jobs }, () => runQueue(parallel)));
  await runQueue(modeFiles('serial'));
  await runLabFiles(modeFiles('lab'), options, reporter, run);
}

async function runLabFiles(
  files: TestFile[],
  options: Options,
  reporter: Reporter,
  run: (file: TestFile, commandFor: CommandFor) => Promise<Outcome>,
): Promise<void> {
  if (files.length === 0) return;
  if (!options.lab) {
    for (const { file } of files)
      reporter.finished(notRun(file, { skipped: 1, missingFeatures: ['the lab (--no-lab)'] }));
    return;
  }
  const lab = new Lab(checkout);
  try {
    await lab.start();
  } catch (error) {
    for (const { file } of files)
      reporter.finished(notRun(file, { failed: 1, problems: [`no lab: ${String(error)}`] }));
    return;
  }
  try {
    const thread = { UV_THREADPOOL_SIZE: THREAD_POOL_SIZE, ...(process.env.CI === 'true' ? { CI: 'true' } : {}) };
    const commandFor = lab.commandFor(options.limitMs.lab);
    await runInMachine(lab, files, {
      execute: (file) => run(file, (path, variables) => commandFor(path, { ...thread, ...variables })),
      finished: (outcome) => reporter.finished(outcome),
      note: (text) => reporter.note(text),
    });
  } finally {
    await lab.stop();
  }
}

/** The outcome of what never became a process of its own. */
function notRun(file: string, known: Partial<Outcome>): Outcome {
  const nothing = { passed: 0, failed: 0, skipped: 0, problems: [], missingFeatures: [], output: '', durationMs: 0 };
  return { file, ...nothing, ...known };
}

/** A failing lint step counts as one failure; the tests run all the same, to say everything at once. */
function lint(reporter: Reporter): void {
  const { status, stdout } = spawnSync(join(checkout, 'hack/lint'), { encoding: 'utf8', stdio: ['ignore', 'pipe', 2] });
  if (status === 0) reporter.note(stdout.trimEnd());
  else reporter.finished(notRun('hack/lint', { failed: 1, problems: [`ended with status ${status}`], output: stdout }));
}

async function main(): Promise<number> {
  const options = parseOptions();
  const { selected, unmatched } = selectFiles(findTestFiles(options.folder), options.filters, basename(options.folder));
  if (options.list) {
    for (const { file, mode } of selected) process.stdout.write(`${mode}\t${file}\n`);
    return 0;
  }
  for (const filter of unmatched) process.stderr.write(`hack/test: no test file matches "${filter}"\n`);
  if (unmatched.length === 0 && selected.length === 0) {
    process.stderr.write(`hack/test: no test file in ${options.folder}\n`);
  }
  const reporter = new Reporter(selected.length);
  if (options.lint) lint(reporter);
  await runFiles(options, selected, reporter);
  const { passed, failed, skipped } = reporter.close();
  return failed === 0 && passed + skipped > 0 && unmatched.length === 0 ? 0 : 1;
}

for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.on(signal, () => {
    endAll();
    process.exit(status);
  });
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`hack/test: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
