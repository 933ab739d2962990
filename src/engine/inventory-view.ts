/**
 * The inventory as people look at it: joined with what the pools offer and who has what, and with
 * its findings. Pure; the agent and the commands without one make it from what they have.
 */
import { findingsOf } from './findings/index.ts';
import type { Inventory, Nic, Vf } from './inventory/model.ts';
import type { Plan } from './pools/model.ts';
import type { PciAddress } from './values.ts';
import type { DeviceOwner, InventoryView } from './view.ts';

/**
 * - `taken`: a pod has it.
 * - `broken`: a pool offers it, and it is unhealthy.
 * - `free`: a pool offers it, and nobody has it.
 * - `unused`: no pool offers it.
 */
export type DeviceState = 'taken' | 'broken' | 'free' | 'unused';

/** Joins what the parts of the agent know. */
export function inventoryView(
  inventory: Inventory,
  plan: Plan,
  owners: Readonly<Record<PciAddress, DeviceOwner>>,
): InventoryView {
  const pools: Record<PciAddress, string> = {};
  const unhealthy: Record<PciAddress, string> = {};
  for (const { spec, devices } of plan.pools) {
    for (const { pci, healthy, reason } of devices) {
      if (pci === undefined) continue;
      pools[pci] = spec.resource;
      if (!healthy) unhealthy[pci] = reason ?? 'unknown';
    }
  }
  const unused = new Map(
    plan.unused.flatMap(({ address, reasons }) => (address === undefined ? [] : [[address, reasons] as const])),
  );
  const findings = findingsOf({ inventory, pools, owners, unused });
  return { inventory: { ...inventory, findings }, pools, owners, unhealthy };
}

/** How a NIC or VF stands; for a NIC whose VFs are offered instead, `unused`. */
export function stateOf({ address }: Nic | Vf, { owners, pools, unhealthy = {} }: InventoryView): DeviceState {
  if (owners[address] !== undefined) return 'taken';
  if (unhealthy[address] !== undefined) return 'broken';
  return pools[address] === undefined ? 'unused' : 'free';
}
