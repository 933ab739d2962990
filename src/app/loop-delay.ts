/** How long the event loop was held: the agent's own promise is that it never waits for the kernel. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Node samples at this interval; a delay is what a sample came later than it. */
const RESOLUTION_MS = 20;

export class LoopDelay {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    this.#histogram.enable();
  }

  /** The longest delay since this was made, in milliseconds. */
  get maxMs(): number {
    return Math.max(0, this.#histogram.max / 1e6 - RESOLUTION_MS);
  }

  stop(): void {
    this.#histogram.disable();
  }
}
