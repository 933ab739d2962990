/**
 * Whether the agent lives and whether it is ready, as supervisors ask. Health fails only for what a
 * restart can mend; everything else is readiness, which keeps a bad roll-out from going on and
 * restarts nothing. Running pods are not touched by either.
 */
import { type AgentStatus, offersNothing } from './view.ts';

export interface ProbeCheck {
  readonly name: string;
  readonly ok: boolean;
  /** What is wrong, or what a person may want to know all the same. */
  readonly note?: string;
}

export interface ProbeReport {
  readonly ok: boolean;
  readonly checks: readonly ProbeCheck[];
}

/** A full scan comes every five minutes and a failing one is tried again within a minute (`inventory/live.ts`): two missed scans are no bad luck. */
const STALE_INVENTORY_MS = 10 * 60_000;

/** What an agent has still to do before it serves. */
export type StartStep = 'waiting for another agent to end' | 'starting' | 'recovering attachments' | 'serving';

/**
 * That the process answers at all tells that its event loop runs. `status` is absent during the
 * start, which is slow on a node with much to recover and ends by itself.
 */
export function healthOf(status: AgentStatus | undefined, now: Date): ProbeReport {
  const checks: ProbeCheck[] = [{ name: 'event-loop', ok: true }];
  if (status !== undefined) {
    const { problem, readAt } = status.inventory;
    const isStale = problem !== undefined && now.getTime() - Date.parse(readAt) > STALE_INVENTORY_MS;
    checks.push({
      name: 'inventory',
      ok: !isStale,
      ...(problem === undefined ? {} : { note: `${problem}, read last at ${readAt}` }),
    });
  }
  return reportOf(checks);
}

/** Ready: CNI calls are answered, kubelet listens to what is offered, and something could be offered at all. */
export function readinessOf(step: StartStep, status: AgentStatus | undefined): ProbeReport {
  const checks: ProbeCheck[] = [
    { name: 'start', ok: step === 'serving', ...(step === 'serving' ? {} : { note: step }) },
  ];
  if (status !== undefined) {
    const { brokenSince, problems } = status.configuration;
    checks.push({
      name: 'configuration',
      ok: !offersNothing(status),
      ...(problems.length === 0 ? {} : { note: `broken since ${brokenSince ?? 'the start'}: ${problems[0]}` }),
    });
    const { installation } = status;
    if (installation !== undefined) {
      const { problem } = installation;
      checks.push({ name: 'shim', ok: problem === undefined, ...(problem === undefined ? {} : { note: problem }) });
    }
    for (const { devices, problem, registered, resource } of status.resources) {
      // A resource without a device need not be announced.
      const ok = registered || devices === 0;
      const why = `not registered with kubelet${problem === undefined ? '' : `: ${problem}`}`;
      const note = devices === 0 ? 'no device' : why;
      checks.push({ name: `pool ${resource}`, ok, ...(registered ? {} : { note }) });
    }
  }
  return reportOf(checks);
}

function reportOf(checks: readonly ProbeCheck[]): ProbeReport {
  return { ok: checks.every(({ ok }) => ok), checks };
}
