/**
 * A first-in, first-out queue of asynchronous calls, of which a limited number run at once. It is
 * not a scheduler: no priorities, no time limits. A waiting call can be aborted, a running one not.
 */
import { BerthError } from '../../engine/errors.ts';

export interface QueueState {
  readonly running: number;
  readonly waiting: number;
  readonly limit: number;
}

export class BoundedQueue {
  readonly #limit: () => number;
  readonly #waiting = new Set<() => void>();
  #running = 0;

  /** `limit` is asked at each call; at least 1. */
  constructor(limit: () => number) {
    this.#limit = limit;
  }

  state(): QueueState {
    return { running: this.#running, waiting: this.#waiting.size, limit: this.#limit() };
  }

  /**
   * Calls `start` in its turn. Rejects with `Interrupted` when `signal` aborts before that;
   * afterwards the signal has no effect.
   */
  run<T>(start: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (signal?.aborted) return Promise.reject(interrupted(signal));
    if (this.#running < this.#limit()) return this.#start(start);
    return new Promise<T>((done, fail) => {
      const begin = (): void => {
        signal?.removeEventListener('abort', onAbort);
        this.#start(start).then(done, fail);
      };
      const onAbort = (): void => {
        this.#waiting.delete(begin);
        if (signal !== undefined) fail(interrupted(signal));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(begin);
    });
  }

  async #start<T>(start: () => Promise<T>): Promise<T> {
    this.#running += 1;
    try {
      return await start();
    } finally {
      this.#running -= 1;
      const [next] = this.#waiting;
      if (next !== undefined && this.#running < this.#limit()) {
        this.#waiting.delete(next);
        next();
      }
    }
  }
}

function interrupted(signal: AbortSignal): BerthError {
  return new BerthError({
    code: 'Interrupted',
    reason: 'cancelled',
    message: 'cancelled while waiting for a thread; the kernel was not asked',
    cause: signal.reason,
  });
}
