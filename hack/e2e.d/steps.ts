/** How a run is told: one line a step, notes below it, and at the end what did not hold. */
import { setTimeout as delay } from 'node:timers/promises';

const ASK_AGAIN_MS = 250;

export class Steps {
  readonly #write: (text: string) => void;
  readonly #timeoutMs: number;
  #failed = 0;
  #done = 0;
  #interrupted: string | undefined;
  #cleaning = false;

  /** `timeoutMs` is for each thing that is waited for. */
  constructor(write: (text: string) => void, timeoutMs: number) {
    this.#write = write;
    this.#timeoutMs = timeoutMs;
  }

  /** Whoever waits stops waiting, and no further step begins, until {@link beginCleanUp}. */
  interrupt(why: string): void {
    this.#interrupted = why;
  }

  get isInterrupted(): boolean {
    return this.#interrupted !== undefined;
  }

  get hasFailed(): boolean {
    return this.#failed > 0;
  }

  /** From here on steps run to their end: what was made is taken away, also after an interruption. */
  beginCleanUp(): void {
    this.#cleaning = true;
  }

  get isCleaning(): boolean {
    return this.#cleaning;
  }

  /** Runs the step; a failure is told and thrown on. */
  async run<T>(what: string, body: () => Promise<T>): Promise<T> {
    this.#stopIfInterrupted();
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
    this.#write(`        ${text.trimEnd().replaceAll('\n', '\n        ')}\n`);
  }

  /** Asks until the answer is not `undefined`. `why` says, after too long, what was seen last. */
  async until<T>(what: string, ask: () => Promise<T | undefined>, why: () => string = () => ''): Promise<T> {
    const end = Date.now() + this.#timeoutMs;
    for (;;) {
      this.#stopIfInterrupted();
      const answer = await ask();
      if (answer !== undefined) return answer;
      if (Date.now() > end) throw new Error(`waited ${this.#timeoutMs / 1000} s for ${what}${why()}`);
      await delay(ASK_AGAIN_MS);
    }
  }

  /** The last line, and the exit status. */
  end(): number {
    this.#write(`${this.#done} passed, ${this.#failed} failed\n`);
    if (this.isInterrupted) return 130;
    return this.#failed === 0 ? 0 : 1;
  }

  #stopIfInterrupted(): void {
    if (this.#interrupted !== undefined && !this.#cleaning) throw new Error(`stopped: ${this.#interrupted}`);
  }
}
