/**
 * What `berth plan` shows: pools with their devices, devices that several pools want, devices that
 * are in none, and what would change against the running configuration. It reads and compares;
 * every decision is made where the agent makes it, in evaluate.ts. To debug: `berth plan -o json`.
 */
import type { AttachmentSummary } from '../attachments/model.ts';
import type { Inventory } from '../inventory/model.ts';
import type { DeviceAllocation } from '../view.ts';
import { evaluate } from './evaluate.ts';
import { holdsOf } from './holds.ts';
import { indexLinks, type LinkIndex } from './links.ts';
import type { Plan, PoolContext, PoolDevice, PoolSpec, UnusedDevice } from './model.ts';
import { comparePlans, type PlanChanges } from './plan-changes.ts';
import { type DeviceNames, namesOfFunction } from './plan-names.ts';
import { findOverlaps, type Overlap } from './plan-overlaps.ts';

/** The stable shape of `berth plan -o json`, which adds `problems`. */
export interface PlanReport {
  /** Name of the node. */
  readonly node: string;
  readonly pools: readonly PlannedPool[];
  readonly unused: readonly (UnusedDevice & DeviceNames)[];
  readonly overlaps: readonly Overlap[];
  /** Against what runs; absent when there is nothing to compare with. */
  readonly changes?: PlanChanges;
}

export interface PlannedPool {
  readonly resource: string;
  readonly kind: PoolSpec['kind'];
  /** Where it is configured. */
  readonly origin: string;
  readonly namespaces?: readonly string[];
  readonly devices: readonly (PoolDevice & DeviceNames)[];
  readonly notes: readonly string[];
}

/** What runs on the node, as its agent tells. */
export interface RunningNode {
  readonly inventory: Inventory;
  readonly plan: Plan;
  readonly attachments: readonly AttachmentSummary[];
  /** What kubelet gave to pods; absent when it cannot be asked. */
  readonly allocations?: readonly DeviceAllocation[];
}

/** What the running configuration gives. */
export function reportRunning({ attachments, inventory, plan }: RunningNode): PlanReport {
  const index = indexLinks(inventory);
  return report(plan, contextOfRunning({ attachments, inventory, plan }), index);
}

/** What other pools would give in place of the running ones. */
export function reportChange(specs: readonly PoolSpec[], running: RunningNode): PlanReport {
  const { allocations = [], attachments, inventory, plan } = running;
  const index = indexLinks(inventory);
  const context = contextOfRunning(running);
  const wanted = evaluate(specs, context);
  // Without the pools that devices were given from, nothing keeps them there.
  const released = new Map([...context.heldDevices.keys()].map((address) => [address, {}]));
  const settled = evaluate(specs, { ...context, heldDevices: released });
  return {
    ...report(wanted, context, index),
    changes: comparePlans({ running: plan, wanted, settled, attachments, allocations }, index),
  };
}

/** What pools give on a node of which only the hardware is known. */
export function reportNode(specs: readonly PoolSpec[], inventory: Inventory): PlanReport {
  const context = contextOfRunning({ inventory, attachments: [], plan: { pools: [], unused: [] } });
  return report(evaluate(specs, context), context, indexLinks(inventory));
}

/** The node as its agent sees it: devices that pods have stay in the pools that they were given from. */
export function contextOfRunning({ attachments, inventory, plan }: RunningNode): PoolContext {
  const offered = new Map<string, string>();
  for (const { spec, devices } of plan.pools) for (const { id } of devices) offered.set(id, spec.resource);
  const { devices, uplinks } = holdsOf(attachments, (address) => offered.get(address));
  return { inventory, heldDevices: devices, uplinkUse: uplinks };
}

function report(plan: Plan, context: PoolContext, index: LinkIndex): PlanReport {
  return {
    node: context.inventory.node.name,
    pools: plan.pools.map(({ spec, devices, notes }) => ({
      resource: spec.resource,
      kind: spec.kind,
      origin: spec.origin,
      ...(spec.namespaces === undefined ? {} : { namespaces: spec.namespaces }),
      devices: devices.map((device) => ({
        ...device,
        ...(device.uplink === undefined ? namesOfFunction(device.id, index) : {}),
      })),
      notes,
    })),
    unused: plan.unused.map((entry) =>
      entry.address === undefined ? entry : { ...entry, ...namesOfFunction(entry.address, index) },
    ),
    overlaps: findOverlaps(plan, context, index),
  };
}
