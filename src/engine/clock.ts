/**
 * Time as the engine sees it: injected, so that back-off and read-back loops run without waiting in
 * tests. Not a scheduler, and not for measuring.
 */
export interface Clock {
  now(): Date;
  /** Resolves after `ms`, or at once when the signal aborts: the caller looks at the signal itself. */
  delay(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The real clock. A pending delay does not keep the process alive. */
export const systemClock: Clock = {
  now: () => new Date(),
  delay: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      timer.unref();
      signal?.addEventListener('abort', done, { once: true });
    }),
};
