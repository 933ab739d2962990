/**
 * Executes one test file as a process group of its own, reads its events, and ends it with everything
 * it started when it takes too long. Not here: what the result means (`outcome.ts`).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { EventReader, NONCE_VARIABLE } from './events.ts';
import { type Ending, FileProgress, type Outcome } from './outcome.ts';
import { findStrays, killStrays, type Stray } from './strays.ts';

/** How a file is started: the whole command, and the environment that must reach the test process. */
export interface TestCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** Makes the command that executes a test file, given the variables it has to carry to it. */
export type CommandFor = (path: string, variables: Readonly<Record<string, string>>) => TestCommand;

export interface ExecuteOptions {
  /** Shown in results. */
  readonly file: string;
  /** What the command executes. */
  readonly path: string;
  readonly limitMs: number;
  readonly commandFor: CommandFor;
  /** Called when the test in progress changes. */
  readonly onProgress?: (running: string | undefined) => void;
}

/** What of a file's output is kept at most, in characters; the end is worth more than the beginning. */
const OUTPUT_LIMIT = 512 * 1024;
/** A hung file may clean up for that long between SIGTERM and SIGKILL. */
const TERMINATE_GRACE_MS = 2_000;
/** Processes that are just ending need that long to disappear from /proc. */
const STRAY_GRACE_MS = 1_000;

const running = new Set<ChildProcess>();

/** Ends every file that is being executed, for when the runner itself is interrupted. */
export function endAll(): void {
  for (const child of running) signalGroup(child, 'SIGKILL');
}

/** Executes the file; never throws for what the file does. */
export async function execute(options: ExecuteOptions): Promise<Outcome> {
  const nonce = randomUUID();
  const command = options.commandFor(options.path, { [NONCE_VARIABLE]: nonce });
  const progress = new FileProgress();
  let output = '';
  const append = (text: string): void => {
    output += text;
    if (output.length > OUTPUT_LIMIT) output = `[...]\n${output.slice(-OUTPUT_LIMIT / 2)}`;
  };
  const reader = new EventReader(nonce, (event) => {
    progress.take(event);
    options.onProgress?.(progress.running);
  });

  const startedAt = performance.now();
  const child = spawn(command.program, command.args, {
    detached: true,
    env: { ...process.env, ...command.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => append(reader.push(chunk)));
  child.stderr.setEncoding('utf8').on('data', append);
  const exited = exitOf(child);
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let limitMs: number | undefined;
  const limit = setTimeout(() => {
    limitMs = options.limitMs;
    signalGroup(child, 'SIGTERM');
    setTimeout(() => signalGroup(child, 'SIGKILL'), TERMINATE_GRACE_MS).unref();
  }, options.limitMs);

  const exit = await exited;
  clearTimeout(limit);
  const strays = await endStrays(child, nonce);
  await closed;
  append(reader.end());
  running.delete(child);
  const ending = { ...exit, strays, ...(limitMs === undefined ? {} : { limitMs }) };
  return progress.outcome(options.file, ending, output, performance.now() - startedAt);
}

function exitOf(child: ChildProcess): Promise<Pick<Ending, 'exitCode' | 'signal' | 'startError'>> {
  return new Promise((resolve) => {
    child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }));
    child.once('error', (error) => resolve({ exitCode: null, signal: null, startError: error.message }));
  });
}

/** Ends what outlived the file and returns the names; an orphan would also keep the output open. */
async function endStrays(child: ChildProcess, nonce: string): Promise<string[]> {
  const group = child.pid;
  if (group === undefined) return [];
  const strays = await straysAfterGrace(group, nonce);
  killStrays(strays);
  // Only when they are gone is their hold on the output, and on the machine, gone too.
  await straysAfterGrace(group, nonce);
  return strays.map(({ pid, command }) => `${command} (${pid})`);
}

/** Those still there when the grace is over; returns as soon as there are none. */
async function straysAfterGrace(group: number, nonce: string): Promise<readonly Stray[]> {
  const deadline = performance.now() + STRAY_GRACE_MS;
  for (;;) {
    const strays = findStrays(group, nonce);
    if (strays.length === 0 || performance.now() > deadline) return strays;
    await delay(50);
  }
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
