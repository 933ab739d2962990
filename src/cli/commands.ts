/** Bodies of `status`, `attachments`, `plan`, `explain` and `lint`. Each resolves with its exit status. */
import type { AttachmentSummary } from '../engine/attachments/model.ts';
import { BerthError } from '../engine/errors.ts';
import type { Plan, PoolState, UnusedDevice } from '../engine/pools/model.ts';
import { type AgentStatus, type ConfigProblem, describeProblem, type Explanation, isError } from '../engine/view.ts';
import type { Output, ProgramDeps } from './port.ts';
import { renderAttachments, renderExplanation, renderPlan, renderStatus } from './status-output.ts';
import { printable } from './table.ts';

interface AgentQuery {
  readonly output: string;
  readonly runDir: string;
}

interface NodeQuery extends AgentQuery {
  readonly root: string;
  readonly file?: string;
}

export function statusCommand(deps: ProgramDeps) {
  return async ({ output, runDir }: AgentQuery): Promise<number> => {
    const status = await deps.agent<AgentStatus>(runDir, '/v1/status');
    print(deps.output, output, status, () => renderStatus(status, deps.output.now()));
    return 0;
  };
}

export function attachmentsCommand(deps: ProgramDeps) {
  return async ({ output, runDir }: AgentQuery): Promise<number> => {
    const attachments = await deps.agent<readonly AttachmentSummary[]>(runDir, '/v1/attachments');
    print(deps.output, output, { attachments }, () => renderAttachments(attachments, deps.output.now()));
    return 0;
  };
}

export function planCommand(deps: ProgramDeps) {
  return async ({ output, runDir, root, file }: NodeQuery): Promise<number> => {
    const running = await fromRunningAgent<Plan>(deps, { runDir, root, file }, '/v1/plan');
    const plan = running === undefined ? await deps.node.plan(root, file) : { ...running, problems: [] };
    report(deps.output, plan.problems, file);
    print(deps.output, output, planDocument(plan), () => renderPlan(plan));
    return plan.problems.some(isError) ? 1 : 0;
  };
}

interface PlanDocument {
  readonly pools: readonly {
    readonly resource: string;
    readonly kind: string;
    readonly devices: PoolState['devices'];
  }[];
  readonly unused: readonly UnusedDevice[];
  readonly problems: readonly ConfigProblem[];
}

/** The stable shape of `plan -o json`. */
function planDocument(plan: Plan & { readonly problems: readonly ConfigProblem[] }): PlanDocument {
  const pools = plan.pools.map(({ spec, devices }) => ({ resource: spec.resource, kind: spec.kind, devices }));
  return { pools, unused: plan.unused, problems: plan.problems };
}

export function explainCommand(deps: ProgramDeps) {
  return async (device: string, { output, runDir, root, file }: NodeQuery): Promise<number> => {
    const path = `/v1/explain?device=${encodeURIComponent(device)}`;
    const running = await fromRunningAgent<Explanation>(deps, { runDir, root, file }, path);
    const explanation = running ?? (await deps.node.explain(root, file, device));
    print(deps.output, output, explanation, () => renderExplanation(explanation, deps.output.now()));
    return 0;
  };
}

export function lintCommand(deps: ProgramDeps) {
  return async ({ output, file }: { readonly output: string; readonly file: string }): Promise<number> => {
    const problems = await deps.node.lint(file);
    if (output === 'json') print(deps.output, output, { problems }, () => '');
    else if (problems.length === 0) deps.output.err(`${file}: no problems\n`);
    else for (const problem of problems) deps.output.out(`${printable(describeProblem(file, problem))}\n`);
    return problems.some(isError) ? 1 : 0;
  };
}

/**
 * The running agent's answer, which knows the pods; `undefined` when a tree or a file is asked about,
 * or when no agent runs (then it says so).
 */
export async function fromRunningAgent<T>(
  deps: ProgramDeps,
  query: { readonly runDir: string; readonly root: string; readonly file?: string | undefined },
  path: string,
): Promise<T | undefined> {
  if (query.root !== '/' || query.file !== undefined) return undefined;
  try {
    return await deps.agent<T>(query.runDir, path);
  } catch (error) {
    if (!(error instanceof BerthError) || (error.reason !== 'agent-away' && error.reason !== 'agent-denied'))
      throw error;
    deps.output.err(`berth: ${error.message}; the node is read directly, pods are unknown\n`);
    return undefined;
  }
}

function print(output: Output, format: string, document: unknown, text: () => string): void {
  output.out(format === 'json' ? `${JSON.stringify(document, undefined, 2)}\n` : text());
}

function report(output: Output, problems: readonly ConfigProblem[], file: string | undefined): void {
  for (const problem of problems) output.err(`${printable(describeProblem(file ?? 'configuration', problem))}\n`);
}
