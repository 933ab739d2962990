/**
 * From an inventory and pools to who offers what: pools in order, the first that matches a device
 * takes it. Pure; pool-set.ts calls it again whenever something changed. A device that a pod holds
 * stays with the pool it was given from, whatever the configuration says now.
 */
import { asPciAddress } from '../values.ts';
import { expandSpecs } from './expand.ts';
import { driverProblem, functionProblem, type HealthProblem, uplinkProblem } from './health.ts';
import { deviceIdOf, indexLinks, type LinkIndex, type NodeLink, numaNodeOf } from './links.ts';
import type {
  Plan,
  PoolContext,
  PoolDevice,
  PoolFunction,
  PoolSpec,
  PoolState,
  SlotPoolSpec,
  UnusedDevice,
  VfPoolSpec,
} from './model.ts';
import { rangeNotes, uplinkNotes } from './notes.ts';
import { pfShare } from './pf-share.ts';
import { slotId } from './slot.ts';
import { decideUplink } from './uplinks.ts';
import { decideFunction, isOfFamily, takesFunction } from './vf-candidates.ts';

/** Kinds that people would miss among the unused; nobody asks why a veth is in no pool. */
const LISTED_WHEN_UNUSED = new Set(['nic', 'bond', 'team', 'vlan']);

/** Who has what, and why the others do not; built by going through the pools in order. */
interface Assignment {
  /** Resource by device id, of functions that are given away whole and of VFs that are uplinks. */
  readonly owners: Map<string, string>;
  /** Per pool; one uplink may serve a macvlan pool and an ipvlan pool, but not two of a kind (`isTaken`). */
  readonly uplinks: Map<SlotPoolSpec, NodeLink[]>;
  /** By {@link missKey}: sentences, and pools of functions that are asked again when somebody wants theirs. */
  readonly misses: Map<string, (string | VfPoolSpec)[]>;
}

/** Evaluates all pools. States come in the order of the specs; devices in the order of the inventory. */
export function evaluate(specs: readonly PoolSpec[], context: PoolContext): Plan {
  const index = indexLinks(context.inventory);
  const expanded = expandSpecs(specs, index);
  const assignment = assign(expanded, context, index);
  const owned = ownedBy(assignment, index);
  const pools = expanded.map((spec) =>
    spec.kind === 'vf'
      ? functionState(spec, owned.get(spec.resource) ?? [], context, index)
      : slotState(spec, assignment, context, index),
  );
  return { pools, unused: listUnused(context, assignment, index) };
}

function assign(specs: readonly PoolSpec[], context: PoolContext, index: LinkIndex): Assignment {
  const assignment: Assignment = { owners: new Map(), uplinks: new Map(), misses: new Map() };
  const { owners } = assignment;
  const vfSpecs = new Map(specs.filter((spec) => spec.kind === 'vf').map((spec) => [spec.resource, spec]));
  for (const [id, hold] of context.heldDevices) {
    const resource = hold.resource ?? context.previous?.get(id)?.resource;
    if (resource !== undefined && vfSpecs.has(resource)) owners.set(id, resource);
  }
  for (const spec of specs) {
    if (spec.kind === 'vf') assignFunctions(spec, assignment, context, index);
    else assignUplinks(spec, assignment, index);
  }
  // Only now: a VF that lost its driver here may be what another pool waits for.
  for (const [id, candidate] of index.functions) {
    if (owners.has(id)) continue;
    const before = context.previous?.get(id);
    const spec = before === undefined ? undefined : vfSpecs.get(before.resource);
    if (spec !== undefined && driverProblem(spec, candidate, context) !== undefined) owners.set(id, spec.resource);
  }
  return assignment;
}

