/**
 * IOMMU groups as vfio sees them: a group can be opened only when no function of it is in a
 * driver's hands that does DMA of its own (drivers/iommu/iommu.c, iommu_group_claim_dma_owner), and
 * by one process at a time.
 */
import type { Inventory, PciFacts } from '../inventory/model.ts';
import type { PciAddress } from '../values.ts';

/** A function of a group, whatever it is. */
export interface GroupMember {
  readonly address: PciAddress;
  readonly class: string;
  readonly driver?: string;
}

const groups = new WeakMap<Inventory, ReadonlyMap<number, readonly GroupMember[]>>();

/** The other functions of its IOMMU group; none where the kernel made no groups. */
export function groupmatesOf({ address, iommuGroup }: PciFacts, inventory: Inventory): readonly GroupMember[] {
  if (iommuGroup === undefined) return [];
  return (groupsOf(inventory).get(iommuGroup) ?? []).filter((member) => member.address !== address);
}

/** Bridges (PCI class 06) and these drivers leave DMA to whoever has the group. */
const YIELDING_DRIVERS = /^(?:vfio|pci-stub$|xen-pciback$|pcieport$)/;

/** The function keeps vfio from opening its group. */
export function keepsGroup({ class: pciClass, driver }: GroupMember): boolean {
  return driver !== undefined && !YIELDING_DRIVERS.test(driver) && !pciClass.startsWith('06');
}

/** One pass for each inventory, whoever asks. */
function groupsOf(inventory: Inventory): ReadonlyMap<number, readonly GroupMember[]> {
  const known = groups.get(inventory);
  if (known !== undefined) return known;
  const made = new Map<number, GroupMember[]>();
  const add = (group: number | undefined, member: GroupMember): void => {
    if (group === undefined) return;
    const members = made.get(group);
    if (members === undefined) made.set(group, [member]);
    else members.push(member);
  };
  for (const nic of [...inventory.nics, ...(inventory.accelerators ?? [])]) {
    add(nic.iommuGroup, nic);
    for (const vf of nic.vfs) add(vf.iommuGroup, vf);
  }
  for (const neighbor of inventory.groupmates ?? []) add(neighbor.iommuGroup, neighbor);
  groups.set(inventory, made);
  return made;
}
