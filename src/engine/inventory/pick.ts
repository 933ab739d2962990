/** What remains of an inventory when only some devices are asked for. */
import { unknownDevice } from '../view.ts';
import { findDevice } from './lookup.ts';
import type { Finding, Inventory, Nic, PciFacts, PciNeighbor } from './model.ts';

/**
 * The devices of these names, any that {@link findDevice} knows and addresses of accelerators. A NIC
 * comes with all its VFs, a VF with its NIC and no other VF. Findings are those about what remains;
 * what shares an IOMMU group with it stays among the `groupmates`.
 * @throws BerthError `NotFound` (`device-unknown`) for a name of nothing, and as `findDevice` does.
 */
export function pickDevices(inventory: Inventory, names: readonly string[]): Inventory {
  const wanted = new Set(names.map((name) => addressOf(inventory, name)));
  const { accelerators, groupmates = [] } = inventory;
  const nics = inventory.nics.flatMap((nic) => picked(nic, wanted));
  const kept = accelerators?.flatMap((nic) => picked(nic, wanted));
  const virtual = inventory.virtual.filter(({ ifname }) => wanted.has(ifname));
  const remaining = new Set(functionsOf([...nics, ...(kept ?? [])]).map(({ address }) => address));
  const others = functionsOf([...inventory.nics, ...(accelerators ?? [])]).flatMap((facts) =>
    remaining.has(facts.address) ? [] : neighbor(facts),
  );
  const subjects = new Set<string>([...wanted, ...namesOf(nics)]);
  return {
    ...inventory,
    nics,
    virtual,
    ...(kept === undefined ? {} : { accelerators: kept }),
    ...(groupmates.length + others.length === 0 ? {} : { groupmates: [...groupmates, ...others] }),
    findings: inventory.findings.filter(({ subject }: Finding) => subjects.has(subject)),
  };
}

/** The PCI address of what the name stands for, or the interface name of what has none. */
function addressOf(inventory: Inventory, name: string): string {
  const found = findDevice(inventory, name);
  if (found !== undefined) {
    if (found.kind === 'virtual') return found.link.ifname;
    return found.kind === 'nic' ? found.nic.address : found.vf.address;
  }
  const address = name.toLowerCase();
  const accelerator = functionsOf(inventory.accelerators ?? []).find((facts) =>
    [address, `0000:${address}`].includes(facts.address),
  );
  if (accelerator === undefined) throw unknownDevice(name);
  return accelerator.address;
}

function picked(nic: Nic, wanted: ReadonlySet<string>): readonly Nic[] {
  if (wanted.has(nic.address)) return [nic];
  const vfs = nic.vfs.filter(({ address }) => wanted.has(address));
  return vfs.length === 0 ? [] : [{ ...nic, vfs }];
}

function functionsOf(nics: readonly Nic[]): readonly PciFacts[] {
  return nics.flatMap((nic): readonly PciFacts[] => [nic, ...nic.vfs]);
}

/** Findings name PCI functions or their interfaces. */
function namesOf(nics: readonly Nic[]): readonly string[] {
  return nics.flatMap((nic) => [nic, ...nic.vfs]).flatMap(({ address, ifname = address }) => [address, ifname]);
}

function neighbor({ address, class: pciClass, driver, iommuGroup }: PciFacts): readonly PciNeighbor[] {
  if (iommuGroup === undefined) return [];
  return [{ address, class: pciClass, iommuGroup, ...(driver === undefined ? {} : { driver }) }];
}
