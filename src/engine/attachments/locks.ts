/**
 * Mutexes by key, first come first served. The engine takes them in one order, attachment, device,
 * IPAM network, so that no two operations can wait for each other.
 */
import { interrupted } from '../cancellation.ts';

/** Gives the lock back; calling it twice is a bug and throws. */
export type Release = () => void;

export class KeyedMutex {
  readonly #queues = new Map<string, (() => void)[]>();
  readonly #what: string;

  /** `what` names the kind of key in messages (`attachment`, `device`). */
  constructor(what: string) {
    this.#what = what;
  }

  /** Waits for its turn; throws `Interrupted` when the signal aborts first. */
  async acquire(key: string, signal: AbortSignal): Promise<Release> {
    if (signal.aborted) throw interrupted(signal, `waiting for ${this.#what} ${key}`);
    const queue = this.#queues.get(key);
    if (queue === undefined) {
      this.#queues.set(key, []);
      return this.#releaser(key);
    }
    await new Promise<void>((resolve, reject) => {
      const turn = (): void => {
        signal.removeEventListener('abort', abandon);
        resolve();
      };
      const abandon = (): void => {
        queue.splice(queue.indexOf(turn), 1);
        reject(interrupted(signal, `waiting for ${this.#what} ${key}`));
      };
      queue.push(turn);
      signal.addEventListener('abort', abandon, { once: true });
    });
    return this.#releaser(key);
  }

  /** Whether somebody has the lock now. */
  isHeld(key: string): boolean {
    return this.#queues.has(key);
  }

  /** Runs `work` while holding the lock. */
  async run<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const release = await this.acquire(key, signal);
    try {
      return await work();
    } finally {
      release();
    }
  }

  #releaser(key: string): Release {
    let held = true;
    return () => {
      if (!held) throw new Error(`${this.#what} ${key} was released twice`);
      held = false;
      const queue = this.#queues.get(key);
      const next = queue?.shift();
      if (next === undefined) this.#queues.delete(key);
      else next();
    };
  }
}
