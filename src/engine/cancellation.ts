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
