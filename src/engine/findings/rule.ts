/** What a rule is, and the words that all rules need. A rule is pure: the same node gives the same findings. */
import { indexRanges } from '../inventory/index-ranges.ts';
import type { Finding, Inventory, Nic, PcieLink, Vf } from '../inventory/model.ts';
import type { ByDevice, DeviceOwner } from '../view.ts';

/** What a rule may look at. */
export interface FindingContext {
  readonly inventory: Inventory;
  /** Resource that offers a device. */
  readonly pools: ByDevice<string>;
  /** Empty where nobody knows the pods. */
  readonly owners: ByDevice<DeviceOwner>;
  /** Why no pool takes a device; absent where no pools were evaluated. */
  readonly unused?: ReadonlyMap<string, readonly string[]>;
}

/** A finding without what its rule adds. */
export type Noticed = Omit<Finding, 'id' | 'reference'>;

export interface FindingRule {
  /** Kebab-case; has a section of that name in docs/inventory.md. */
  readonly id: string;
  find(context: FindingContext): readonly Noticed[];
}

/** `eth0 (0000:41:00.0)`, or the address alone. */
export function nameOf({ address, ifname }: Nic | Vf): string {
  return ifname === undefined ? address : `${ifname} (${address})`;
}

/** `VF 3`, `VFs 0-7, 9`: what a person can read of 128 VFs with the same finding. */
export function vfNames(vfs: readonly Vf[]): string {
  const text = indexRanges(vfs.map((vf) => vf.index)).join(', ');
  return `${vfs.length === 1 ? 'VF' : 'VFs'} ${text}`;
}

/** NICs and accelerators: whatever is a PCI function and no VF. */
export function functionsOf({ nics, accelerators = [] }: Inventory): readonly Nic[] {
  return accelerators.length === 0 ? nics : [...nics, ...accelerators];
}

/** `2 NICs`, `1 NIC and 2 accelerators`. */
export function countText({ nics, accelerators = [] }: Pick<Inventory, 'nics' | 'accelerators'>): string {
  const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
  return [
    ...(nics.length === 0 && accelerators.length > 0 ? [] : [counted(nics.length, 'NIC')]),
    ...(accelerators.length === 0 ? [] : [counted(accelerators.length, 'accelerator')]),
  ].join(' and ');
}

/** One finding for each NIC or accelerator with VFs that `matches`; `describe` gets those VFs. */
export function perNic(
  { inventory }: FindingContext,
  matches: (vf: Vf, nic: Nic) => boolean,
  describe: (vfs: readonly Vf[], nic: Nic) => Omit<Noticed, 'subject'>,
): readonly Noticed[] {
  return functionsOf(inventory).flatMap((nic) => {
    const vfs = nic.vfs.filter((vf) => matches(vf, nic));
    return vfs.length === 0 ? [] : [{ subject: nic.address, ...describe(vfs, nic) }];
  });
}

/** A card is one PCI device; its ports are its functions. VFs are not counted. */
export function cardsOf({ nics }: Inventory): readonly (readonly Nic[])[] {
  const ports = Map.groupBy(nics, ({ address }) => address.slice(0, address.lastIndexOf('.')));
  return [...ports.values()];
}

/** What a PCIe link carries after its encoding, in Gbit/s (8b/10b up to 5 GT/s, 128b/130b above). */
export function gbpsOf({ gtps, width }: PcieLink): number | undefined {
  if (gtps === undefined || width === undefined) return undefined;
  return gtps * width * (gtps <= 5 ? 0.8 : 128 / 130);
}

/** `8 GT/s x4`. */
export function linkText({ gtps, width }: PcieLink): string {
  return `${gtps ?? '?'} GT/s x${width ?? '?'}`;
}
