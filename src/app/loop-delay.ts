/**
 * How long the event loop was held: the agent's own promise is that it never waits for the kernel.
 * Each turn is measured as it ends, from one wait for events to the next. Nothing wakes the loop for
 * that, which sampling does 50 times a second, and no turn is missed, however short.
 */
import { createHistogram, type EventLoopUtilization, performance } from 'node:perf_hooks';

const NS_PER_MS = 1e6;

export class LoopDelay {
  readonly #turnsNs = createHistogram();
  #maxMs = 0;
  #lapMaxMs = 0;
  #last: EventLoopUtilization = performance.eventLoopUtilization();
  #immediate: NodeJS.Immediate;

  constructor() {
    this.#immediate = this.#atEndOfTurn();
  }

  /** The longest turn since this was made, in milliseconds. */
  get maxMs(): number {
    return this.#maxMs;
  }

  /** Turns since the last call of this, in milliseconds. */
  lap(): { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number } {
    const hasTurns = this.#turnsNs.count > 0;
    const percentile = (percent: number): number => (hasTurns ? this.#turnsNs.percentile(percent) / NS_PER_MS : 0);
    const lap = { p50Ms: percentile(50), p99Ms: percentile(99), maxMs: this.#lapMaxMs };
    this.#turnsNs.reset();
    this.#lapMaxMs = 0;
    return lap;
  }

  stop(): void {
    clearImmediate(this.#immediate);
  }

  /** An immediate runs behind the events of a turn; one without a reference does not keep the loop from waiting. */
  #atEndOfTurn(): NodeJS.Immediate {
    return setImmediate(() => {
      const now = performance.eventLoopUtilization();
      const heldMs = now.active - this.#last.active;
      this.#last = now;
      this.#turnsNs.record(Math.max(1, Math.round(heldMs * NS_PER_MS)));
      this.#lapMaxMs = Math.max(this.#lapMaxMs, heldMs);
      this.#maxMs = Math.max(this.#maxMs, heldMs);
      this.#immediate = this.#atEndOfTurn();
    }).unref();
  }
}
