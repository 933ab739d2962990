/** Scalable functions: bound, and offered. */
import type { Nic, ScalableFunction } from '../inventory/model.ts';
import { type FindingContext, type FindingRule, functionsOf, type Noticed, nameOf } from './rule.ts';

const withoutDriver: FindingRule = {
  id: 'sf-without-driver',
  find: (context) =>
    perParent(
      context,
      (sf) => sf.driver === undefined,
      (sfs, nic) => ({
        severity: 'warning',
        evidence: `${nameOf(nic)}: ${namesOf(sfs)} without a driver`,
        remedy: 'Bind them (echo NAME > /sys/bus/auxiliary/drivers/DRIVER/bind); without a driver nobody can use them.',
      }),
    ),
};

const unselected: FindingRule = {
  id: 'sf-unselected',
  find: (context) => {
    const { owners, pools, unused } = context;
    if (unused === undefined) return [];
    return perParent(
      context,
      ({ name }) => pools[name] === undefined && owners[name] === undefined && unused.has(name),
      (sfs, nic) => {
        const reasons = new Set(sfs.flatMap(({ name }) => unused.get(name) ?? []));
        return {
          severity: 'info',
          evidence: `${nameOf(nic)}: ${namesOf(sfs)} in no pool (${[...reasons].slice(0, 2).join('; ') || 'nothing selects them'})`,
          remedy: 'Ask `berth explain` for one of them, and widen a selector or add a pool.',
        };
      },
    );
  },
};

export const SCALABLE_RULES: readonly FindingRule[] = [withoutDriver, unselected];

/** One finding for each NIC with scalable functions that match. */
function perParent(
  { inventory }: FindingContext,
  matches: (sf: ScalableFunction) => boolean,
  describe: (sfs: readonly ScalableFunction[], nic: Nic) => Omit<Noticed, 'subject'>,
): readonly Noticed[] {
  return functionsOf(inventory).flatMap((nic) => {
    const sfs = (nic.scalable ?? []).filter(matches);
    return sfs.length === 0 ? [] : [{ subject: nic.address, ...describe(sfs, nic) }];
  });
}

const MOST_NAMES = 4;

/** `SF 88 (mlx5_core.sf.4)`, with the first few of many. */
function namesOf(sfs: readonly ScalableFunction[]): string {
  const names = sfs.slice(0, MOST_NAMES).map(({ name, sfnum }) => `${sfnum} (${name})`);
  const more = sfs.length > MOST_NAMES ? [`${sfs.length - MOST_NAMES} more`] : [];
  return `${sfs.length === 1 ? 'SF' : 'SFs'} ${[...names, ...more].join(', ')}`;
}
