/**
 * Why a device that a pool offers cannot be used now. The sentence reaches people by `berth
 * explain`, the log and events; kubelet gets only Healthy or Unhealthy. A fact that the kernel does
 * not tell condemns nothing.
 */
import type { Netdev, Nic } from '../inventory/model.ts';
import { groupmatesOf, keepsGroup } from './iommu-groups.ts';
import { deviceIdOf, type LinkIndex, type NodeLink } from './links.ts';
import type {
  HealthCause,
  HealthPolicy,
  PoolContext,
  PoolFunction,
  SlotKind,
  SlotPoolSpec,
  VfPoolSpec,
} from './model.ts';
import { isUserspace } from './userspace.ts';

/** A cable out or a driver lost takes devices out of use until it is back. */
export const DEFAULT_HEALTH: HealthPolicy = { linkDown: 'unhealthy', driverChanged: 'unhealthy' };

/** Of pools whose devices other CNI plugins may put anywhere, without Berth knowing of it. */
export const FOREIGN_CNI_HEALTH: HealthPolicy = { ...DEFAULT_HEALTH, misplaced: 'ignore' };

/** Why a device is unhealthy, for people and for programs. */
export interface HealthProblem {
  readonly cause: HealthCause;
  readonly why: string;
}

/** Uppers that register a receive handler on their uplink, by the one that they register. */
const KIND_OF_UPPER: ReadonlyMap<string, 'macvlan' | 'ipvlan'> = new Map([
  ['macvlan', 'macvlan'],
  ['macvtap', 'macvlan'],
  ['ipvlan', 'ipvlan'],
  ['ipvtap', 'ipvlan'],
]);

/** The same for links of a pool's kind; where a link is only named, nothing is registered. */
const HANDLER_OF_KIND: Readonly<Record<SlotKind, 'macvlan' | 'ipvlan' | undefined>> = {
  macvlan: 'macvlan',
  macvtap: 'macvlan',
  ipvlan: 'ipvlan',
  uplink: undefined,
};

/** Why a listed function is unhealthy; `undefined` when it is healthy. */
export function functionProblem(
  spec: VfPoolSpec,
  candidate: PoolFunction,
  context: PoolContext,
): HealthProblem | undefined {
  return (
    heldElsewhere(spec, candidate, context) ??
    resetProblem(spec.health, candidate) ??
    linkProblem(spec.health, candidate) ??
    placeProblem(spec.health, candidate, context) ??
    groupProblem(spec.health, candidate, context)
  );
}

function heldElsewhere(spec: VfPoolSpec, candidate: PoolFunction, context: PoolContext): HealthProblem | undefined {
  const id = deviceIdOf(candidate);
  const hold = context.heldDevices.get(id);
  const owner = hold === undefined ? undefined : (hold.resource ?? context.previous?.get(id)?.resource);
  if (owner === undefined || owner === spec.resource) return undefined;
  return { cause: 'held', why: `a pod still holds it as ${owner}` };
}

function resetProblem({ pfReset }: HealthPolicy, { pci, pf }: PoolFunction): HealthProblem | undefined {
  if (pfReset === 'ignore') return undefined;
  const what = pf === undefined ? (pci as Nic).resetting : pf.resetting;
  if (what === undefined) return undefined;
  const who = pf === undefined ? 'it' : `its PF ${pf.ifname ?? pf.address}`;
  return { cause: 'reset', why: `${who} cannot work now: ${what}` };
}

function linkProblem({ linkDown }: HealthPolicy, { pci, pf }: PoolFunction): HealthProblem | undefined {
  if (linkDown === 'ignore') return undefined;
  if (pf === undefined) {
    // An idle NIC is usually down, and without carrier for that; whoever gets it brings it up.
    return pci.netdev?.adminUp === true ? whyDown(pci.netdev) : undefined;
  }
  if (pf.netdev === undefined) return undefined;
  // `link-state enable` tells the NIC to serve the VF whatever the wire does.
  if (pci.settings?.linkState === 'enable') return undefined;
  const down = whyDown(pf.netdev);
  return down === undefined ? undefined : { ...down, why: `its PF ${down.why}` };
}

