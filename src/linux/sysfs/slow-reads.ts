/**
 * Files whose reading may wait: `speed` takes the RTNL lock and may ask firmware, `vpd` is a slow
 * serial bus. They are read on the thread pool, few at a time, and a scan does not wait for them
 * beyond its deadline: a wedged driver costs a note, not the inventory. An answer that comes late
 * is announced, and kept for a moment for the scan that this leads to.
 */

/** Slow reads of one scan, which share a deadline. */
export interface SlowReads {
  /**
   * Runs `read` when a slot is free. Throws a `SlowReadError` when it has not answered by the
   * deadline; it goes on then, calls `onLate` when it has answered, and until then its path is not
   * read again.
   */
  read<T>(path: string, read: () => Promise<T>, onLate?: () => void): Promise<T>;
}

/** A file has not answered in time; its message is what `unread` says. */
export class SlowReadError extends Error {
  override readonly name = 'SlowReadError';
}

/** Long enough for the scan that follows the announcement, too short to hide a change. */
const KEPT_MS = 500;

/** Slots for slow files, shared by all scans of a reader: the thread pool has other work. */
export class SlowSlots {
  /** Reads that have missed their deadline and not answered yet. */
  readonly #late = new Set<string>();
  readonly #kept = new Map<string, { readonly value: unknown; readonly untilMs: number }>();
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(slots = 3) {
    this.#free = slots;
  }

  /** Reads of one scan, which together have `deadlineMs` from now. */
  scan(deadlineMs: number): SlowReads {
    const deadline = performance.now() + deadlineMs;
    return { read: (path, read, onLate) => this.#read(path, deadline, read, onLate) };
  }

  async #read<T>(path: string, deadline: number, read: () => Promise<T>, onLate: (() => void) | undefined): Promise<T> {
    const kept = this.#kept.get(path);
    this.#kept.delete(path);
    // Kept under the same path by the same reader, so it is of the same type.
    if (kept !== undefined && kept.untilMs > performance.now()) return kept.value as T;
    if (this.#late.has(path)) throw new SlowReadError('an earlier read has not answered yet');
    const answer = this.#inSlot(read);
    return await new Promise<T>((resolve, reject) => {
      const timer = setTimeout(
        () => {
          this.#late.add(path);
          const ended = () => this.#late.delete(path);
          answer.then((value) => {
            ended();
            this.#kept.set(path, { value, untilMs: performance.now() + KEPT_MS });
            onLate?.();
          }, ended);
          reject(new SlowReadError('took too long'));
        },
        Math.max(0, deadline - performance.now()),
      );
      answer.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  async #inSlot<T>(read: () => Promise<T>): Promise<T> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#free -= 1;
    try {
      return await read();
    } finally {
      // Handed over directly, so that nobody slips in between.
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
