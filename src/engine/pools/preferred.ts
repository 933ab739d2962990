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
  /** Grows with time; 0 for what was never used. */
  readonly lastUse: (id: string) => number;
}

/** What devices are grouped by; those without the trait are a group of their own. */
type Grouping = (device: DeviceTraits) => GroupName;

type GroupName = string | number | undefined;

const byParent: Grouping = ({ parent }) => parent;
const byPcieRoot: Grouping = ({ pcieRoot }) => pcieRoot;
const byNumaNode: Grouping = ({ numaNode }) => numaNode;

/**
 * At most `size` ids, the same for the same set whatever its order: first those that must be
 * included, then
 * - `packed`: from the PFs (uplinks) of those, then from the PF with the fewest devices that
 *   suffices, and while none does, from the one with the most;
 * - `aligned`: the same for NUMA nodes, within each for PCIe roots, and within those for PFs;
 * - `spread`: one at a time from the PF that gives the fewest so far, of those from the one with the most left;
 * - `least-used`: those that were used longest ago.
 */
export function preferDevices(request: PreferredRequest): readonly string[] {
  const must = inOrder(new Set(request.mustInclude), request).slice(0, Math.max(0, request.size));
  const others = new Set(request.available);
  for (const { id } of must) others.delete(id);
  const free = inOrder(others, request);
  const missing = Math.min(Math.max(0, request.size - must.length), free.length);
  return [...must, ...choose(request, free, must, missing)].map(({ id }) => id);
}

function choose(
  { lastUse, policy }: PreferredRequest,
  free: readonly DeviceTraits[],
  must: readonly DeviceTraits[],
  missing: number,
): readonly DeviceTraits[] {
  switch (policy) {
    case 'packed':
      return pack(free, must, missing, [byParent]);
    case 'aligned':
      return pack(free, must, missing, [byNumaNode, byPcieRoot, byParent]);
    case 'spread':
      return spread(free, must, missing);
    case 'least-used':
      // Sorting is stable: of those that were used at the same time the first in the pool comes first.
      return free.toSorted((a, b) => lastUse(a.id) - lastUse(b.id)).slice(0, missing);
    default:
      throw new Error(`unknown allocation policy ${policy satisfies never}`);
  }
}

/** From as few groups of the first grouping as possible, and within each of them likewise. */
function pack(
  free: readonly DeviceTraits[],
  begun: readonly DeviceTraits[],
  missing: number,
  [grouping, ...finer]: readonly Grouping[],
): readonly DeviceTraits[] {
  if (grouping === undefined) return free.slice(0, missing);
  const groups = Map.groupBy(free, grouping);
  const before = Map.groupBy(begun, grouping);
  const chosen: DeviceTraits[] = [];
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
  groups: ReadonlyMap<GroupName, readonly DeviceTraits[]>,
  begun: ReadonlyMap<GroupName, unknown>,
  needed: number,
): GroupName {
  const [best] = [...groups.keys()].toSorted((a, b) => {
    if (begun.has(a) !== begun.has(b)) return begun.has(a) ? -1 : 1;
    const [aSize = 0, bSize = 0] = [groups.get(a)?.length, groups.get(b)?.length];
    if (aSize >= needed !== bSize >= needed) return aSize >= needed ? -1 : 1;
    return aSize >= needed ? aSize - bSize : bSize - aSize;
  });
  return best;
}

function spread(
  free: readonly DeviceTraits[],
  must: readonly DeviceTraits[],
  missing: number,
): readonly DeviceTraits[] {
  const left = Map.groupBy(free, byParent);
  const given = new Map([...Map.groupBy(must, byParent)].map(([name, devices]) => [name, devices.length]));
  const chosen: DeviceTraits[] = [];
  while (chosen.length < missing) {
    const [name] = [...left.keys()].toSorted(
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

/** In the order of the pool; ids that it does not have come last. */
function inOrder(ids: ReadonlySet<string>, { traitsOf }: PreferredRequest): readonly DeviceTraits[] {
  const devices: DeviceTraits[] = [];
  for (const id of ids) devices.push(traitsOf(id) ?? { id, order: UNKNOWN, parent: '' });
  return devices.sort((a, b) => a.order - b.order || natural.compare(a.id, b.id));
}

const UNKNOWN = Number.MAX_SAFE_INTEGER;
const natural = new Intl.Collator('en', { numeric: true });
