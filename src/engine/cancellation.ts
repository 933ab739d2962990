/** Turns an aborted signal into the engine's own error. Looked at between steps, never inside one. */
import { BerthError } from './errors.ts';

/** Throws `Interrupted` when the signal has aborted: `deadline-exceeded` for a timeout, else `operation-cancelled`. */
export function checkpoint(signal: AbortSignal, what: string): void {
  if (!signal.aborted) return;
  throw interrupted(signal, what);
}

/** The error of an operation whose signal aborted while it was at `what`. */
export function interrupted(signal: AbortSignal, what: string): BerthError {
  const reason: unknown = signal.reason;
  if (reason instanceof BerthError) return reason;
  const timedOut = reason instanceof Error && reason.name === 'TimeoutError';
  return new BerthError({
    code: 'Interrupted',
    reason: timedOut ? 'deadline-exceeded' : 'operation-cancelled',
    message: `${timedOut ? 'the deadline passed' : 'the operation was cancelled'} at ${what}`,
    remedy: 'What had been done is undone; the runtime tries again.',
    ...(reason === undefined ? {} : { cause: reason }),
  });
}

export interface TimeLimit {
  /** Aborts with the outer signal, for its reason, or when the time is over. */
  readonly signal: AbortSignal;
  /** Ends the clock and lets go of the outer signal. */
  end(): void;
}

/**
 * A limit in time on top of another signal. Not `AbortSignal.any` and `timeout`, which cost more than
 * a quick request does and cannot be ended: each would make an exception long after its request.
 */
export function limitTime(outer: AbortSignal, limitMs: number, expired: () => BerthError): TimeLimit {
  const limit = new AbortController();
  const forward = (): void => limit.abort(outer.reason);
  if (outer.aborted) forward();
  else outer.addEventListener('abort', forward, { once: true });
  const timer = setTimeout(() => limit.abort(expired()), limitMs);
  return {
    signal: limit.signal,
    end: () => {
      clearTimeout(timer);
      outer.removeEventListener('abort', forward);
    },
  };
}
