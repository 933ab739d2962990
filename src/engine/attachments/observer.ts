/** Who is told how long things took and what was taken back; it must not throw, and not wait. */

export interface OperationObserver {
  /** A part of an operation has ended. */
  phase(operation: 'add' | 'del', kind: string, phase: string, durationMs: number): void;
  /** An attachment was taken back, or could not be as a whole. */
  restored(cause: string, complete: boolean): void;
}

/** Tells the time since the lap before, under a name. */
export type Lap = (phase: string) => void;

const silent: Lap = () => undefined;

/** Laps of one operation, from now on. */
export function lapsOf(observer: OperationObserver | undefined, operation: 'add' | 'del', kind: string): Lap {
  if (observer === undefined) return silent;
  let last = performance.now();
  return (phase) => {
    const now = performance.now();
    observer.phase(operation, kind, phase, now - last);
    last = now;
  };
}
