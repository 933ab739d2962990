/**
 * Which of the available devices a pod should get: packed, so that devices of one container share
 * a NIC and whole NICs stay free. A proposal; kubelet fills up what is missing. It never fails,
 * because an error would reject the pod for good.
 */

export interface PreferredRequest {
  readonly available: readonly string[];
  /** Devices that the pod has already and the answer must contain. */
  readonly mustInclude: readonly string[];
  readonly size: number;
  /** What devices are packed by: the PF of a VF, the uplink of a slot; `undefined` for unknown ids. */
  readonly groupOf: (id: string) => string | undefined;
}

const natural = new Intl.Collator('en', { numeric: true });

/**
 * At most `size` ids, the same for the same set whatever its order: those that must be included,
 * then from their groups, then from the group with the fewest devices that still suffices, and when
 * none does, from the largest.
 */
export function preferDevices(request: PreferredRequest): readonly string[] {
  const chosen = new Set(request.mustInclude.slice(0, Math.max(0, request.size)));
  const groups = new Map<string, string[]>();
  for (const id of [...new Set(request.available)].toSorted(natural.compare)) {
    if (chosen.has(id)) continue;
    const group = request.groupOf(id) ?? '';
    const members = groups.get(group);
    if (members === undefined) groups.set(group, [id]);
    else members.push(id);
  }
  const begun = new Set([...chosen].map((id) => request.groupOf(id) ?? ''));
  while (chosen.size < request.size && groups.size > 0) {
    const missing = request.size - chosen.size;
    const [group, members] = bestGroup(groups, begun, missing);
    for (const id of members.slice(0, missing)) chosen.add(id);
    groups.delete(group);
  }
  return [...chosen];
}

function bestGroup(
  groups: ReadonlyMap<string, readonly string[]>,
  begun: ReadonlySet<string>,
  missing: number,
): readonly [string, readonly string[]] {
  const ranked = [...groups].toSorted(([a, as], [b, bs]) => {
    if (begun.has(a) !== begun.has(b)) return begun.has(a) ? -1 : 1;
    const aFits = as.length >= missing;
    if (aFits !== bs.length >= missing) return aFits ? -1 : 1;
    return (aFits ? as.length - bs.length : bs.length - as.length) || natural.compare(a, b);
  });
  return ranked[0] ?? ['', []];
}
