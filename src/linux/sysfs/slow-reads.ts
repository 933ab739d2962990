/**
 * Files whose reading may wait: `speed` takes the RTNL lock and may ask firmware, `sriov_numvfs`
 * takes the device's lock and waits while VFs are being made, `vpd` is a slow serial bus.
 * They are read on the thread pool, few at a time, and a scan does not wait for them beyond its
 * deadline: a wedged driver costs a note, not the inventory.
 */

/** Slow reads of one scan, which share a deadline. */
export interface SlowReads {
  /**
   * Runs `read` when a slot is free. Throws a `SlowReadError` when it has not answered by the
   * deadline; it is left running then, and its path is not read again before it has ended.
   */
  read<T>(path: string, read: () => Promise<T>): Promise<T>;
}

export class SlowReadError extends Error {
  override readonly name = 'SlowReadError';
}

/** Slots for slow files, shared by all scans of a reader: the thread pool has other work. */
export class SlowSlots {
  readonly #stuck = new Set<string>();
  readonly #waiting = new Set<() => void>();
  #free: number;

  constructor(slots = 3) {
    this.#free = slots;
  }

  /** Reads of one scan, which together have `deadlineMs` from now. */
  scan(deadlineMs: number): SlowReads {
    const deadline = performance.now() + deadlineMs;
    return { read: (path, read) => this.#read(path, deadline, read) };
  }

  async #read<T>(path: string, deadline: number, read: () => Promise<T>): Promise<T> {
    if (this.#stuck.has(path)) throw new SlowReadError('an earlier read has not answered yet');
    await this.#enter(deadline);
    const answer = read().finally(() => {
      this.#stuck.delete(path);
      this.#leave();
    });
    return await by(deadline, answer, () => this.#stuck.add(path));
  }

  async #enter(deadline: number): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    let enter: () => void = () => undefined;
    const turn = new Promise<void>((resolve) => {
      enter = resolve;
    });
    this.#waiting.add(enter);
    await by(deadline, turn, () => this.#waiting.delete(enter));
  }

  /** Hands the slot over directly, so that nobody slips in between. */
  #leave(): void {
    for (const enter of this.#waiting) {
      this.#waiting.delete(enter);
      enter();
      return;
    }
    this.#free += 1;
  }
}

async function by<T>(deadline: number, answer: Promise<T>, onLate: () => void): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const late = () => {
      onLate();
      reject(new SlowReadError('took too long'));
    };
    const timer = setTimeout(late, Math.max(0, deadline - performance.now()));
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
