/**
 * Holds back a device that comes and goes: kubelet would give it to a pod in one of its good
 * moments. A device that fails is unhealthy at once; one that is good again is offered at once, too,
 * unless it failed before within a minute: then it must have been good for the pool's hold-down.
 * To debug: the reason in `berth plan` tells since when it is good and until when it is held.
 */
import type { Clock } from '../clock.ts';
import type { HealthCause, PoolDevice, PoolState } from './model.ts';

/** Failures further back say nothing about now. */
const WINDOW_MS = 60_000;
const DEFAULT_HOLD_DOWN_S = 10;
/** What comes and goes with the hardware. */
const DAMPED: ReadonlySet<HealthCause> = new Set(['link', 'driver', 'reset', 'misplaced']);

interface History {
  /** When it failed, within the window, oldest first. */
  failures: readonly number[];
  /** The last failure. */
  readonly cause: HealthCause;
  readonly reason: string;
  /** Since when it is good again; absent while it is not. */
  goodSince?: number;
}

interface HeldBack {
  readonly cause: HealthCause;
  readonly reason: string;
  readonly leftMs: number;
}

export class Damping {
  readonly #clock: Clock;
  /** By resource and by what fails as one: a function, or an uplink with all its slots. */
  readonly #histories = new Map<string, History>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The states with flapping devices held back, and in how many milliseconds one of them is to be let go. */
  apply(states: readonly PoolState[]): { readonly states: readonly PoolState[]; readonly nextMs: number | undefined } {
    const now = this.#clock.now().getTime();
    this.#forget(now);
    let nextMs: number | undefined;
    const damped = states.map((state) => {
      const holdDownMs = (state.spec.health.holdDownS ?? DEFAULT_HOLD_DOWN_S) * 1000;
      const held = new Map<string, HeldBack | undefined>();
      const devices = state.devices.map((device) => {
        const unit = device.uplink ?? device.id;
        if (!held.has(unit)) held.set(unit, this.#judge(`${state.spec.resource} ${unit}`, device, holdDownMs, now));
        const hold = held.get(unit);
        return hold === undefined ? device : { ...device, healthy: false, reason: hold.reason, cause: hold.cause };
      });
      const holds = [...held.values()].filter((hold) => hold !== undefined);
      nextMs = holds.reduce((least, { leftMs }) => Math.min(least ?? leftMs, leftMs), nextMs);
      return holds.length === 0 ? state : { ...state, devices };
    });
    return { states: damped, nextMs };
  }

  /** Notes how the device is, and answers why it is held back though it is good. */
  #judge(key: string, device: PoolDevice, holdDownMs: number, now: number): HeldBack | undefined {
    const history = this.#histories.get(key);
    if (!device.healthy) {
      if (device.cause !== undefined && DAMPED.has(device.cause))
        this.#fail(key, device.cause, device.reason ?? '', now);
      return undefined;
    }
    if (history === undefined) return undefined;
    history.goodSince ??= now;
    const until = history.goodSince + holdDownMs;
    if (history.failures.length < 2 || until <= now) return undefined;
    const { cause, failures, reason } = history;
    return {
      cause,
      reason: `it failed ${failures.length} times within a minute, at last because ${reason}; it is good again and is offered at ${clockTime(until)} if it stays so`,
      leftMs: until - now,
    };
  }

  #fail(key: string, cause: HealthCause, reason: string, now: number): void {
    const before = this.#histories.get(key);
    const isNew = before === undefined || before.goodSince !== undefined;
    const failures = isNew ? [...(before?.failures ?? []), now] : before.failures;
    this.#histories.set(key, { failures, cause, reason });
  }

  /** Devices that have been good for the whole window are like new. */
  #forget(now: number): void {
    for (const [key, history] of this.#histories) {
      history.failures = history.failures.filter((at) => now - at < WINDOW_MS);
      const { goodSince } = history;
      if (goodSince !== undefined && now - goodSince >= WINDOW_MS) this.#histories.delete(key);
    }
  }
}

/** `14:05:09Z` */
function clockTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(11, 19)}Z`;
}
