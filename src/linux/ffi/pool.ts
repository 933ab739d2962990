/**
 * The one queue in front of the thread pool. koffi's asynchronous calls, `fs` and DNS share
 * libuv's threads, and koffi throws above 256 calls in flight: here at most `limit` run, the rest
 * wait first in, first out. A waiting call can be aborted; a running one cannot, the kernel has it.
 *
 * It is not a scheduler: no priorities, no timeouts. To debug: `poolState()` tells what is going on.
 */
import { BerthError } from '../../engine/errors.ts';

/** libuv's own default when UV_THREADPOOL_SIZE is not set (deps/uv/src/threadpool.c). */
const LIBUV_DEFAULT_THREADS = 4;
/** koffi's `max_async_calls` is 256; calls outside this queue need room too. */
const MOST = 200;

interface Waiting {
  run(): void;
}

const waiting = new Set<Waiting>();
let running = 0;
let limit: number | undefined;

/**
 * How many calls may be in flight for a pool of so many threads: some stay free for `fs`, more
 * when there are many, and one always runs.
 */
export function inFlightLimit(threads: number): number {
  const reserve = threads >= 16 ? 4 : 1;
  return Math.max(1, Math.min(MOST, threads - reserve));
}

function currentLimit(): number {
  if (limit === undefined) {
    const asked = Number(process.env.UV_THREADPOOL_SIZE);
    limit = inFlightLimit(Number.isInteger(asked) && asked > 0 ? asked : LIBUV_DEFAULT_THREADS);
  }
  return limit;
}

/** What the pool does now, for status and metrics. */
export function poolState(): { readonly running: number; readonly waiting: number; readonly limit: number } {
  return { running, waiting: waiting.size, limit: currentLimit() };
}

function interrupted(signal: AbortSignal): BerthError {
  return new BerthError({
    code: 'Interrupted',
    reason: 'cancelled',
    message: 'cancelled while waiting for a thread; the kernel was not asked',
    cause: signal.reason,
  });
}

function next(): void {
  for (const call of waiting) {
    if (running >= currentLimit()) return;
    waiting.delete(call);
    call.run();
  }
}

/**
 * Runs `start` when a thread is free for it. Rejects with `Interrupted` when `signal` aborts before
 * that; afterwards the signal has no effect.
 */
export function inPool<T>(start: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal?.aborted) return Promise.reject(interrupted(signal));
  return new Promise<T>((done, fail) => {
    const leave = (): void => {
      running -= 1;
      next();
    };
    const call: Waiting = {
      run() {
        signal?.removeEventListener('abort', onAbort);
        running += 1;
        try {
          start().finally(leave).then(done, fail);
        } catch (error) {
          leave();
          fail(error);
        }
      },
    };
    const onAbort = (): void => {
      waiting.delete(call);
      if (signal !== undefined) fail(interrupted(signal));
    };
    if (running < currentLimit()) {
      call.run();
      return;
    }
    signal?.addEventListener('abort', onAbort, { once: true });
    waiting.add(call);
  });
}
