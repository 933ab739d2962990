/** What PFs counted of their VFs, by address; read now. */
import type { Inventory, VfCounters } from '../engine/inventory/model.ts';
import type { NodeReader } from '../engine/inventory/port.ts';
import type { PciAddress } from '../engine/values.ts';
import type { CountersView } from '../engine/view.ts';

/** One request for each PF, one after the other: some drivers ask firmware for every VF. */
export async function readCounters({ nics }: Inventory, reader: NodeReader): Promise<CountersView> {
  const found: Record<PciAddress, VfCounters> = {};
  for (const { netdev, vfs } of nics) {
    if (netdev === undefined || vfs.length === 0) continue;
    const counted = await reader.vfCounters?.(netdev);
    for (const { address, index } of vfs) {
      const counters = counted?.get(index);
      if (counters !== undefined) found[address] = counters;
    }
  }
  return found;
}
