/**
 * From an inventory and pools to who offers what: pools in order, the first that matches a device
 * takes it. Pure; pool-set.ts calls it again whenever something changed. A device that a pod holds
 * stays with the pool it was given from, whatever the configuration says now.
 */
import type { Nic, Vf } from '../inventory/model.ts';
import type { PciAddress } from '../values.ts';
import { driverProblem, uplinkProblem, vfProblem } from './health.ts';
import { indexLinks, type LinkIndex, type NodeLink, numaNodeOf } from './links.ts';
import type {
  Plan,
  PoolContext,
  PoolDevice,
  PoolSpec,
  PoolState,
  SlotPoolSpec,
  UnusedDevice,
  UplinkSelector,
  VfPoolSpec,
} from './model.ts';
import { whyUplinkDiffers } from './selectors.ts';
import { formatSlot } from './slot.ts';
import { decideUplink } from './uplinks.ts';
import { decideVf } from './vf-candidates.ts';

/** Kinds that people would miss among the unused; nobody asks why a veth is in no pool. */
const LISTED_WHEN_UNUSED = new Set(['nic', 'bond', 'team', 'vlan']);

/** Who has what, and why the others do not; built by going through the pools in order. */
interface Assignment {
  readonly vfOwners: Map<PciAddress, string>;
  /** Per pool; one uplink may serve a macvlan pool and an ipvlan pool, but not two of a kind. */
  readonly uplinks: Map<SlotPoolSpec, NodeLink[]>;
  readonly misses: Map<string, string[]>;
}

/** Evaluates all pools. States come in the order of the specs; devices in the order of the inventory. */
export function evaluate(specs: readonly PoolSpec[], context: PoolContext): Plan {
  const index = indexLinks(context.inventory);
  const assignment = assign(specs, context, index);
  const pools = specs.map((spec) =>
    spec.kind === 'vf' ? vfState(spec, assignment, context, index) : slotState(spec, assignment, context, index),
  );
  return { pools, unused: listUnused(context, assignment) };
}

function assign(specs: readonly PoolSpec[], context: PoolContext, index: LinkIndex): Assignment {
  const assignment: Assignment = { vfOwners: new Map(), uplinks: new Map(), misses: new Map() };
  const { vfOwners } = assignment;
  const vfSpecs = new Map(specs.filter((spec) => spec.kind === 'vf').map((spec) => [spec.resource, spec]));
  for (const [address, hold] of context.heldDevices) {
    const resource = hold.resource ?? context.previous?.get(address)?.resource;
    if (resource !== undefined && vfSpecs.has(resource)) vfOwners.set(address, resource);
  }
  for (const spec of specs) {
    if (spec.kind === 'vf') assignVfs(spec, assignment, context, index);
    else assignUplinks(spec, assignment, index);
  }
  // Only now: a VF that lost its driver here may be what another pool waits for.
  for (const [address, { vf }] of index.vfs) {
    if (vfOwners.has(address)) continue;
    const before = context.previous?.get(address);
    const spec = before === undefined ? undefined : vfSpecs.get(before.resource);
    if (spec !== undefined && driverProblem(spec, vf, context) !== undefined) vfOwners.set(address, spec.resource);
  }
  return assignment;
}

function assignVfs(spec: VfPoolSpec, { vfOwners, misses }: Assignment, context: PoolContext, index: LinkIndex): void {
  for (const [address, { vf, pf }] of index.vfs) {
    if (vfOwners.has(address)) continue;
    const decision = decideVf(spec, vf, pf, context, index);
    if (decision.takes) vfOwners.set(address, spec.resource);
    else addMiss(misses, address, `${spec.resource}: ${decision.why}`);
  }
}

function assignUplinks(spec: SlotPoolSpec, { vfOwners, uplinks, misses }: Assignment, index: LinkIndex): void {
  const mine: NodeLink[] = [];
  for (const link of index.links.values()) {
    // VFs have to be named; a node with thousands of them is not asked about each.
    if (link.vf !== undefined && spec.uplinks.length === 0) continue;
    const decision = decideUplink(spec, link, index);
    if (!decision.takes) {
      addMiss(misses, link.netdev.ifname, `${spec.resource}: ${decision.why}`);
      continue;
    }
    if (link.vf !== undefined) {
      const owner = vfOwners.get(link.vf.address);
      if (owner !== undefined && owner !== spec.resource) continue;
      vfOwners.set(link.vf.address, spec.resource);
    }
    if (!isTaken(link, spec, uplinks)) mine.push(link);
  }
  uplinks.set(spec, mine);
}

