/**
 * What happens before the metrics are there to be told: their library is loaded only when the agent
 * serves, because nothing may come before registration and recovery. Kept in order, and handed over.
 */
import type { CniObservation } from '../cni/index.ts';
import type { OperationObserver } from '../engine/attachments/observer.ts';
import type { Metrics } from '../metrics/index.ts';

/** More than a recovery of a full node tells; what is beyond is lost, which no counter notices later. */
const MOST = 10_000;

type Told = (metrics: Pick<Metrics, 'called' | 'phase' | 'restored'>) => void;

export class Observations implements OperationObserver {
  #metrics: Pick<Metrics, 'called' | 'phase' | 'restored'> | undefined;
  #early: Told[] = [];

  /** From now on `metrics` is told directly. */
  connect(metrics: Pick<Metrics, 'called' | 'phase' | 'restored'>): void {
    this.#metrics = metrics;
    for (const tell of this.#early.splice(0)) tell(metrics);
  }

  called({ code, command, durationsMs, error, kind }: CniObservation): void {
    const call = { code, command, durationsMs };
    const more = { ...(kind === undefined ? {} : { kind }), ...(error === undefined ? {} : { reason: error.reason }) };
    this.#tell((metrics) => metrics.called({ ...call, ...more }));
  }

  phase(operation: 'add' | 'del', kind: string, phase: string, durationMs: number): void {
    this.#tell((metrics) => metrics.phase(operation, kind, phase, durationMs));
  }

  restored(cause: string, complete: boolean): void {
    this.#tell((metrics) => metrics.restored(cause, complete));
  }

  #tell(told: Told): void {
    if (this.#metrics !== undefined) told(this.#metrics);
    else if (this.#early.length < MOST) this.#early.push(told);
  }
}
