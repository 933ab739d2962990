/** Bodies of `status` and `attachments`, and how commands ask the agent. Each resolves with its exit status. */
import type { AttachmentSummary } from '../engine/attachments/model.ts';
import { BerthError } from '../engine/errors.ts';
import { readinessOf } from '../engine/probes.ts';
import type { AgentStatus, DeviceAllocation, InventoryView } from '../engine/view.ts';
import { documentText } from './document.ts';
import type { Output, ProgramDeps } from './port.ts';
import { renderAttachments, renderStatus } from './status-output.ts';
import { printable } from './table.ts';

interface AgentQuery {
  readonly output: string;
  readonly runDir: string;
}

interface StatusQuery extends AgentQuery {
  readonly exitCode?: boolean;
}

export function statusCommand(deps: ProgramDeps) {
  return async ({ exitCode, output, runDir }: StatusQuery): Promise<number> => {
    const status = await deps.agent<AgentStatus>(runDir, '/v1/status');
    print(deps.output, output, status, () => renderStatus(status, deps.output.now()));
    if (exitCode !== true) return 0;
    // Who answers serves.
    const failed = readinessOf('serving', status).checks.filter(({ ok }) => !ok);
    for (const { name, note } of failed) {
      deps.output.err(`berth: not ready: ${printable(name)}${note === undefined ? '' : `: ${printable(note)}`}\n`);
    }
    return failed.length === 0 ? 0 : 1;
  };
}

export function attachmentsCommand(deps: ProgramDeps) {
  return async ({ output, runDir }: AgentQuery): Promise<number> => {
    const attachments = await deps.agent<readonly AttachmentSummary[]>(runDir, '/v1/attachments');
    print(deps.output, output, { attachments }, () => renderAttachments(attachments, deps.output.now()));
    return 0;
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

/** The running agent's inventory, with what kubelet gave to pods; `undefined` as above. */
export async function runningInventory(
  deps: ProgramDeps,
  query: { readonly runDir: string; readonly root: string },
): Promise<InventoryView | undefined> {
  const view = await fromRunningAgent<InventoryView>(deps, query, '/v1/inventory');
  if (view === undefined) return undefined;
  const given = await deps.agent<readonly DeviceAllocation[]>(query.runDir, '/v1/allocations');
  const allocations = Object.fromEntries(
    given.map(({ container, device, pod }) => [device, { pod: `${pod.namespace}/${pod.name}`, container }]),
  );
  return { ...view, allocations };
}

function print(output: Output, format: string, document: unknown, text: () => string): void {
  output.out(documentText(document, format) ?? text());
}
