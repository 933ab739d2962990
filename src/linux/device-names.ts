/** What devices are called: the words of pci.ids, and representors beside their VFs, added to what was read. */
import type { Inventory, Nic, PciFacts } from '../engine/inventory/model.ts';
import { withRepresentors } from '../engine/inventory/representors.ts';
import type { PciNames } from './sysfs/pci-ids.ts';
import { Notes } from './sysfs/scan.ts';

/** Only names that are missing are looked for; what has them all stays the same object. */
export async function named(inventory: Inventory, names: PciNames): Promise<Inventory> {
  const { accelerators, virtual } = inventory;
  const nics = withRepresentors(inventory.nics, virtual);
  const nameless = [...nics, ...(accelerators ?? [])]
    .flatMap((nic): PciFacts[] => [nic, ...nic.vfs])
    .filter((facts) => facts.vendorName === undefined || facts.deviceName === undefined);
  try {
    await names.load(nameless);
  } catch (error) {
    const notes = new Notes();
    notes.add('pci.ids', error);
    return { ...inventory, nics, unread: [...inventory.unread, ...notes.list()] };
  }
  const withName = <T extends PciFacts>(facts: T): T => {
    const name = names.get(facts);
    return name.vendorName === facts.vendorName && name.deviceName === facts.deviceName ? facts : { ...facts, ...name };
  };
  const withNamedVfs = (nic: Nic): Nic => {
    const vfs = nic.vfs.map(withName);
    return vfs.every((vf, index) => vf === nic.vfs[index]) ? nic : { ...nic, vfs };
  };
  const all = (list: readonly Nic[]): readonly Nic[] => list.map((nic) => withName(withNamedVfs(nic)));
  return {
    ...inventory,
    nics: all(nics),
    ...(accelerators === undefined ? {} : { accelerators: all(accelerators) }),
  };
}
