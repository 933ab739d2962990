/**
 * Where one PCI function stands now, for attach and restore: a handful of small reads, no netlink.
 * The inventory reads the same files for everybody; this reads them for one and keeps nothing.
 */
import { statSync } from 'node:fs';
import type { PciFunction } from '../../engine/attachments/port.ts';
import { BerthError } from '../../engine/errors.ts';
import type { IfName, PciAddress } from '../../engine/values.ts';
import { NO_BUSES } from './buses.ts';
import { markExtra, netdevHome, netdevsBelow } from './netdev-homes.ts';
import { createPacer } from './pacer.ts';
import { count, word } from './parse.ts';
import { type FunctionPlace, functionPlace, PCI_DEVICES, physfnOf, virtfnsOf } from './pci.ts';
import { entriesOf, linkNameOf, Notes, parsed, type Scan } from './scan.ts';
import { SlowSlots } from './slow-reads.ts';
import { openTree } from './tree.ts';

/** `undefined` when the function is gone. Throws `Io` when its files cannot be read. */
export async function readPciFunction(root: string, address: PciAddress): Promise<PciFunction | undefined> {
  const notes = new Notes();
  const scan: Scan = {
    tree: openTree(root),
    notes,
    pacer: createPacer(),
    slow: new SlowSlots().scan(0),
    late: () => undefined,
    buses: NO_BUSES,
  };
  const found = readOne(scan, address);
  const [problem] = notes.list();
  if (problem === undefined) return found;
  throw new BerthError({
    code: 'Io',
    reason: 'pci-function-unreadable',
    message: `${address}: ${problem.source}: ${problem.reason}`,
    op: 'pci.read',
  });
}

/** What {@link readPciFunction} says of its incarnation, on the live node. */
export function readIncarnation(address: PciAddress): string | undefined {
  return statSync(`/${PCI_DEVICES}/${address}`, { bigint: true, throwIfNoEntry: false })?.ino.toString();
}

function readOne(scan: Scan, address: PciAddress): PciFunction | undefined {
  const place = placeOf(scan, address);
  if (place === undefined) return undefined;
  const driver = parsed(scan, place, 'driver', linkNameOf(scan, place, 'driver'), word);
  const iommuGroup = parsed(scan, place, 'iommu_group', linkNameOf(scan, place, 'iommu_group'), count);
  const ifname = ownIfname(scan, place);
  const physfn = physfnOf(scan, place);
  const rdma = rdmaDevices(scan, place);
  const pf = physfn === undefined ? undefined : placeOf(scan, physfn);
  const pfIfname = pf === undefined ? undefined : ownIfname(scan, pf);
  const vfIndex = pf && indexBelow(scan, pf, address);
  return {
    address,
    ...(driver === undefined ? {} : { driver }),
    ...(ifname === undefined ? {} : { ifname }),
    ...(pf === undefined
      ? {}
      : { pf: { address: pf.address, ...(pfIfname === undefined ? {} : { ifname: pfIfname }) } }),
    ...(vfIndex === undefined ? {} : { vfIndex }),
    incarnation: place.incarnation,
    ...(rdma.length === 0 ? {} : { rdma }),
    ...(iommuGroup === undefined ? {} : { iommuGroup }),
  };
}

/** Where functions were before, each looked at before it is believed, as all that is remembered here. */
const knownHomes = new Map<PciAddress, string>();

/** Folders of sysfs end with the address: with the folder still there, no other is this function's. */
function placeOf(scan: Scan, address: PciAddress): (FunctionPlace & { readonly incarnation: string }) | undefined {
  const known = knownHomes.get(address);
  const before = known === undefined ? undefined : scan.tree.inode(known);
  if (known !== undefined && before !== undefined)
    return { address, home: known, name: `${PCI_DEVICES}/${address}`, incarnation: before };
  const place = functionPlace(scan, address);
  const incarnation = place === undefined ? undefined : scan.tree.inode(place.home);
  if (place === undefined || incarnation === undefined) return undefined;
  knownHomes.set(address, place.home);
  return { ...place, incarnation };
}

/** Asked first whether there are any: for most there are none, and an exception would cost more than all the rest. */
function rdmaDevices(scan: Scan, place: FunctionPlace): readonly string[] {
  const folder = `${place.home}/infiniband`;
  if (scan.tree.subfolders(folder) === undefined) return [];
  return entriesOf(scan, folder)
    .map((entry) => entry.name)
    .filter((name) => word(name) !== undefined)
    .sort();
}

/** VF numbers: a PF has a link for each of its VFs, and reading a hundred of them is most of the work. */
const knownIndexes = new Map<PciAddress, number>();

function indexBelow(scan: Scan, pf: FunctionPlace, address: PciAddress): number | undefined {
  const known = knownIndexes.get(address);
  if (known !== undefined && linkNameOf(scan, pf, `virtfn${known}`) === address) return known;
  const found = virtfnsOf(scan, pf).find((vf) => vf.address === address)?.index;
  if (found === undefined) knownIndexes.delete(address);
  else knownIndexes.set(address, found);
  return found;
}

/** Where a netdev of a function was, by the function's folder. */
const knownNetdevs = new Map<string, { readonly ifname: IfName; readonly folder: string }>();

/** The function's own netdev in the namespace that /sys shows; not a representor's or another port's. */
function ownIfname(scan: Scan, place: FunctionPlace): IfName | undefined {
  const { tree } = scan;
  const known = knownNetdevs.get(place.home);
  // With one netdev in all namespaces, the one that is here is that one.
  if (known !== undefined && tree.subfolders(known.folder) === 1 && tree.inode(`${known.folder}/${known.ifname}`))
    return known.ifname;
  const below = netdevsBelow(scan, place.home);
  const names = below.map(({ ifname }) => ifname);
  const [first] = below;
  if (first !== undefined) knownNetdevs.set(place.home, { ifname: first.ifname, folder: parentOf(first.home) });
  if (names.length <= 1) return first?.ifname;
  const homes = names.map((name) => netdevHome(scan, name)).filter((home) => home !== undefined);
  return markExtra(scan, homes).find((home) => home.extra === undefined)?.ifname;
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}
