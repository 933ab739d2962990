/** Inventories of many nodes as their agents write them, from generated trees. */

import type { DeviceOwner, InventoryView } from '../../src/engine/view.ts';
import { conditionsOf } from '../../src/kubernetes/conditions.ts';
import { inventoryObject } from '../../src/kubernetes/inventory-object.ts';
import type { StoredInventory } from '../standins/apiserver/dashboard-calls.ts';
import type { TreeSpec } from '../trees/generate.ts';
import { healthyStatus, inventoryOf, viewOf } from './node.ts';

const AT = new Date('2026-01-01T00:00:00Z');

/** The object of a node, as the API server has it. */
export function objectOf(name: string, view: InventoryView): StoredInventory {
  const named = { ...view, inventory: { ...view.inventory, node: { ...view.inventory.node, name } } };
  const status = healthyStatus({ node: name });
  return structuredClone(inventoryObject(named, status, conditionsOf(status, [], AT))) as StoredInventory;
}

/** `name` with the devices of a tree, of which `taken` belong to pods. */
export async function inventoryNamed(
  name: string,
  spec: TreeSpec,
  owners: Readonly<Record<string, DeviceOwner>> = {},
): Promise<StoredInventory> {
  return objectOf(name, viewOf(await inventoryOf({ ...spec, node: name }), owners));
}
