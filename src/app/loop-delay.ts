/** How long the event loop was held: the agent's own promise is that it never waits for the kernel. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Node samples at this interval; a delay is what a sample came later than it. */
const RESOLUTION_MS = 20;

export class LoopDelay {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  #maxMs = 0;

  constructor() {
    this.#histogram.enable();
  }

  /** The longest delay since this was made, in milliseconds. */
  get maxMs(): number {
    return Math.max(this.#maxMs, delayOf(this.#histogram.max));
  }

  /** Delays since the last call of this, in milliseconds. */
  lap(): { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number } {
    const { max } = this.#histogram;
    const lap = {
      p50Ms: delayOf(this.#histogram.percentile(50)),
      p99Ms: delayOf(this.#histogram.percentile(99)),
      maxMs: delayOf(max),
    };
    this.#maxMs = Math.max(this.#maxMs, lap.maxMs);
    this.#histogram.reset();
    return lap;
  }

  stop(): void {
    this.#histogram.disable();
  }
}

/** From the nanoseconds between two samples. */
function delayOf(sampleNs: number): number {
  return Math.max(0, sampleNs / 1e6 - RESOLUTION_MS);
}
