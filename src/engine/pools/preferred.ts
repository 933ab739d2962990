/**
 * Which of the available devices a pod should get, by the pool's policy. A proposal; kubelet fills
 * up what is missing, at random. It never fails, because an error would reject the pod for good.
 */
import type { AllocationPolicy } from './model.ts';
import type { DeviceTraits } from './traits.ts';

export interface PreferredRequest {
  readonly policy: AllocationPolicy;
  readonly available: readonly string[];
  /** Devices that the pod has already and the answer must contain. */
  readonly mustInclude: readonly string[];
  readonly size: number;
  /** `undefined` for ids that the pool does not have. */
  readonly traitsOf: (id: string) => DeviceTraits | undefined;
}

/** What devices are grouped by; one without the trait is in a group of such. */
type Grouping = (device: Candidate) => string;

interface Candidate {
  readonly id: string;
  readonly traits: DeviceTraits | undefined;
}

const byParent: Grouping = ({ traits }) => traits?.parent ?? '';
const byPcieRoot: Grouping = ({ traits }) => traits?.pcieRoot ?? '';
const byNumaNode: Grouping = ({ traits }) => String(traits?.numaNode ?? '');

/**
 * At most `size` ids, the same for the same set whatever its order: first those that must be
 * included, then
 * - `packed`: from the PFs (uplinks) of those, then from the PF with the fewest devices that
 *   suffices, and while none does, from the one with the most;
 * - `aligned`: the same for NUMA nodes, within each for PCIe roots, and within those for PFs;
 * - `spread`: one at a time from the PF that gives the fewest so far, of those from the one with the most left;
 * - `least-used`: those that were used longest ago.
 */
export function preferDevices({ available, mustInclude, policy, size, traitsOf }: PreferredRequest): readonly string[] {
  const asCandidate = (id: string): Candidate => ({ id, traits: traitsOf(id) });
  const must = sorted(new Set(mustInclude), asCandidate).slice(0, Math.max(0, size));
  const taken = new Set(must.map(({ id }) => id));
  const free = sorted(new Set(available), asCandidate).filter(({ id }) => !taken.has(id));
  const missing = Math.min(Math.max(0, size - must.length), free.length);
  return [...must, ...choose(policy, free, must, missing)].map(({ id }) => id);
}

function choose(
  policy: AllocationPolicy,
  free: readonly Candidate[],
  must: readonly Candidate[],
  missing: number,
): readonly Candidate[] {
  switch (policy) {
    case 'packed':
      return pack(free, must, missing, [byParent]);
    case 'aligned':
      return pack(free, must, missing, [byNumaNode, byPcieRoot, byParent]);
    case 'spread':
      return spread(free, must, missing);
    case 'least-used':
      return free
        .toSorted((a, b) => (a.traits?.lastUsed ?? 0) - (b.traits?.lastUsed ?? 0) || compare(a, b))
        .slice(0, missing);
    default:
      throw new Error(`unknown allocation policy ${policy satisfies never}`);
  }
}

/** From as few groups of the first grouping as possible, and within each of them likewise. */
function pack(
  free: readonly Candidate[],
  begun: readonly Candidate[],
  missing: number,
  [grouping, ...finer]: readonly Grouping[],
): readonly Candidate[] {
  if (grouping === undefined) return free.slice(0, missing);
  const groups = Map.groupBy(free, grouping);
  const before = Map.groupBy(begun, grouping);
  const chosen: Candidate[] = [];
  while (chosen.length < missing && groups.size > 0) {
    const needed = missing - chosen.length;
    const name = bestGroup(groups, before, needed);
    chosen.push(
      ...pack(groups.get(name) ?? [], before.get(name) ?? [], Math.min(needed, groups.get(name)?.length ?? 0), finer),
    );
    groups.delete(name);
  }
  return chosen;
}

/** Groups come in the order of their first devices, so the first of equals is always the same. */
function bestGroup(
  groups: ReadonlyMap<string, readonly Candidate[]>,
  begun: ReadonlyMap<string, unknown>,
  needed: number,
): string {
  const [best = ''] = [...groups.keys()].toSorted((a, b) => {
    if (begun.has(a) !== begun.has(b)) return begun.has(a) ? -1 : 1;
    const [aSize = 0, bSize = 0] = [groups.get(a)?.length, groups.get(b)?.length];
    if (aSize >= needed !== bSize >= needed) return aSize >= needed ? -1 : 1;
    return aSize >= needed ? aSize - bSize : bSize - aSize;
  });
  return best;
}

function spread(free: readonly Candidate[], must: readonly Candidate[], missing: number): readonly Candidate[] {
  const left = Map.groupBy(free, byParent);
  const given = new Map([...Map.groupBy(must, byParent)].map(([name, devices]) => [name, devices.length]));
  const chosen: Candidate[] = [];
  while (chosen.length < missing) {
    const [name = ''] = [...left.keys()].toSorted(
      (a, b) => (given.get(a) ?? 0) - (given.get(b) ?? 0) || (left.get(b)?.length ?? 0) - (left.get(a)?.length ?? 0),
    );
    const [next, ...others] = left.get(name) ?? [];
    if (next === undefined) break;
    chosen.push(next);
    given.set(name, (given.get(name) ?? 0) + 1);
    if (others.length === 0) left.delete(name);
    else left.set(name, others);
  }
  return chosen;
}

function sorted(ids: ReadonlySet<string>, asCandidate: (id: string) => Candidate): readonly Candidate[] {
  return [...ids].map(asCandidate).sort(compare);
}

const natural = new Intl.Collator('en', { numeric: true });

/** In the order of the pool; ids that it does not have come last. */
function compare(a: Candidate, b: Candidate): number {
  if (a.traits === undefined && b.traits === undefined) return natural.compare(a.id, b.id);
  return (a.traits?.order ?? Number.MAX_SAFE_INTEGER) - (b.traits?.order ?? Number.MAX_SAFE_INTEGER);
}
