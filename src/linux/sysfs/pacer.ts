/**
 * Cuts long synchronous work into short slices. Small sysfs reads are several times cheaper
 * synchronously than through the thread pool, but two thousand devices in one go would hold the
 * event loop for most of a second.
 */

/** The slices of one piece of work. */
export interface Pacer {
  /** True when the slice is used up: `if (pacer.due()) await pacer.pause()` costs nothing in between. */
  due(): boolean;
  /**
   * Lets everything else run and begins a new slice. Of several that pause, one goes on per turn of
   * the event loop. Throws the signal's reason when it is aborted.
   */
  pause(): Promise<void>;
}

const SLICE_MS = 4;

/** A first slice begins now. `signal` ends the work at its next pause. */
export function createPacer(signal?: AbortSignal, sliceMs: number = SLICE_MS): Pacer {
  const waiting: (() => void)[] = [];
  let start = performance.now();
  const turn = (): void => {
    start = performance.now();
    waiting.shift()?.();
    if (waiting.length > 0) setImmediate(turn);
  };
  return {
    due: () => performance.now() - start >= sliceMs,
    pause: async () => {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        if (waiting.length === 1) setImmediate(turn);
      });
      signal?.throwIfAborted();
    },
  };
}
