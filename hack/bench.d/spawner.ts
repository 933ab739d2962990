/**
 * A running `spawn` (spawn.c): hands it batches, and answers what it measured. It is not a clock:
 * every time in here was taken by that program.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** One program to start. Nothing is inherited: `env` is its whole environment. */
export interface Job {
  /** Path of the program, and its arguments. */
  readonly argv: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** A link that has to be gone from a namespace when the job has exited. */
  readonly gone?: { readonly netns: string; readonly ifname: string };
}

/** What happened to one job; times in microseconds. */
export interface JobResult {
  readonly us: number;
  /** -1 when a signal ended it. */
  readonly exit: number;
  /** 0 when it exited by itself. */
  readonly signal: number;
  /** The link of `gone` was still there after the batch's last exit. */
  readonly present: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** What happened to a batch; times in microseconds since its first start. */
export interface BatchResult {
  /** Until the last exit. */
  readonly elapsedUs: number;
  /** Until, besides, every link of `gone` was gone and the kernel free for the next change. */
  readonly settledUs: number;
  /** The deadline had passed and what still ran was killed. */
  readonly timedOut: boolean;
  readonly jobs: readonly JobResult[];
}

/** One `spawn` process. `close` it, or it stays until its parent ends. */
export class Spawner {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #exited: Promise<string>;

  /** `program` is the path of the compiled spawn.c, or of one that becomes it with `args`. */
  constructor(program: string, args: readonly string[] = []) {
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('exit', (code, signal) => resolve(signal ?? `exit status ${code}`));
    });
    // A spawn that has ended is reported by the answer that does not come, with its status.
    this.#child.stdin.on('error', () => undefined);
  }

  /** Starts the jobs all at once; one batch at a time. Throws when `spawn` itself failed (its words are on stderr). */
  async run(jobs: readonly Job[]): Promise<BatchResult> {
    this.#child.stdin.write(encodeBatch(jobs));
    const line = await this.#lines.next();
    if (line.done === true) throw new Error(`the process harness ended: ${await this.#exited}`);
    return JSON.parse(line.value) as BatchResult;
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    await this.#exited;
  }
}

/** A batch as spawn.c reads it: NUL-terminated fields. Throws when a field holds a NUL itself. */
function encodeBatch(jobs: readonly Job[]): string {
  const fields = ['batch', String(jobs.length)];
  for (const job of jobs) {
    const env = Object.entries(job.env ?? {}).map(([name, value]) => `${name}=${value}`);
    fields.push(String(job.argv.length), ...job.argv, String(env.length), ...env, job.stdin ?? '');
    fields.push(job.gone?.netns ?? '', job.gone?.ifname ?? '');
  }
  if (fields.some((field) => field.includes('\0'))) throw new Error('a job holds a NUL byte');
  return `${fields.join('\0')}\0`;
}
