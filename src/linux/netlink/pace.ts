/**
 * Which thread a request is sent on. The kernel does a request's work inside `send`, and most work
 * takes RTNL, the kernel's one lock for links, addresses and routes. A hop to a thread and back
 * costs more than a quick request takes, and waiting for RTNL on the event loop holds up everything.
 * So quick requests are sent where they are, as long as RTNL has been free: no slow request of ours
 * is under way, and the last one sent here did not take long. When one did, whoever held it, all go
 * to the pool for a while: the loop is held at most once in that time.
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

/** What a request sent here takes at most when nobody holds RTNL, with much to spare. */
const QUICK_MS = 2;
/**
 * The same as a multiple of what a lock-free request takes, for slow machines: a hop takes longer there
 * too. A new link takes ten to twenty times as long.
 */
const QUICK_FACTOR = 50;
/** The quickest of so many lock-free requests counts: any one may have been interrupted. */
const MOST_SAMPLES = 8;
const BACK_OFF_MS = 100;

/** The slowest of them. */
export function slowest(paces: readonly Pace[]): Pace {
  return ORDER[Math.max(0, ...paces.map((pace) => ORDER.indexOf(pace)))] ?? 'slow';
}

/** One for all sockets, because RTNL is one for the whole kernel. */
export class SendPace {
  readonly #nowMs: () => number;
  #operations = 0;
  #slow = 0;
  #busyUntilMs = 0;
  readonly #lockFreeMs: number[] = [];

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
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
    if (pace === 'lock-free') return this.#sampled(here);
    if (pace === 'slow') return this.#counted(pooled);
    if (pace === 'patient') return pooled();
    const startMs = this.#nowMs();
    if (this.#slow > 0 || startMs < this.#busyUntilMs || (pace === 'change' && this.#operations > 1)) return pooled();
    const result = here();
    const endMs = this.#nowMs();
    if (endMs - startMs > this.#quickMs()) this.#busyUntilMs = endMs + BACK_OFF_MS;
    return result;
  }

  #quickMs(): number {
    return Math.max(QUICK_MS, this.#lockFreeMs.length === 0 ? 0 : QUICK_FACTOR * Math.min(...this.#lockFreeMs));
  }

  #sampled(here: () => number): number {
    const startMs = this.#nowMs();
    const result = here();
    this.#lockFreeMs.push(this.#nowMs() - startMs);
    if (this.#lockFreeMs.length > MOST_SAMPLES) this.#lockFreeMs.shift();
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
