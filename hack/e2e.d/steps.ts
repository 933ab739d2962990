/** How a run is told: one line a step, and at the end what did not hold. */
import { setTimeout as delay } from 'node:timers/promises';

export class Steps {
  readonly #write: (text: string) => void;
  #failed = 0;
  #done = 0;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** Runs the step; a failure is told and thrown on. */
  async run<T>(what: string, body: () => Promise<T>): Promise<T> {
    const started = Date.now();
    try {
      const value = await body();
      this.#done++;
      this.#write(`ok      ${what} (${((Date.now() - started) / 1000).toFixed(1)} s)\n`);
      return value;
    } catch (error) {
      this.#failed++;
      this.#write(`FAILED  ${what}: ${error instanceof Error ? error.message : String(error)}\n`);
      throw error;
    }
  }

  note(text: string): void {
    this.#write(`        ${text.replaceAll('\n', '\n        ')}\n`);
  }

  /** The last line, and the exit status. */
  end(): number {
    this.#write(`${this.#done} passed, ${this.#failed} failed\n`);
    return this.#failed === 0 ? 0 : 1;
  }
}

/** Asks until the answer is not `undefined`. `why` says, after too long, what was seen last. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  ask: () => Promise<T | undefined>,
  why: () => string = () => '',
): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(`waited ${timeoutMs / 1000} s for ${what}${why()}`);
    await delay(500);
  }
}
