/**
 * The inventory as people look at it: joined with what the pools offer and who has what, and with
 * its findings. Pure; the agent and the commands without one make it from what they have.
 */
import { findingsOf } from './findings/index.ts';
import type { Inventory } from './inventory/model.ts';
import type { Plan } from './pools/model.ts';
import type { ByDevice, DeviceOwner, InventoryView, PodContainer } from './view.ts';

/**
 * - `taken`: a pod has it, attached, or given by kubelet as far as that was asked.
 * - `broken`: a pool offers it, and it is unhealthy.
 * - `free`: a pool offers it, and nobody has it.
 * - `unused`: no pool offers it.
 */
export type DeviceState = 'taken' | 'broken' | 'free' | 'unused';

/** Joins what the parts of the agent know. */
export function inventoryView(inventory: Inventory, plan: Plan, owners: ByDevice<DeviceOwner>): InventoryView {
  const pools: Record<string, string> = {};
  const unhealthy: Record<string, string> = {};
  for (const { spec, devices } of plan.pools) {
    for (const { id, pci, parent, healthy, reason } of devices) {
      // Slots share an uplink, and are no devices of the inventory.
      if (pci === undefined && parent === undefined) continue;
      pools[id] = spec.resource;
      if (!healthy) unhealthy[id] = reason ?? 'unknown';
    }
  }
  const unused = new Map(
    plan.unused.flatMap(({ address, scalable, reasons }) => {
      const id = address ?? scalable;
      return id === undefined ? [] : [[id, reasons] as const];
    }),
  );
  const findings = findingsOf({ inventory, pools, owners, unused });
  return { inventory: { ...inventory, findings }, pools, owners, unhealthy };
}

/** Who offers a device and who has it; what does not apply is absent. */
export interface Standing {
  readonly state: DeviceState;
  readonly pool?: string;
  /** Why it is unhealthy, which it may be in a pod as well. */
  readonly problem?: string;
  readonly owner?: DeviceOwner;
  readonly allocation?: PodContainer;
}

/** How a device stands, by PCI address or name of a scalable function. A NIC whose VFs are offered instead is `unused`. */
export function standingOf(id: string, { allocations = {}, owners, pools, unhealthy = {} }: InventoryView): Standing {
  const [pool, problem, owner, allocation] = [pools[id], unhealthy[id], owners[id], allocations[id]];
  return {
    state: stateOf({ pool, problem, holder: owner ?? allocation }),
    ...(pool === undefined ? {} : { pool }),
    ...(problem === undefined ? {} : { problem }),
    ...(owner === undefined ? {} : { owner }),
    ...(allocation === undefined ? {} : { allocation }),
  };
}

function stateOf({ holder, pool, problem }: Readonly<Record<'holder' | 'pool' | 'problem', unknown>>): DeviceState {
  if (holder !== undefined) return 'taken';
  if (problem !== undefined) return 'broken';
  return pool === undefined ? 'unused' : 'free';
}
