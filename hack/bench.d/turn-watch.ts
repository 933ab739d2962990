/**
 * How long work holds the event loop: the processor time that the main thread uses between two
 * turns of the loop. Not the clock's time, which also grows when other processes run: an idle
 * Node.js "holds" its loop for 14 ms while a machine with 2 cores starts programs.
 */

import { checked, declare } from '../../src/linux/ffi/libc.ts';

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

/** linux/time.h */
const CLOCK_THREAD_CPUTIME_ID = 3;
const clockGettime = declare('int clock_gettime(int clock, uint8_t *time)');
/** struct timespec: seconds, nanoseconds. */
const timespec = Buffer.alloc(16);

/** Not `process.threadCpuUsage`, which counts in ticks of the kernel, 4 ms each. */
function threadCpuMs(): number {
  checked(clockGettime.now(CLOCK_THREAD_CPUTIME_ID, timespec), 'clock.get');
  return Number(timespec.readBigInt64LE(0)) * 1000 + Number(timespec.readBigInt64LE(8)) / 1e6;
}
