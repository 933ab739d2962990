/** Devices in few words: `eth0#0-3,7` for VFs of one PF, instead of a line for each. */
import { indexRanges } from '../engine/inventory/index-ranges.ts';

/** What a place in a table can be made of. */
export interface Placed {
  readonly ifname?: string;
  readonly pf?: string;
  readonly vf?: number;
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
    const range = `${first.pf}#${indexRanges(devices.flatMap(({ vf }) => vf ?? [])).join(',')}`;
    return devices.length === 1 ? `${range} (${id})` : range;
  }
  return first.ifname === undefined || first.ifname === id ? id : `${first.ifname} (${id})`;
}