function isTaken(link: NodeLink, spec: SlotPoolSpec, uplinks: Assignment['uplinks']): boolean {
  for (const [other, links] of uplinks) {
    if (other.kind === spec.kind && links.includes(link)) return true;
  }
  return false;
}

function addMiss(misses: Map<string, string[]>, key: string, why: string): void {
  const list = misses.get(key);
  if (list === undefined) misses.set(key, [why]);
  else list.push(why);
}

function vfState(spec: VfPoolSpec, { vfOwners }: Assignment, context: PoolContext, index: LinkIndex): PoolState {
  const devices: PoolDevice[] = [];
  for (const [address, { vf, pf }] of index.vfs) {
    if (vfOwners.get(address) === spec.resource) devices.push(vfDevice(spec, vf, pf, context, index));
  }
  for (const [address, owner] of vfOwners) {
    if (owner !== spec.resource || index.vfs.has(address)) continue;
    devices.push({ id: address, pci: address, healthy: false, reason: 'the device is gone while a pod holds it' });
  }
  return { spec, devices, notes: [] };
}

function vfDevice(spec: VfPoolSpec, vf: Vf, pf: Nic, context: PoolContext, index: LinkIndex): PoolDevice {
  let reason = driverProblem(spec, vf, context);
  // Another driver that the pool wants as well matters only to the pod that has the device now.
  if (reason !== undefined && !context.heldDevices.has(vf.address)) {
    if (decideVf(spec, vf, pf, context, index).takes) reason = undefined;
  }
  reason ??= vf.driver === undefined ? 'no driver is bound to it' : vfProblem(spec, vf, pf, context);
  return device(vf.address, reason, vf.numaNode, { pci: vf.address });
}

function slotState(spec: SlotPoolSpec, { uplinks }: Assignment, context: PoolContext, index: LinkIndex): PoolState {
  const devices: PoolDevice[] = [];
  for (const link of uplinks.get(spec) ?? []) {
    const uplink = link.netdev.ifname;
    const reason = uplinkProblem(spec, link, context, index);
    const numaNode = numaNodeOf(link, index);
    for (let slot = 0; slot < spec.capacity; slot++) {
      devices.push(device(formatSlot(uplink, slot), reason, numaNode, { uplink }));
    }
  }
  return { spec, devices, notes: spec.uplinks.flatMap((selector) => missingUplinks(selector, index)) };
}

function device(
  id: string,
  reason: string | undefined,
  numaNode: number | undefined,
  identity: Pick<PoolDevice, 'pci' | 'uplink'>,
): PoolDevice {
  return {
    id,
    healthy: reason === undefined,
    ...(reason === undefined ? {} : { reason }),
    ...(numaNode === undefined ? {} : { numaNode }),
    ...identity,
  };
}

function missingUplinks(selector: UplinkSelector, index: LinkIndex): readonly string[] {
  const links = [...index.links.values()];
  const notes: string[] = [];
  for (const field of ['names', 'altnames', 'pciAddresses'] as const) {
    for (const value of selector[field] ?? []) {
      const alone = { [field]: [value] };
      if (links.every((link) => whyUplinkDiffers(alone, link) !== undefined)) {
        notes.push(`no network device on the node answers to ${field}: ${value}`);
      }
    }
  }
  return notes;
}

function listUnused(context: PoolContext, { vfOwners, uplinks, misses }: Assignment): readonly UnusedDevice[] {
  const shared = new Set([...uplinks.values()].flat().map((link) => link.netdev.ifname as string));
  const unused: UnusedDevice[] = [];
  for (const nic of context.inventory.nics) {
    if (nic.netdev === undefined) {
      unused.push({ address: nic.address, reasons: ['it has no network device on the node, and is not a VF'] });
    } else if (!shared.has(nic.netdev.ifname)) {
      unused.push({ address: nic.address, ifname: nic.netdev.ifname, reasons: reasonsFor(nic.netdev.ifname, misses) });
    }
    for (const vf of nic.vfs) {
      if (vfOwners.has(vf.address)) continue;
      const ifname = vf.netdev === undefined ? {} : { ifname: vf.netdev.ifname };
      unused.push({ address: vf.address, ...ifname, reasons: reasonsFor(vf.address, misses) });
    }
  }
  for (const link of context.inventory.virtual) {
    if (!LISTED_WHEN_UNUSED.has(link.kind) || shared.has(link.ifname)) continue;
    unused.push({ ifname: link.ifname, reasons: reasonsFor(link.ifname, misses) });
  }
  return unused;
}

function reasonsFor(key: string, misses: ReadonlyMap<string, readonly string[]>): readonly string[] {
  return misses.get(key) ?? ['no pool is configured for it'];
}
