/** Bodies of `inventory` and `capture`. Each resolves with its exit status. */
import type { Inventory } from '../engine/inventory/model.ts';
import { pickDevices } from '../engine/inventory/pick.ts';
import type { CountersView, InventoryView } from '../engine/view.ts';
import { runningInventory } from './commands.ts';
import { documentText } from './document.ts';
import { type Counted, inventoryDocument } from './inventory-document.ts';
import { renderCounters, renderInventory, renderUnread } from './inventory-output.ts';
import type { Output, ProgramDeps } from './port.ts';
import { printable } from './table.ts';

/** Options of the command. */
export interface InventoryQuery {
  readonly output: string;
  readonly root: string;
  readonly runDir: string;
  readonly counters?: boolean;
}

/**
 * The running agent is asked first, since it knows the pods; a tree or a node without an agent is read
 * directly. Of `devices` only, when there are any.
 */
export function inventoryCommand(deps: ProgramDeps, devices: readonly string[] = []) {
  return async ({ counters, output, root, runDir }: InventoryQuery): Promise<number> => {
    const running = await runningInventory(deps, { runDir, root });
    const whole = running ?? (await deps.node.inventory(root));
    const view = devices.length === 0 ? whole : { ...whole, inventory: pickDevices(whole.inventory, devices) };
    const counted =
      counters === true
        ? await countedOf(deps, view.inventory, { isAgentRunning: running !== undefined, root, runDir })
        : undefined;
    deps.output.out(textOf(view, output, deps.output, counted, devices.length > 0));
    deps.output.err(renderUnread(view.inventory.unread));
    return 0;
  };
}

async function countedOf(
  deps: ProgramDeps,
  { nics }: Inventory,
  from: Pick<InventoryQuery, 'root' | 'runDir'> & { readonly isAgentRunning: boolean },
): Promise<Counted> {
  const { isAgentRunning, root, runDir } = from;
  const links = nics.flatMap((nic) => [nic, ...nic.vfs]).flatMap(({ netdev }) => netdev ?? []);
  return {
    byPf: isAgentRunning ? await deps.agent<CountersView>(runDir, '/v1/counters') : await deps.node.counters(root),
    // Files of the node, which need no agent.
    own: await deps.node.linkCounters(root, links),
  };
}

function textOf(
  view: InventoryView,
  format: string,
  output: Output,
  counted: Counted | undefined,
  isPart: boolean,
): string {
  const document = documentText(inventoryDocument(view, counted), format);
  if (document !== undefined) return document;
  const table = renderInventory(view, format === 'wide' ? 'wide' : 'table', output.color, output.now(), isPart);
  return counted === undefined ? table : `${table}\n${renderCounters(view, counted)}`;
}

/** The report goes to stderr: the capture itself is the folder. */
export function captureCommand(deps: ProgramDeps) {
  return async (directory: string, { root }: { readonly root: string }): Promise<number> => {
    const { bytes, files, notes, readAs } = await deps.node.capture(root, directory);
    for (const note of notes) deps.output.err(`warning: ${printable(note)}\n`);
    const where = directory === '-' ? `folder ${readAs} of the archive` : printable(directory);
    deps.output.err(
      `${files} files, ${bytes} bytes in ${where}; read it with: berth inventory --root ${printable(readAs)}\n`,
    );
    return 0;
  };
}