/** Its netdev is on the node though a pod has it, or away though no attachment put it anywhere. */
function placeProblem(
  { misplaced }: HealthPolicy,
  candidate: PoolFunction,
  context: PoolContext,
): HealthProblem | undefined {
  const { pci, sf } = candidate;
  const id = deviceIdOf(candidate);
  if (misplaced === 'ignore' || sf !== undefined || context.settling?.has(id) === true) return undefined;
  const holder = context.heldDevices.get(id)?.attachedTo;
  if (holder !== undefined && pci.netdev !== undefined) {
    return { cause: 'misplaced', why: `${pci.netdev.ifname} is on the node, but ${holder} should have it` };
  }
  const had = context.previous?.get(id)?.hadNetdev === true;
  if (pci.netdev !== undefined || context.heldDevices.has(id) || !had || isUserspace(pci)) return undefined;
  return { cause: 'misplaced', why: 'its network device is in a namespace that Berth did not put it into' };
}

/** vfio cannot open its group, or whoever opens it gets the device of somebody else along. */
function groupProblem(
  { sharedGroup }: HealthPolicy,
  { pci }: PoolFunction,
  { heldDevices, inventory }: PoolContext,
): HealthProblem | undefined {
  const { vfio } = pci.deviceNodes;
  // Without an IOMMU each function is in a group of its own, which isolates nothing.
  if (sharedGroup === 'ignore' || vfio === undefined || vfio.includes('noiommu')) return undefined;
  const mates = groupmatesOf(pci, inventory);
  const keeper = mates.find(keepsGroup);
  if (keeper !== undefined) {
    const why = `its IOMMU group ${pci.iommuGroup} also holds ${keeper.address}, which ${keeper.driver} uses`;
    return { cause: 'group', why };
  }
  const taken = heldDevices.has(pci.address) ? undefined : mates.find(({ address }) => heldDevices.has(address));
  if (taken === undefined) return undefined;
  return { cause: 'group', why: `its IOMMU group ${pci.iommuGroup} is in use: a pod has ${taken.address} of it` };
}

/**
 * Why a function that lost the driver its pool offered it with is unhealthy; `undefined` when it did not,
 * or the policy is to let it leave the pool.
 */
export function driverProblem(
  spec: VfPoolSpec,
  candidate: PoolFunction,
  context: PoolContext,
): HealthProblem | undefined {
  const { pci } = candidate;
  const before = context.previous?.get(deviceIdOf(candidate));
  if (spec.health.driverChanged === 'ignore') return undefined;
  if (before === undefined || before.resource !== spec.resource || before.driver === pci.driver) return undefined;
  const why =
    pci.driver === undefined
      ? `its driver ${before.driver} is not bound any more`
      : `its driver was ${before.driver} and is ${pci.driver} now`;
  return { cause: 'driver', why };
}

/** Why the slots of an uplink are unhealthy; `undefined` when they are healthy. */
export function uplinkProblem(
  spec: SlotPoolSpec,
  link: NodeLink,
  context: PoolContext,
  index: LinkIndex,
): HealthProblem | undefined {
  const { netdev } = link;
  const handler = HANDLER_OF_KIND[spec.kind];
  if (handler !== undefined) {
    const used = context.uplinkUse.get(netdev.ifname);
    if (used !== undefined && used !== handler) {
      const why = `pods use ${netdev.ifname} for ${used}, which excludes ${spec.kind} on it`;
      return { cause: 'excluded', why };
    }
    for (const name of netdev.uppers) {
      const kind = index.links.get(name)?.kind ?? 'unknown';
      const needs = KIND_OF_UPPER.get(kind);
      if (needs !== undefined && needs !== handler) {
        return {
          cause: 'excluded',
          why: `${netdev.ifname} has the ${kind} ${name} on it, which excludes ${spec.kind}`,
        };
      }
    }
  }
  return spec.health.linkDown === 'ignore' ? undefined : whyDown(netdev);
}

function whyDown({ adminUp, carrier, ifname }: Netdev): HealthProblem | undefined {
  if (adminUp === false) {
    return { cause: 'link', why: `${ifname} is down; "ip link set ${ifname} up" brings it up` };
  }
  return carrier === false ? { cause: 'link', why: `${ifname} has no carrier` } : undefined;
}
