/** Delays between attempts: doubling from a first one up to a limit. */
export class Backoff {
  readonly #firstMs: number;
  readonly #limitMs: number;
  #nextMs: number;

  constructor(firstMs: number, limitMs: number) {
    this.#firstMs = firstMs;
    this.#limitMs = limitMs;
    this.#nextMs = firstMs;
  }

  /** The delay before the next attempt, in milliseconds. */
  next(): number {
    const delayMs = this.#nextMs;
    this.#nextMs = Math.min(this.#nextMs * 2, this.#limitMs);
    return delayMs;
  }

  /** The last attempt went well for long enough: begin again with the first delay. */
  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}