function assignFunctions(spec: VfPoolSpec, assignment: Assignment, context: PoolContext, index: LinkIndex): void {
  const { owners, misses } = assignment;
  const share = pfShare(spec, owners, index);
  for (const [id, candidate] of index.functions) {
    if (owners.has(id) || !isOfFamily(spec, candidate)) continue;
    if (candidate.pf === undefined) {
      // A pool of VFs is not asked about every NIC; nobody wonders why it is not in there.
      if (spec.candidates === undefined || spec.candidates === 'vfs' || isUplink(candidate, assignment)) continue;
    }
    const takes = takesFunction(spec, candidate, context, index);
    const usedUp = takes ? share.whyUsedUp(candidate) : undefined;
    if (!takes || usedUp !== undefined) {
      addMiss(misses, missKey(candidate), usedUp === undefined ? spec : `${spec.resource}: ${usedUp}`);
      continue;
    }
    owners.set(id, spec.resource);
    share.take(candidate);
  }
}

/** An earlier pool offers slots on the NIC. */
function isUplink({ pci }: PoolFunction, { uplinks }: Assignment): boolean {
  return [...uplinks.values()].some((links) => links.some((link) => link.nic?.address === pci.address));
}

/** What pools say of a NIC as a function and as an uplink belongs together. */
function missKey(candidate: PoolFunction): string {
  const { pci, pf } = candidate;
  return pf === undefined ? (pci.netdev?.ifname ?? pci.address) : deviceIdOf(candidate);
}

function assignUplinks(spec: SlotPoolSpec, { owners, uplinks, misses }: Assignment, index: LinkIndex): void {
  const mine: NodeLink[] = [];
  for (const link of index.links.values()) {
    // Some earlier pool gives the NIC away whole.
    if (link.nic !== undefined && owners.has(link.nic.address)) continue;
    // VFs have to be named; a node with thousands of them is not asked about each.
    if (link.vf !== undefined && spec.uplinks.length === 0) continue;
    const decision = decideUplink(spec, link, index);
    if (!decision.takes) {
      addMiss(misses, link.netdev.ifname, `${spec.resource}: ${decision.why}`);
      continue;
    }
    if (link.vf !== undefined) {
      const owner = owners.get(link.vf.address);
      if (owner !== undefined && owner !== spec.resource) continue;
      owners.set(link.vf.address, spec.resource);
    }
    if (!isTaken(link, spec, uplinks)) mine.push(link);
  }
  uplinks.set(spec, mine);
}

/** Slots of one kind on one uplink would have the same ids in two pools, unless they go by the pool's name. */
function isTaken(link: NodeLink, spec: SlotPoolSpec, uplinks: Assignment['uplinks']): boolean {
  if (spec.kind === 'uplink' || spec.slotIds === 'macvtap-cni') return false;
  for (const [other, links] of uplinks) {
    if (other.kind === spec.kind && other.slotIds !== 'macvtap-cni' && links.includes(link)) return true;
  }
  return false;
}

function addMiss(misses: Assignment['misses'], key: string, why: string | VfPoolSpec): void {
  const list = misses.get(key);
  if (list === undefined) misses.set(key, [why]);
  else list.push(why);
}

/** Ids by resource: those on the node in the order of the index, then those that are gone while a pod holds them. */
function ownedBy({ owners }: Assignment, index: LinkIndex): ReadonlyMap<string | undefined, readonly string[]> {
  const here = [...index.functions.keys()].filter((id) => owners.has(id));
  const gone = [...owners.keys()].filter((id) => !index.functions.has(id));
  return Map.groupBy([...here, ...gone], (id) => owners.get(id));
}

function functionState(spec: VfPoolSpec, owned: readonly string[], context: PoolContext, index: LinkIndex): PoolState {
  const devices: PoolDevice[] = [];
  for (const id of owned) {
    const candidate = index.functions.get(id);
    if (candidate !== undefined) {
      devices.push(functionDevice(spec, candidate, context, index));
      continue;
    }
    const pci = asPciAddress(id);
    const problem: HealthProblem = { cause: 'gone', why: 'the device is gone while a pod holds it' };
    devices.push(device(id, problem, undefined, pci === undefined ? {} : { pci }));
  }
  return { spec, devices, notes: rangeNotes(spec, context.inventory) };
}

