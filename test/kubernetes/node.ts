/** A node for the tests of the cluster side: a generated tree, read and joined as the agent does it, and a status. */
import { zeroConfig } from '../../src/config/index.ts';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import { inventoryView } from '../../src/engine/inventory-view.ts';
import { evaluate } from '../../src/engine/pools/evaluate.ts';
import { NO_HOLDS } from '../../src/engine/pools/holds.ts';
import type { AgentStatus, DeviceOwner, InventoryView } from '../../src/engine/view.ts';
import { createNodeReader } from '../../src/linux/node-reader.ts';
import { createPciNames } from '../../src/linux/sysfs/pci-ids.ts';
import type { TreeSpec } from '../trees/generate.ts';
import { withTree } from '../trees/temporary.ts';

export const NODE = 'node-1';

export async function inventoryOf(spec: TreeSpec): Promise<Inventory> {
  let inventory: Inventory | undefined;
  await withTree(spec, async ({ dir }) => {
    inventory = await createNodeReader({ root: dir, names: createPciNames() }).read();
  });
  if (inventory === undefined) throw new Error('the tree was not read');
  return inventory;
}

export function viewOf(inventory: Inventory, owners: Readonly<Record<string, DeviceOwner>> = {}): InventoryView {
  const plan = evaluate(zeroConfig().pools, { heldDevices: NO_HOLDS.devices, uplinkUse: NO_HOLDS.uplinks, inventory });
  return inventoryView(inventory, plan, owners);
}

/** A status in which everything is as it should be. */
export function healthyStatus(changes: Partial<AgentStatus> = {}): AgentStatus {
  return {
    version: '1.2.3',
    node: NODE,
    startedAt: '2026-01-01T00:00:00.000Z',
    configuration: { source: 'built-in', problems: [], warnings: [] },
    resources: [{ resource: 'berth.dev/vf', devices: 4, healthy: 4, reasons: [], registered: true }],
    attachments: { total: 0, stuck: 0, unreadable: 0 },
    spool: { entries: 0, unreadable: 0 },
    inventory: { nics: 1, vfs: 4, readAt: '2026-01-01T00:00:00.000Z' },
    process: { rssBytes: 1, eventLoopMaxMs: 1 },
    ...changes,
  };
}
