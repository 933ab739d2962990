/** Why a device is in a pool or not: what `berth explain` shows. The same decisions as evaluate.ts, put into words. */
import type { PciAddress } from '../values.ts';
import { asPciAddress } from '../values.ts';
import { evaluate } from './evaluate.ts';
import { indexLinks, type LinkIndex, type NodeLink } from './links.ts';
import type { PoolContext, PoolDevice, PoolSpec, Verdict } from './model.ts';
import { carriesNode } from './node-carrier.ts';
import { parseSlot } from './slot.ts';
import { decideUplink } from './uplinks.ts';
import { decideVf } from './vf-candidates.ts';

/** One device and the verdict of every pool on it. */
export interface DeviceExplanation {
  /** PCI address, or the name of a link that has none. */
  readonly device: string;
  readonly ifname?: string;
  readonly kind: 'nic' | 'vf' | 'virtual';
  /** `VF 3 of eth0`, `NIC`, `bond`, `vlan` ... */
  readonly what: string;
  /** Why it carries the node; absent when it does not. */
  readonly carriesNode?: string;
  /** In the order of the pools. */
  readonly verdicts: readonly Verdict[];
  /** Pools that offer it now, with its health there. For an uplink one entry stands for all its slots. */
  readonly offered: readonly {
    readonly resource: string;
    readonly healthy: boolean;
    readonly reason?: string;
    readonly slots?: number;
  }[];
}

/**
 * Finds the device by PCI address (the domain may be left out), interface name, alternative name or
 * slot id, and lets every pool speak. `undefined` when the node has no such device.
 */
export function explain(specs: readonly PoolSpec[], context: PoolContext, name: string): DeviceExplanation | undefined {
  const index = indexLinks(context.inventory);
  const address = asPciAddress(name) ?? asPciAddress(`0000:${name}`);
  const slot = parseSlot(name);
  const link = index.find(name) ?? (slot === undefined ? undefined : index.find(slot.uplink));
  const vfAddress = address !== undefined && index.vfs.has(address) ? address : link?.vf?.address;
  if (vfAddress !== undefined) return explainVf(specs, context, index, vfAddress);
  const nic = address === undefined ? undefined : index.nics.get(address);
  const uplink = link ?? (nic?.netdev === undefined ? undefined : index.links.get(nic.netdev.ifname));
  if (uplink !== undefined) return explainLink(specs, context, index, uplink);
  if (nic === undefined) return undefined;
  const why = 'it has no network device on the node, and is not a VF';
  return {
    device: nic.address,
    kind: 'nic',
    what: 'NIC',
    verdicts: specs.map(({ resource }) => ({ resource, takes: false, why })),
    offered: [],
  };
}

function explainVf(
  specs: readonly PoolSpec[],
  context: PoolContext,
  index: LinkIndex,
  address: PciAddress,
): DeviceExplanation | undefined {
  const found = index.vfs.get(address);
  if (found === undefined) return undefined;
  const { vf, pf } = found;
  const link = vf.netdev === undefined ? undefined : index.links.get(vf.netdev.ifname);
  const decisions = specs.map((spec): Verdict => {
    if (spec.kind === 'vf') return { resource: spec.resource, ...decideVf(spec, vf, pf, context, index) };
    if (link !== undefined) return { resource: spec.resource, ...decideUplink(spec, link, index) };
    return { resource: spec.resource, takes: false, why: 'it has no network device on the node' };
  });
  const offered = offersOf(specs, context, (device) => device.pci === address || device.uplink === vf.netdev?.ifname);
  const carries = link === undefined || context.heldDevices.has(address) ? undefined : carriesNode(link, index);
  return {
    device: address,
    ...(vf.netdev === undefined ? {} : { ifname: vf.netdev.ifname }),
    kind: 'vf',
    what: `VF ${vf.index} of ${pf.ifname ?? pf.address}`,
    ...(carries === undefined ? {} : { carriesNode: carries }),
    verdicts: withPrecedence(decisions, offered, () => true),
    offered,
  };
}

function explainLink(
  specs: readonly PoolSpec[],
  context: PoolContext,
  index: LinkIndex,
  link: NodeLink,
): DeviceExplanation {
  const isNic = link.nic !== undefined;
  const decisions = specs.map((spec): Verdict => {
    if (spec.kind !== 'vf') return { resource: spec.resource, ...decideUplink(spec, link, index) };
    const why = isNic
      ? `${link.netdev.ifname} is not a VF; only its VFs can be in this pool`
      : `${link.netdev.ifname} is a ${link.kind} link, not a VF`;
    return { resource: spec.resource, takes: false, why };
  });
  const offered = offersOf(specs, context, (device) => device.uplink === link.netdev.ifname);
  const carries = carriesNode(link, index);
  const kinds = new Map(specs.map((spec) => [spec.resource, spec.kind]));
  return {
    device: link.nic?.address ?? link.netdev.ifname,
    ifname: link.netdev.ifname,
    kind: isNic ? 'nic' : 'virtual',
    what: isNic ? 'NIC' : link.kind,
    ...(carries === undefined ? {} : { carriesNode: carries }),
    verdicts: withPrecedence(decisions, offered, (a, b) => kinds.get(a) === kinds.get(b)),
    offered,
  };
}

/** A pool that would take the device and did not get it says who was first. */
function withPrecedence(
  verdicts: readonly Verdict[],
  offered: DeviceExplanation['offered'],
  compete: (resource: string, other: string) => boolean,
): readonly Verdict[] {
  return verdicts.map((verdict) => {
    const offer = offered.find((candidate) => candidate.resource === verdict.resource);
    if (offer !== undefined) {
      const why = verdict.takes ? verdict.why : `it was offered here before; now: ${verdict.why}`;
      return { ...verdict, takes: true, why: offer.healthy ? why : `${why}; unhealthy: ${offer.reason}` };
    }
    if (!verdict.takes) return verdict;
    const winner = offered.find((offer) => compete(offer.resource, verdict.resource))?.resource ?? 'another pool';
    return { ...verdict, takes: false, why: `${winner} has it; otherwise it would be here: ${verdict.why}` };
  });
}

function offersOf(
  specs: readonly PoolSpec[],
  context: PoolContext,
  isIt: (device: PoolDevice) => boolean,
): DeviceExplanation['offered'] {
  return evaluate(specs, context).pools.flatMap(({ spec, devices }) => {
    const mine = devices.filter(isIt);
    const [first] = mine;
    if (first === undefined) return [];
    const reason = first.reason === undefined ? {} : { reason: first.reason };
    const slots = spec.kind === 'vf' ? {} : { slots: mine.length };
    return [{ resource: spec.resource, healthy: first.healthy, ...reason, ...slots }];
  });
}
