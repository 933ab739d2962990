/**
 * The one queue in front of the thread pool. koffi's asynchronous calls, `fs` and DNS share
 * libuv's threads, and koffi throws above 256 calls in flight: some threads stay free, the rest of
 * the calls wait their turn. To debug: `poolState()` tells what is going on.
 */
import { BoundedQueue, type QueueState } from './bounded-queue.ts';

/** libuv's own default when UV_THREADPOOL_SIZE is not set (deps/uv/src/threadpool.c). */
const LIBUV_DEFAULT_THREADS = 4;
/** koffi's `max_async_calls` is 256; calls outside this queue need room too. */
const MOST = 200;

/**
 * How many calls may be in flight for a pool of so many threads: some stay free for `fs`, more
 * when there are many, and one always runs.
 */
export function inFlightLimit(threads: number): number {
  const reserve = threads >= 16 ? 4 : 1;
  return Math.max(1, Math.min(MOST, threads - reserve));
}

let limit: number | undefined;

function currentLimit(): number {
  if (limit === undefined) {
    const asked = Number(process.env.UV_THREADPOOL_SIZE);
    limit = inFlightLimit(Number.isInteger(asked) && asked > 0 ? asked : LIBUV_DEFAULT_THREADS);
  }
  return limit;
}

const calls = new BoundedQueue(currentLimit);
const lateCalls = new BoundedQueue(() => Math.max(1, Math.floor(currentLimit() / 4)));

/** What the pool does now, for status and metrics. */
export function poolState(): QueueState {
  return calls.state();
}

/** Runs `start` when a thread is free for it; an abort while it waits rejects with `Interrupted`. */
export function inPool<T>(start: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  return calls.run(start, signal);
}

/** Like `inPool` for slow calls that nobody waits for: together they take a quarter of the threads at most. */
export function inPoolLater<T>(start: () => Promise<T>): Promise<T> {
  return lateCalls.run(() => inPool(start));
}
