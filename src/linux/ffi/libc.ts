/**
 * The C library, loaded through koffi: the only file of the project that knows koffi.
 *
 * It is not an interface to program against: the files beside it declare the functions they need
 * and give them names, types and errors. Loading is lazy (15 ms and 8 MiB, measured), so importing
 * anything from `src/linux` costs nothing until the first system call.
 *
 * Both targets, x64 and arm64 Linux, are little-endian and LP64; structures are laid out so.
 * To debug: every failure carries its errno; `strace -f -p PID` shows the calls themselves.
 */
import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';
import { BerthError } from '../../engine/errors.ts';
import { errorFromErrno } from './errno.ts';
import { inPool, inPoolLater } from './pool.ts';

/** What a C function of ours takes: numbers, buffers (as pointers), text (as `const char *`), null. */
export type Argument = number | bigint | Uint8Array | string | null;

/** A C function whose result is negative on failure. Both forms answer the result, or `-errno`. */
export interface SystemCall {
  /** Calls on this thread: only for what never blocks. */
  now(...args: Argument[]): number;
  /** Calls on a thread of the pool, in its turn. Buffers are kept alive and must not be touched meanwhile. */
  pooled(signal: AbortSignal | undefined, ...args: Argument[]): Promise<number>;
  /** Like `pooled` for slow calls that nobody waits for; they leave most threads to the others. */
  later(...args: Argument[]): Promise<number>;
  /** Calls on a thread of the pool at once, outside the queue: for the rare calls that hold a thread for long. */
  detached(...args: Argument[]): Promise<number>;
}

interface Loaded {
  readonly koffi: typeof Koffi;
  readonly library: Koffi.LibraryHandle;
}

/**
 * Memory that koffi maps for calls: stacks that C code runs on, heaps for text (paths). System calls
 * need little. What is beyond the resident pools is mapped and unmapped at each call, which costs
 * more than the call (32 is koffi's most).
 */
const CALL_MEMORY = {
  sync_stack_size: 64 * 1024,
  sync_heap_size: 64 * 1024,
  async_stack_size: 64 * 1024,
  async_heap_size: 16 * 1024,
  resident_async_pools: 32,
} as const;

let loaded: Loaded | undefined;

function load(): Loaded {
  if (loaded === undefined) {
    try {
      // Not `import`: that would load it with the program, and could not be done synchronously later.
      const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
      koffi.config(CALL_MEMORY);
      loaded = { koffi, library: koffi.load(null) };
    } catch (cause) {
      throw new BerthError({
        code: 'Unsupported',
        reason: 'ffi-unavailable',
        message: `koffi cannot be loaded on ${process.platform}-${process.arch}: ${cause instanceof Error ? cause.message : String(cause)}`,
        remedy: 'Install the production dependencies beside the program; Berth runs on Linux x64 and arm64.',
        cause,
      });
    }
  }
  return loaded;
}

/** koffi hands a buffer's memory to the thread, not a reference to it: whoever calls has to hold it. */
const heldByThreads = new Set<readonly Argument[]>();

/** Declares a function of the C library by its C prototype; it is looked up at its first call. */
export function declare(prototype: string): SystemCall {
  let native: Koffi.KoffiFunc<(...args: Argument[]) => number> | undefined;
  const resolve = (): NonNullable<typeof native> => {
    native ??= load().library.func(prototype) as Koffi.KoffiFunc<(...args: Argument[]) => number>;
    return native;
  };
  const start = (args: readonly Argument[]): Promise<number> => {
    const call = resolve();
    const { koffi } = load();
    return new Promise((done, fail) => {
      heldByThreads.add(args);
      call.async(...args, (error: unknown, result: number) => {
        // koffi restores the call's errno for the time of this callback only.
        const answer = result < 0 ? -koffi.errno() : result;
        heldByThreads.delete(args);
        if (error === null || error === undefined) done(answer);
        else fail(error);
      });
    });
  };
  return {
    now(...args) {
      const result = resolve()(...args);
      return result < 0 ? -load().koffi.errno() : result;
    },
    pooled: (signal, ...args) => inPool(() => start(args), signal),
    later: (...args) => inPoolLater(() => start(args)),
    detached: (...args) => start(args),
  };
}

/** The address of a buffer's memory, for structures that hold pointers; valid while the caller holds the buffer. */
export function addressOf(buffer: Uint8Array): bigint {
  return load().koffi.address(buffer);
}

/** The result, or the `BerthError` that a negative one (`-errno`) stands for. */
export function checked(result: number, op: string, target?: string): number {
  if (result < 0) throw errorFromErrno(-result, op, target === undefined ? {} : { target });
  return result;
}
