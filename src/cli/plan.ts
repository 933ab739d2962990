/** Body of `berth plan`: what a configuration gives on this node, and what it changes. */
import type { AttachmentSummary } from '../engine/attachments/model.ts';
import type { Plan } from '../engine/pools/model.ts';
import {
  type AgentStatus,
  type DeviceAllocation,
  describeProblem,
  type InventoryView,
  isError,
} from '../engine/view.ts';
import { fromRunningAgent } from './commands.ts';
import { documentText } from './document.ts';
import { renderPlan } from './plan-output.ts';
import type { PlanAnswer, ProgramDeps, RunningAgent } from './port.ts';
import { runsInstead } from './status-output.ts';
import { printable } from './table.ts';

/** Options of the command. */
export interface PlanOptions {
  readonly output: string;
  readonly runDir: string;
  readonly root: string;
  readonly file?: string;
  readonly against?: string;
  readonly resourcePrefix?: string;
}

/** Exits 1 when the file cannot be used. */
export function planCommand(deps: ProgramDeps) {
  return async (options: PlanOptions): Promise<number> => {
    const running = options.against === undefined ? await runningAgent(deps, options) : undefined;
    const answer = await deps.node.plan({
      ...questionOf(options, running),
      ...(running === undefined ? {} : { running }),
    });
    report(deps, answer, options.file ?? 'configuration');
    const isBroken = answer.problems.some(isError);
    if (isBroken) deps.output.err('berth: the file cannot be used, and an agent would go on with what it has\n');
    deps.output.out(documentText(answer, options.output) ?? (isBroken ? '' : textOf(answer, options)));
    return isBroken ? 1 : 0;
  };
}

function questionOf({ against, file, resourcePrefix, root }: PlanOptions, running: RunningAgent | undefined) {
  const prefix = resourcePrefix ?? (file === undefined ? undefined : running?.resourcePrefix);
  return {
    root,
    ...(file === undefined ? {} : { file }),
    ...(against === undefined ? {} : { against }),
    ...(prefix === undefined ? {} : { resourcePrefix: prefix }),
  };
}

function textOf(answer: PlanAnswer, { against, output }: PlanOptions): string {
  return renderPlan(answer, output === 'wide' ? 'wide' : 'table', against);
}

function report(deps: ProgramDeps, { problems }: PlanAnswer, file: string): void {
  for (const problem of problems) deps.output.err(`${printable(describeProblem(file, problem))}\n`);
}

/** What the agent of this node knows; `undefined` for a tree, or when none runs, which it says. */
export async function runningAgent(
  deps: ProgramDeps,
  { root, runDir }: { readonly root: string; readonly runDir: string },
): Promise<RunningAgent | undefined> {
  const query = { runDir, root };
  const status = await fromRunningAgent<AgentStatus>(deps, query, '/v1/status');
  if (status === undefined) return undefined;
  const [plan, view, attachments, allocations] = await Promise.all([
    deps.agent<Plan>(runDir, '/v1/plan'),
    deps.agent<InventoryView>(runDir, '/v1/inventory'),
    deps.agent<readonly AttachmentSummary[]>(runDir, '/v1/attachments'),
    deps.agent<readonly DeviceAllocation[]>(runDir, '/v1/allocations'),
  ]);
  const { configuration } = status;
  const { problems, resourcePrefix, source } = configuration;
  if (problems.length > 0) {
    const instead = runsInstead(configuration);
    deps.output.err(`berth: the newest ${printable(source)} is broken${instead}; see berth status\n`);
  }
  return {
    plan,
    inventory: view.inventory,
    attachments,
    allocations,
    ...(resourcePrefix === undefined ? {} : { resourcePrefix }),
  };
}
