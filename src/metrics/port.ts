/** What the metrics are told and what they ask: wired by src/app, faked by tests. */
import type { AttachmentSummary, LinkKind } from '../engine/attachments/model.ts';
import type { Inventory } from '../engine/inventory/model.ts';
import type { Plan } from '../engine/pools/model.ts';
import type { AgentStatus, CountersView } from '../engine/view.ts';

/** One call of a runtime that has ended. */
export interface CallMeasurement {
  readonly command: string;
  readonly kind?: LinkKind;
  /** 0 for success, else the CNI code. */
  readonly code: number;
  readonly reason?: string;
  /** `parse` includes adopting the sandbox. */
  readonly durationsMs: { readonly parse: number; readonly engine: number; readonly total: number };
}

export interface LoopMeasurement {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Asked at each scrape. */
export interface MetricSources {
  status(): AgentStatus;
  plan(): Plan;
  inventory(): Inventory;
  attachments(): readonly AttachmentSummary[];
  /** May cost a PF some milliseconds for each VF. */
  counters(): Promise<CountersView>;
  /** Since the last time it was asked. */
  loop(): LoopMeasurement;
  /** Of this process; `undefined` where `/proc` does not tell. */
  openFiles(): number | undefined;
}
