/**
 * The virtual machine that `*.lab.ts` files run in: booted once for all of them, stopped at the end
 * and also when the runner dies (`--owner-pid`). What the lab is: docs/lab.md.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { CommandFor } from './execute.ts';

/** How long a machine that works may take for a program that does nothing. */
const ANSWER_LIMIT_S = '20';

export class Lab {
  readonly #program: string;
  readonly #name = `test-${process.pid}`;
  readonly #child: string;

  constructor(checkout: string) {
    this.#program = join(checkout, 'hack/lab');
    this.#child = join(import.meta.dirname, 'child.ts');
  }

  /** Boots it, with two NICs on two NUMA nodes and no VF; what it says appears on standard error. */
  async start(): Promise<void> {
    await this.#run(['start', '--name', this.#name, '--owner-pid', String(process.pid)]);
  }

  async stop(): Promise<void> {
    await this.#run(['stop', '--name', this.#name]);
  }

  /** Whether it still runs programs. An emulated machine can lose the interrupt of its clock, and stands still then. */
  async answers(): Promise<boolean> {
    try {
      await this.#run(['exec', '--name', this.#name, '--timeout', ANSWER_LIMIT_S, '--', 'true']);
      return true;
    } catch {
      return false;
    }
  }

  /** Starts a test file inside; ends it there too when it takes longer than the limit. */
  commandFor(limitMs: number): CommandFor {
    const timeout = String(Math.ceil(limitMs / 1000));
    return (path, variables) => ({
      program: this.#program,
      args: [
        ...['exec', '--name', this.#name, '--timeout', timeout],
        ...Object.entries(variables).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
        ...['--', process.execPath, this.#child, path],
      ],
      environment: {},
    });
  }

  #run(args: readonly string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const child = spawn(this.#program, args, { stdio: ['ignore', 2, 2] });
      child.once('error', reject);
      child.once('close', (code, signal) => {
        if (code === 0) resolve();
        else reject(new Error(`hack/lab ${args[0]} ended with ${signal ?? `status ${code}`}`));
      });
    });
  }
}
