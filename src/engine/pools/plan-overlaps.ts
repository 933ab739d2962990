/**
 * Devices that several pools select, and who has them: the first pool of the file, or the one from
 * which a pod has the device. Nothing of this is wrong, but a pool that stays empty for it surprises.
 * macvlan and ipvlan pools on one uplink do not overlap; they exclude each other only while in use.
 */
import type { LinkIndex, NodeLink } from './links.ts';
import type { Plan, PoolContext, PoolFunction, PoolSpec, SlotPoolSpec, VfPoolSpec } from './model.ts';
import { type DeviceNames, namesOfFunction } from './plan-names.ts';
import { decideUplink } from './uplinks.ts';
import { decideFunction } from './vf-candidates.ts';

export interface Overlap extends DeviceNames {
  /** PCI address, or the interface name of an uplink. */
  readonly device: string;
  readonly winner: string;
  /** Pools that select it too, in the order of the file, with the deciding selector. */
  readonly losers: readonly { readonly resource: string; readonly why: string }[];
}

/** `plan` is what its pools gave in `context`. In the order of the inventory, functions before uplinks. */
export function findOverlaps(plan: Plan, context: PoolContext, index: LinkIndex): readonly Overlap[] {
  const owners = ownersOf(plan);
  const specs = plan.pools.map(({ spec }) => spec);
  return [...overlapsOfFunctions(specs, owners, context, index), ...overlapsOfUplinks(specs, owners, index)];
}

/** Who offers what: functions by device id, uplinks by name and kind of pool. */
interface Owners {
  readonly functions: ReadonlyMap<string, string>;
  readonly uplinks: ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>;
}

function ownersOf(plan: Plan): Owners {
  const functions = new Map<string, string>();
  const uplinks = new Map<string, Map<string, Set<string>>>();
  for (const { spec, devices } of plan.pools) {
    for (const { id, uplink } of devices) {
      if (uplink === undefined) functions.set(id, spec.resource);
      else {
        const kinds = uplinks.get(uplink) ?? new Map<string, Set<string>>();
        uplinks.set(uplink, kinds.set(spec.kind, (kinds.get(spec.kind) ?? new Set()).add(spec.resource)));
      }
    }
  }
  return { functions, uplinks };
}

function overlapsOfFunctions(
  specs: readonly PoolSpec[],
  owners: Owners,
  context: PoolContext,
  index: LinkIndex,
): readonly Overlap[] {
  const rivals = specs.filter((spec) => spec.kind === 'vf');
  const overlaps: Overlap[] = [];
  for (const [id, candidate] of index.functions) {
    const winner = owners.functions.get(id) ?? sharerOf(candidate, owners);
    if (winner === undefined) continue;
    const losers = rivals.flatMap((spec) => {
      if (spec.resource === winner || !canHave(spec, candidate)) return [];
      const { takes, why } = decideFunction(spec, candidate, context, index);
      return takes ? [{ resource: spec.resource, why }] : [];
    });
    if (losers.length > 0) overlaps.push({ device: id, ...namesOfFunction(id, index), winner, losers });
  }
  return overlaps;
}

/** The first pool that offers a NIC's slots, and so keeps it from being given away whole. */
function sharerOf({ pci, pf }: PoolFunction, { uplinks }: Owners): string | undefined {
  if (pf !== undefined || pci.netdev === undefined) return undefined;
  const [first] = uplinks.get(pci.netdev.ifname)?.values() ?? [];
  const [resource] = first ?? [];
  return resource;
}

/** A pool of VFs is not asked about NICs. */
function canHave({ candidates = 'vfs' }: VfPoolSpec, { pf }: PoolFunction): boolean {
  return pf !== undefined || candidates !== 'vfs';
}

function overlapsOfUplinks(specs: readonly PoolSpec[], owners: Owners, index: LinkIndex): readonly Overlap[] {
  const overlaps = new Map<string, Overlap>();
  for (const link of index.links.values()) {
    for (const spec of specs) {
      if (spec.kind === 'vf' || (link.vf !== undefined && spec.uplinks.length === 0)) continue;
      const winner = winnerOf(link, spec, owners);
      if (winner === undefined) continue;
      const { takes, why } = decideUplink(spec, link, index);
      if (!takes) continue;
      const device = link.netdev.ifname;
      const losers = [...(overlaps.get(`${device} ${winner}`)?.losers ?? []), { resource: spec.resource, why }];
      overlaps.set(`${device} ${winner}`, { device, winner, losers });
    }
  }
  return [...overlaps.values()];
}

/** Whoever keeps the uplink from a pool that has not got it; `undefined` when the pool has, or nobody does. */
function winnerOf({ netdev, nic, vf }: NodeLink, spec: SlotPoolSpec, owners: Owners): string | undefined {
  const sharers = owners.uplinks.get(netdev.ifname)?.get(spec.kind);
  if (sharers?.has(spec.resource) === true) return undefined;
  const [first] = sharers ?? [];
  const address = nic?.address ?? vf?.address;
  return first ?? (address === undefined ? undefined : owners.functions.get(address));
}
