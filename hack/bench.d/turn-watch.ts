/**
 * How long work holds the event loop: the processor time that the main thread uses between two
 * turns of the loop. Not the clock's time, which also grows when other processes run: an idle
 * Node.js "holds" its loop for 14 ms while a machine with 2 cores starts programs.
 */

/** Runs `work` and answers the longest turn meanwhile, in milliseconds of the main thread's processor time. */
export async function longestTurnMs(work: () => Promise<void>): Promise<number> {
  let longest = 0;
  let last = threadCpuMs();
  let running = true;
  const tick = (): void => {
    const now = threadCpuMs();
    longest = Math.max(longest, now - last);
    last = now;
    if (running) setImmediate(tick);
  };
  setImmediate(tick);
  try {
    await work();
  } finally {
    running = false;
  }
  tick();
  return longest;
}

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
