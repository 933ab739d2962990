/** Why a device is in a pool or not: what `berth explain` shows. The same decisions as evaluate.ts, put into words. */
import { type FoundDevice, findDevice, netdevOf } from '../inventory/lookup.ts';
import { namesOf } from '../inventory/names.ts';
import { evaluate } from './evaluate.ts';
import { expandSpecs } from './expand.ts';
import { deviceIdOf, indexLinks, type LinkIndex, type NodeLink } from './links.ts';
import type { PoolContext, PoolDevice, PoolFunction, PoolSpec, Verdict } from './model.ts';
import { carriesNode } from './node-carrier.ts';
import { decideUplink } from './uplinks.ts';
import { decideFunction } from './vf-candidates.ts';

/** One device and the verdict of every pool on it. */
export interface DeviceExplanation {
  /** PCI address, name on the auxiliary bus, or the name of a link that has neither. */
  readonly device: string;
  readonly ifname?: string;
  /** What else it answers to; those of a VF with a serial number or hardware address are the same at every boot. */
  readonly names?: readonly string[];
  readonly kind: 'nic' | 'vf' | 'scalable' | 'accelerator' | 'virtual';
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
 * Finds the device by any name that `findDevice` knows, and lets every pool speak. `undefined` when
 * the node has no such device.
 * @throws BerthError as `findDevice` does.
 */
export function explain(
  configured: readonly PoolSpec[],
  context: PoolContext,
  name: string,
): DeviceExplanation | undefined {
  const index = indexLinks(context.inventory);
  const specs = expandSpecs(configured, index);
  const other = findOther(index, name);
  if (other !== undefined) {
    return other.pf === undefined
      ? explainBareNic(specs, context, index, other)
      : explainVf(specs, context, index, other);
  }
  const device = findDevice(context.inventory, name);
  if (device === undefined) return undefined;
  const explanation = explainFound(specs, context, index, device);
  if (explanation === undefined) return undefined;
  const names = namesOf(device).filter((other) => other !== explanation.device && other !== explanation.ifname);
  return names.length === 0 ? explanation : { ...explanation, names };
}

function explainFound(
  specs: readonly PoolSpec[],
  context: PoolContext,
  index: LinkIndex,
  device: FoundDevice,
): DeviceExplanation | undefined {
  const found = device.kind === 'vf' ? index.functions.get(device.vf.address) : undefined;
  if (found?.pf !== undefined) return explainVf(specs, context, index, found);
  const netdev = netdevOf(device);
  const link = netdev === undefined ? undefined : index.links.get(netdev.ifname);
  if (link !== undefined) return explainLink(specs, context, index, link);
  return device.kind === 'nic' ? explainBareNic(specs, context, index, { pci: device.nic }) : undefined;
}

/** Accelerators and scalable functions by their ids, the latter by their netdev too. */
function findOther({ functions }: LinkIndex, name: string): PoolFunction | undefined {
  const byId = functions.get(name.toLowerCase()) ?? functions.get(`0000:${name.toLowerCase()}`) ?? functions.get(name);
  if (byId?.sf !== undefined || byId?.isAccelerator === true) return byId;
  return [...functions.values()].find(
    ({ sf }) => sf !== undefined && (sf.ifname === name || sf.rdma?.some((device) => device.name === name) === true),
  );
}

/** A NIC or an accelerator without a netdev on the node. */
function explainBareNic(
  specs: readonly PoolSpec[],
  context: PoolContext,
  index: LinkIndex,
  nic: PoolFunction,
): DeviceExplanation {
  const { address } = nic.pci;
  const decisions = specs.map((spec): Verdict => {
    const { resource } = spec;
    const isAsked = spec.kind === 'vf' && (nic.isAccelerator === true || spec.candidates === 'functions');
    if (isAsked) return { resource, ...decideFunction(spec, nic, context, index) };
    return { resource, takes: false, why: 'it has no network device on the node, and is not a VF' };
  });
  const offered = offersOf(specs, context, (device) => device.pci === address);
  const verdicts = withPrecedence(specs, decisions, offered, () => true);
  const is = nic.isAccelerator === true ? (['accelerator', 'accelerator'] as const) : (['nic', 'NIC'] as const);
  return { device: address, kind: is[0], what: is[1], verdicts, offered };
}

function explainVf(
  specs: readonly PoolSpec[],
  context: PoolContext,
  index: LinkIndex,
  found: Extract<PoolFunction, { readonly pf: object }>,
): DeviceExplanation {
  const { pci: vf, pf, sf } = found;
  const id = deviceIdOf(found);
  const link = vf.netdev === undefined ? undefined : index.links.get(vf.netdev.ifname);
  const decisions = specs.map((spec): Verdict => {
    if (spec.kind === 'vf') return { resource: spec.resource, ...decideFunction(spec, found, context, index) };
    if (link !== undefined) return { resource: spec.resource, ...decideUplink(spec, link, index) };
    return { resource: spec.resource, takes: false, why: 'it has no network device on the node' };
  });
  const ifname = vf.netdev?.ifname;
  const isIt = (device: PoolDevice): boolean =>
    device.id === id || (device.uplink !== undefined && device.uplink === ifname);
  const offered = offersOf(specs, context, isIt);
  const carries = link === undefined || context.heldDevices.has(id) ? undefined : carriesNode(link, index);
  const [kind, noun] = sf === undefined ? (['vf', 'VF'] as const) : (['scalable', 'scalable function'] as const);
  return {
    device: id,
    ...(vf.netdev === undefined ? {} : { ifname: vf.netdev.ifname }),
    kind,
    what: `${noun} ${vf.index} of ${pf.ifname ?? pf.address}`,
    ...(carries === undefined ? {} : { carriesNode: carries }),
    verdicts: withPrecedence(specs, decisions, offered, () => true),
    offered,
  };
}

function explainLink(
  specs: readonly PoolSpec[],
  context: PoolContext,
  index: LinkIndex,
  link: NodeLink,
): DeviceExplanation {
  const { nic } = link;
  const decisions = specs.map((spec): Verdict => {
    if (spec.kind !== 'vf') return { resource: spec.resource, ...decideUplink(spec, link, index) };
    if (nic !== undefined) return { resource: spec.resource, ...decideFunction(spec, { pci: nic }, context, index) };
    const why = `${link.netdev.ifname} is a ${link.kind} link, not a VF`;
    return { resource: spec.resource, takes: false, why };
  });
  const offered = offersOf(
    specs,
    context,
    (device) => device.uplink === link.netdev.ifname || (nic !== undefined && device.pci === nic.address),
  );
  const carries = carriesNode(link, index);
  const kinds = new Map(specs.map((spec) => [spec.resource, spec.kind]));
  // A NIC that is given away whole carries nothing, and one that carries slots is not given away.
  const compete = (a: string, b: string): boolean =>
    kinds.get(a) === kinds.get(b) || kinds.get(a) === 'vf' || kinds.get(b) === 'vf';
  return {
    device: nic?.address ?? link.netdev.ifname,
    ifname: link.netdev.ifname,
    kind: nic === undefined ? 'virtual' : 'nic',
    what: nic !== undefined ? 'NIC' : link.kind,
    ...(carries === undefined ? {} : { carriesNode: carries }),
    verdicts: withPrecedence(specs, decisions, offered, compete),
    offered,
  };
}

/** A pool that would take the device and did not get it says who was first. */
function withPrecedence(
  specs: readonly PoolSpec[],
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
    const winner = offered.find((offer) => compete(offer.resource, verdict.resource))?.resource;
    const isLimited = specs.some(
      (spec) => spec.resource === verdict.resource && spec.kind === 'vf' && spec.perPf?.limit !== undefined,
    );
    const who =
      winner === undefined && isLimited
        ? "the pool's share of the PF is used up"
        : `${winner ?? 'another pool'} has it`;
    return { ...verdict, takes: false, why: `${who}; otherwise it would be here: ${verdict.why}` };
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
