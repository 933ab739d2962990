/**
 * Functions that are no NICs and are in a NIC's IOMMU group. Bridges are left out: the kernel does
 * not count them when a group is handed to a userspace driver (drivers/vfio/vfio_main.c).
 */
import type { PciNeighbor } from '../../engine/inventory/model.ts';
import type { PciAddress } from '../../engine/values.ts';
import { count, word } from './parse.ts';
import { classOf, functionPlace, pciAddresses } from './pci.ts';
import { linkNameOf, parsed, type Scan } from './scan.ts';

const BRIDGE_CLASS = '06';

/** Of all functions but those in `known`, in one of `groups`; by address. */
export async function readGroupmates(
  scan: Scan,
  groups: ReadonlySet<number>,
  known: ReadonlySet<PciAddress>,
): Promise<readonly PciNeighbor[]> {
  const found: PciNeighbor[] = [];
  for (const address of groups.size === 0 ? [] : pciAddresses(scan)) {
    if (known.has(address)) continue;
    if (scan.pacer.due()) await scan.pacer.pause();
    const place = functionPlace(scan, address);
    if (place === undefined) continue;
    const pciClass = classOf(scan, place);
    if (pciClass === undefined || pciClass.startsWith(BRIDGE_CLASS)) continue;
    const iommuGroup = parsed(scan, place, 'iommu_group', linkNameOf(scan, place, 'iommu_group'), count);
    if (iommuGroup === undefined || !groups.has(iommuGroup)) continue;
    const driver = parsed(scan, place, 'driver', linkNameOf(scan, place, 'driver'), word);
    found.push({ address, class: pciClass, ...(driver === undefined ? {} : { driver }), iommuGroup });
  }
  return found;
}
