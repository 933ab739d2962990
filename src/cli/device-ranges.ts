/** Devices in few words: `eth0#0-3,7` for VFs of one PF, instead of a line for each. */

/** What a place in a table can be made of. */
export interface Placed {
  readonly ifname?: string;
  readonly pf?: string;
  readonly vf?: number;
}

/** `0-3,7` */
export function formatIndexes(indexes: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const index of indexes.toSorted((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last !== undefined && index === last[1] + 1) last[1] = index;
    else if (last?.[1] !== index) parts.push([index, index]);
  }
  return parts.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

/**
 * One label for devices of one PF, or for a single device, with its address where it says more than
 * the name. `idOf` is what a device is called that has no other name.
 */
export function labelOf<Device extends Placed>(devices: readonly Device[], idOf: (device: Device) => string): string {
  const [first] = devices;
  if (first === undefined) return '';
  const id = idOf(first);
  if (first.pf !== undefined && first.vf !== undefined) {
    const range = `${first.pf}#${formatIndexes(devices.flatMap(({ vf }) => vf ?? []))}`;
    return devices.length === 1 ? `${range} (${id})` : range;
  }
  return first.ifname === undefined || first.ifname === id ? id : `${first.ifname} (${id})`;
}
