/** How many VFs of a PF a pool may still take: its share, counted while pools are filled. */
import type { Nic } from '../inventory/model.ts';
import { deviceIdOf, type LinkIndex } from './links.ts';
import type { PerPf, PoolFunction, VfPoolSpec } from './model.ts';

/** One pool's count during one evaluation. */
export interface PfShare {
  /** Why the pool takes no more of this PF; `undefined` while it does. */
  whyUsedUp(candidate: PoolFunction): string | undefined;
  /** Counts one that the pool took. */
  take(candidate: PoolFunction): void;
}

/** What pods hold of the pool counts from the start. */
export function pfShare(spec: VfPoolSpec, owners: ReadonlyMap<string, string>, index: LinkIndex): PfShare {
  const { perPf } = spec;
  if (perPf?.limit === undefined) return { whyUsedUp: () => undefined, take: () => undefined };
  const taken = new Map<string, number>();
  const count = ({ pf }: PoolFunction): void => {
    if (pf !== undefined) taken.set(pf.address, (taken.get(pf.address) ?? 0) + 1);
  };
  for (const candidate of index.functions.values()) {
    if (owners.get(deviceIdOf(candidate)) === spec.resource) count(candidate);
  }
  return {
    whyUsedUp: ({ pf, sf }) => {
      if (pf === undefined) return undefined;
      const total = sf === undefined ? pf.vfs.length : (pf.scalable?.length ?? 0);
      const limit = limitOf(perPf, total);
      if ((taken.get(pf.address) ?? 0) < limit) return undefined;
      return `the pool's share of ${nameOf(pf)} is used up: ${limit} of ${total}`;
    },
    take: count,
  };
}

function limitOf({ limit }: PerPf, total: number): number {
  if (limit === undefined) return total;
  return 'count' in limit ? limit.count : Math.floor((total * limit.percent) / 100);
}

function nameOf(pf: Nic): string {
  return pf.ifname ?? pf.address;
}
