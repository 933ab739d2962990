/**
 * Which thread a request is sent on. The kernel does a request's work inside `send`, and most work
 * takes RTNL, the kernel's one lock for links, addresses and routes. A hop to a thread and back
 * costs more than a quick request takes, and waiting for RTNL on the event loop holds up everything.
 * So quick requests are sent where they are, as long as RTNL has been free: no slow request of ours
 * is under way, and the last one sent here did not wait long. When one did, whoever held it, all go
 * to the pool for a while: the loop is held at most once in that time. Waiting is what the clock says
 * less what the processor did: work of this thread, however slow the machine, is no wait.
 *
 * To debug: `strace -f -e trace=sendto -p PID` shows the thread of each request.
 */

/**
 * - `lock-free`: takes no RTNL.
 * - `quick`: tens of microseconds once RTNL is free.
 * - `change`: some hundred microseconds; worth a thread when there is other work meanwhile.
 * - `patient`: quick, but nobody waits for it, so it never holds the loop, whoever has RTNL.
 * - `slow`: may wait for RCU, a driver or firmware, and holds RTNL meanwhile.
 */
export type Pace = 'lock-free' | 'quick' | 'change' | 'patient' | 'slow';

const ORDER: readonly Pace[] = ['lock-free', 'quick', 'change', 'patient', 'slow'];

/** No request sent here waits so long when nobody holds RTNL, with much to spare. */
const MOST_WAIT_MS = 2;
/** Nor takes so long, on a slow machine either: the kernel waits for a holder that runs by running itself. */
const MOST_MS = 10;
const BACK_OFF_MS = 100;

/** The slowest of them. */
export function slowest(paces: readonly Pace[]): Pace {
  return ORDER[Math.max(0, ...paces.map((pace) => ORDER.indexOf(pace)))] ?? 'slow';
}

/** Of the thread that asks, in milliseconds. */
export interface ThreadClocks {
  nowMs(): number;
  /** For how long a processor has worked for it. */
  processorMs(): number;
}

const systemClocks: ThreadClocks = {
  nowMs: () => performance.now(),
  processorMs: () => {
    const { system, user } = process.threadCpuUsage();
    return (system + user) / 1000;
  },
};

/** One for all sockets, because RTNL is one for the whole kernel. */
export class SendPace {
  readonly #clocks: ThreadClocks;
  #operations = 0;
  #slow = 0;
  #busyUntilMs = 0;

  constructor(clocks: ThreadClocks = systemClocks) {
    this.#clocks = clocks;
  }

  /** Says that an operation begins, such as an ADD. The answer's function says that it has ended. */
  begin(): () => void {
    this.#operations += 1;
    return () => {
      this.#operations -= 1;
    };
  }

  /** Calls `here` or `pooled`, which both do the same system call, and answers its result. */
  run(pace: Pace, here: () => number, pooled: () => Promise<number>): number | Promise<number> {
    if (pace === 'lock-free') return here();
    if (pace === 'slow') return this.#counted(pooled);
    if (pace === 'patient') return pooled();
    const { nowMs, processorMs } = this.#clocks;
    const startMs = nowMs();
    if (this.#slow > 0 || startMs < this.#busyUntilMs || (pace === 'change' && this.#operations > 1)) return pooled();
    const startProcessorMs = processorMs();
    const result = here();
    const endMs = nowMs();
    const tookMs = endMs - startMs;
    const hasWaited = tookMs > MOST_WAIT_MS && tookMs - (processorMs() - startProcessorMs) > MOST_WAIT_MS;
    if (hasWaited || tookMs > MOST_MS) this.#busyUntilMs = endMs + BACK_OFF_MS;
    return result;
  }

  async #counted(pooled: () => Promise<number>): Promise<number> {
    this.#slow += 1;
    try {
      return await pooled();
    } finally {
      this.#slow -= 1;
    }
  }
}

/** That of the program. */
export const rtnlPace: SendPace = new SendPace();
