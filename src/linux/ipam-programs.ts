/**
 * IPAM programs executed in the agent's own place: for replay, for the undo of what a killed agent
 * had begun, and for collection, when no runtime waits. The CNI folders have to be mounted where the
 * agent runs, and so has what the program reads (its configuration, its socket). Bounded as the
 * shim's (src/shim/delegate.c). Debug: `strace -f -e trace=execve -p <agent>`.
 */
import { spawn } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { constants } from 'node:os';
import { basename, isAbsolute, join } from 'node:path';
import { BerthError } from '../engine/errors.ts';
import type { IpamCall, IpamEnd, IpamOutcome, IpamPrograms } from '../engine/ipam/port.ts';

const MOST_OUTPUT_BYTES = 1 << 20;
const MOST_ERROR_BYTES = 4096;
const SILENCE_MS = 30_000;
const PIPE_GRACE_MS = 300;
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$/;
/** Where packages put plugins; looked at last. */
const USUAL_FOLDERS = ['/opt/cni/bin', '/usr/lib/cni', '/usr/libexec/cni'];
/** A program that is no program of ours need not see what the agent's environment holds. */
const PASSED_ON = ['PATH', 'HOME', 'KUBECONFIG', 'SSL_CERT_FILE', 'SSL_CERT_DIR'];

/** Programs are looked for in `folders` when they are nowhere else. */
export function createIpamPrograms(folders: readonly string[] = USUAL_FOLDERS): IpamPrograms {
  /** By path: until when a program that hung is not tried again, by `performance.now()`. */
  const silentUntilMs = new Map<string, number>();
  return {
    execute: async (call, signal) => {
      const path = await find(call, folders);
      const nothing = { stdout: '', stderr: '' };
      if (path === undefined) return { end: { kind: 'not-found' }, path: '', ...nothing };
      if (signal.aborted) return { end: { kind: 'cancelled' }, path, ...nothing };
      // At a start there may be hundreds of releases, one after the other, for one server that is away.
      if ((silentUntilMs.get(path) ?? 0) > performance.now()) return { end: { kind: 'timed-out' }, path, ...nothing };
      const outcome = await run(path, call, signal);
      if (outcome.end.kind === 'timed-out') silentUntilMs.set(path, performance.now() + SILENCE_MS);
      else silentUntilMs.delete(path);
      return outcome;
    },
  };
}

async function find(call: IpamCall, folders: readonly string[]): Promise<string | undefined> {
  if (!NAME.test(call.program)) return undefined;
  // Only a file of that name: the path comes from a record, which is a file too.
  const before = call.foundAt !== undefined && basename(call.foundAt) === call.program ? [call.foundAt] : [];
  const path = (call.environment.CNI_PATH ?? '').split(':');
  for (const candidate of [...before, ...[...path, ...folders].map((folder) => join(folder, call.program))]) {
    if (isAbsolute(candidate) && (await isProgram(candidate))) return candidate;
  }
  return undefined;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    const about = await stat(path);
    return about.isFile() && (about.mode & 0o111) !== 0;
  } catch (error) {
    // Whatever cannot be looked at is not there for us; the next folder may have it.
    if (error instanceof Error && 'code' in error) return false;
    throw error;
  }
}

function run(path: string, call: IpamCall, signal: AbortSignal): Promise<IpamOutcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, [], {
      // A group of its own, so that what it starts can be ended with it.
      detached: true,
      env: { ...passedOn(), ...call.environment, CNI_COMMAND: call.command, BERTH_DELEGATED: '1' },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let outputBytes = 0;
    let errorBytes = 0;
    let cut: IpamEnd | undefined;
    const cutShort = (end: IpamEnd): void => {
      cut ??= end;
      if (child.pid !== undefined) killGroup(child.pid);
    };
    const onAbort = (): void => cutShort({ kind: 'cancelled' });
    const timer = setTimeout(() => cutShort({ kind: 'timed-out' }), call.timeoutMs);
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      // What it started may hold the pipes; nobody waits for that.
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    child.stdin.on('error', () => {
      // A program need not read what it is given.
    });
    child.stdin.end(call.stdin);
    child.stdout.on('data', (chunk: Buffer) => {
      outputBytes += chunk.length;
      if (outputBytes > MOST_OUTPUT_BYTES) cutShort({ kind: 'too-long' });
      else stdout.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      if (errorBytes < MOST_ERROR_BYTES) stderr.push(chunk.subarray(0, MOST_ERROR_BYTES - errorBytes));
      errorBytes += chunk.length;
    });
    child.once('error', (error) => {
      finish();
      reject(startFailed(path, error));
    });
    child.once('exit', (status, ended) => {
      const answer = (): void => {
        finish();
        const end: IpamEnd =
          cut ??
          (ended === null ? { kind: 'exited', status: status ?? 1 } : { kind: 'signalled', signal: numberOf(ended) });
        resolve({ end, path, stdout: text(stdout), stderr: text(stderr) });
      };
      // What it wrote is in the pipes still; whoever else holds them is not waited for.
      const grace = setTimeout(answer, PIPE_GRACE_MS);
      child.once('close', () => {
        clearTimeout(grace);
        answer();
      });
    });
  });
}

function passedOn(): Record<string, string> {
  return Object.fromEntries(
    PASSED_ON.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // It has just ended by itself.
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'ESRCH') throw error;
  }
}

function numberOf(signal: NodeJS.Signals): number {
  return constants.signals[signal];
}

function text(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8');
}

function startFailed(path: string, cause: Error): BerthError {
  return new BerthError({
    code: 'Io',
    reason: 'ipam-program-failed',
    message: `${path} could not be started: ${cause.message}`,
    remedy: 'Look at the limits of processes and memory of the agent.',
    cause,
  });
}
