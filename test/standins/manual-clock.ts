/** A clock whose long pauses end only when the test says so; short ones, the waits of a read-back, end at once. */
import type { Clock } from '../../src/engine/clock.ts';

const SHORT_MS = 100;

export class ManualClock implements Clock {
  #now = Date.parse('2026-01-01T00:00:00Z');
  readonly #waiting = new Set<() => void>();

  now(): Date {
    this.#now += 1;
    return new Date(this.#now);
  }

  delay(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve();
    if (ms < SHORT_MS) return new Promise((resolve) => setImmediate(resolve));
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        resolve();
      };
      this.#waiting.add(done);
      signal?.addEventListener('abort', done, { once: true });
    });
  }

  /** Ends every long pause that has begun. */
  tick(): void {
    for (const done of [...this.#waiting]) done();
  }

  get pauses(): number {
    return this.#waiting.size;
  }
}
