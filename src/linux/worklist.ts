/** What has still to be read, and what was: everything once, whoever wants it and how often. */
export class Worklist<T> {
  readonly #waiting = new Set<T>();
  readonly #begun = new Set<T>();

  /** Has it read; nothing happens when it was begun already. */
  want(item: T): void {
    if (!this.#begun.has(item)) this.#waiting.add(item);
  }

  /** Called by who reads it, before what it says can want anything. */
  begin(item: T): void {
    this.#begun.add(item);
  }

  /** What waits now; what is wanted from here on waits for the next time. */
  take(): readonly T[] {
    const items = [...this.#waiting];
    this.#waiting.clear();
    return items;
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  get begun(): ReadonlySet<T> {
    return this.#begun;
  }
}