function functionDevice(spec: VfPoolSpec, candidate: PoolFunction, context: PoolContext, index: LinkIndex): PoolDevice {
  const { pci, sf } = candidate;
  const id = deviceIdOf(candidate);
  let problem = driverProblem(spec, candidate, context);
  // Another driver that the pool wants as well matters only to the pod that has the device now.
  if (problem !== undefined && !context.heldDevices.has(id)) {
    if (takesFunction(spec, candidate, context, index)) problem = undefined;
  }
  problem ??=
    pci.driver === undefined
      ? { cause: 'driver', why: 'no driver is bound to it' }
      : functionProblem(spec, candidate, context);
  return device(id, problem, pci.numaNode, sf === undefined ? { pci: pci.address } : { parent: pci.address });
}

function slotState(spec: SlotPoolSpec, { uplinks }: Assignment, context: PoolContext, index: LinkIndex): PoolState {
  const devices: PoolDevice[] = [];
  for (const link of uplinks.get(spec) ?? []) {
    const uplink = link.netdev.ifname;
    const problem = uplinkProblem(spec, link, context, index);
    const numaNode = numaNodeOf(link, index);
    for (let slot = 0; slot < spec.capacity; slot++) {
      devices.push(device(slotId(spec, uplink, slot), problem, numaNode, { uplink }));
    }
  }
  return { spec, devices, notes: uplinkNotes(spec, index) };
}

function device(
  id: string,
  problem: HealthProblem | undefined,
  numaNode: number | undefined,
  identity: Pick<PoolDevice, 'pci' | 'parent' | 'uplink'>,
): PoolDevice {
  return {
    id,
    healthy: problem === undefined,
    ...(problem === undefined ? {} : { reason: problem.why, cause: problem.cause }),
    ...(numaNode === undefined ? {} : { numaNode }),
    ...identity,
  };
}

function listUnused(context: PoolContext, assignment: Assignment, index: LinkIndex): readonly UnusedDevice[] {
  const { owners, uplinks } = assignment;
  const shared = new Set([...uplinks.values()].flat().map((link) => link.netdev.ifname as string));
  const unused: UnusedDevice[] = [];
  const reasonsFor = (key: string, id: string | undefined, otherwise = 'no pool is configured for it') => {
    const candidate = id === undefined ? undefined : index.functions.get(id);
    const reasons = (assignment.misses.get(key) ?? []).flatMap((miss) => {
      if (typeof miss === 'string') return [miss];
      if (candidate === undefined) return [];
      return [`${miss.resource}: ${decideFunction(miss, candidate, context, index).why}`];
    });
    return reasons.length === 0 ? [otherwise] : reasons;
  };
  for (const nic of context.inventory.nics) {
    const { address, netdev } = nic;
    // Given away whole, and then it has no VFs.
    if (owners.has(address)) continue;
    if (netdev === undefined) {
      const otherwise = 'it has no network device on the node, and is not a VF';
      unused.push({ address, reasons: reasonsFor(address, address, otherwise) });
    } else if (!shared.has(netdev.ifname)) {
      unused.push({ address, ifname: netdev.ifname, reasons: reasonsFor(netdev.ifname, address) });
    }
    for (const vf of nic.vfs) {
      if (owners.has(vf.address)) continue;
      const ifname = vf.netdev === undefined ? {} : { ifname: vf.netdev.ifname };
      unused.push({ address: vf.address, ...ifname, reasons: reasonsFor(vf.address, vf.address) });
    }
  }
  for (const link of context.inventory.virtual) {
    if (!LISTED_WHEN_UNUSED.has(link.kind) || shared.has(link.ifname)) continue;
    unused.push({ ifname: link.ifname, reasons: reasonsFor(link.ifname, undefined) });
  }
  // Nobody asks about accelerators and scalable functions where no pool is about them.
  for (const [id, candidate] of index.functions) {
    const { pci, sf, isAccelerator } = candidate;
    const key = missKey(candidate);
    if ((sf === undefined && isAccelerator !== true) || owners.has(id) || !assignment.misses.has(key)) continue;
    const reasons = reasonsFor(key, id);
    unused.push(sf === undefined ? { address: pci.address, reasons } : { scalable: sf.name, reasons });
  }
  return unused;
}
