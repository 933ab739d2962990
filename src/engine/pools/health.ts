/**
 * Why a device that a pool offers cannot be used now. The sentence reaches people by `berth
 * explain`, the log and events; kubelet gets only Healthy or Unhealthy. A fact that the kernel does
 * not tell condemns nothing.
 */
import type { Netdev } from '../inventory/model.ts';
import { deviceIdOf, type LinkIndex, type NodeLink } from './links.ts';
import type { HealthPolicy, PoolContext, PoolFunction, SlotKind, SlotPoolSpec, VfPoolSpec } from './model.ts';

/** A cable out or a driver lost takes devices out of use until it is back. */
export const DEFAULT_HEALTH: HealthPolicy = { linkDown: 'unhealthy', driverChanged: 'unhealthy' };

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
export function functionProblem(spec: VfPoolSpec, candidate: PoolFunction, context: PoolContext): string | undefined {
  const { pci, pf } = candidate;
  const id = deviceIdOf(candidate);
  const hold = context.heldDevices.get(id);
  const owner = hold === undefined ? undefined : (hold.resource ?? context.previous?.get(id)?.resource);
  if (owner !== undefined && owner !== spec.resource) return `a pod still holds it as ${owner}`;
  if (spec.health.linkDown === 'ignore') return undefined;
  if (pf === undefined) {
    // An idle NIC is usually down, and without carrier for that; whoever gets it brings it up.
    return pci.netdev?.adminUp === true ? whyDown(pci.netdev) : undefined;
  }
  if (pf.netdev === undefined) return undefined;
  // `link-state enable` tells the NIC to serve the VF whatever the wire does.
  if (pci.settings?.linkState === 'enable') return undefined;
  const down = whyDown(pf.netdev);
  return down === undefined ? undefined : `its PF ${down}`;
}

/**
 * Why a function that lost the driver its pool offered it with is unhealthy; `undefined` when it did not,
 * or the policy is to let it leave the pool.
 */
export function driverProblem(spec: VfPoolSpec, candidate: PoolFunction, context: PoolContext): string | undefined {
  const { pci } = candidate;
  const before = context.previous?.get(deviceIdOf(candidate));
  if (spec.health.driverChanged === 'ignore') return undefined;
  if (before === undefined || before.resource !== spec.resource || before.driver === pci.driver) return undefined;
  return pci.driver === undefined
    ? `its driver ${before.driver} is not bound any more`
    : `its driver was ${before.driver} and is ${pci.driver} now`;
}

/** Why the slots of an uplink are unhealthy; `undefined` when they are healthy. */
export function uplinkProblem(
  spec: SlotPoolSpec,
  link: NodeLink,
  context: PoolContext,
  index: LinkIndex,
): string | undefined {
  const { netdev } = link;
  const handler = HANDLER_OF_KIND[spec.kind];
  if (handler !== undefined) {
    const used = context.uplinkUse.get(netdev.ifname);
    if (used !== undefined && used !== handler) {
      return `pods use ${netdev.ifname} for ${used}, which excludes ${spec.kind} on it`;
    }
    for (const name of netdev.uppers) {
      const kind = index.links.get(name)?.kind ?? 'unknown';
      const needs = KIND_OF_UPPER.get(kind);
      if (needs !== undefined && needs !== handler) {
        return `${netdev.ifname} has the ${kind} ${name} on it, which excludes ${spec.kind}`;
      }
    }
  }
  return spec.health.linkDown === 'ignore' ? undefined : whyDown(netdev);
}

function whyDown(netdev: Netdev): string | undefined {
  if (netdev.adminUp === false) return `${netdev.ifname} is down; "ip link set ${netdev.ifname} up" brings it up`;
  return netdev.carrier === false ? `${netdev.ifname} has no carrier` : undefined;
}
