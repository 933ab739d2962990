/**
 * The node as a live view shows it: one flat entry for each device, so that a change is a handful
 * of entries and not a node of two thousand. Entries that did not change keep their identity.
 */
import type { Finding, Inventory, Nic, ScalableFunction, Vf } from '../inventory/model.ts';
import { isSame } from '../inventory/share.ts';
import { type Standing, standingOf } from '../inventory-view.ts';
import type { PciAddress } from '../values.ts';
import type { InventoryView } from '../view.ts';

/** A NIC (without its VFs) or a VF, as `inventory -o json` has it. */
export type FeedDevice = (FlatNic | Vf) & Standing;

type FlatNic = Omit<Nic, 'vfs' | 'scalable'> & { readonly scalable?: readonly FeedScalable[] };

/** A scalable function: an entry of its NIC's. */
export type FeedScalable = ScalableFunction & Standing;

/** All that a live view shows. */
export interface FeedDocument {
  readonly node: Inventory['node'];
  /** NICs by address, then accelerators, each followed by its VFs. */
  readonly devices: ReadonlyMap<PciAddress, FeedDevice>;
  readonly virtual: Inventory['virtual'];
  readonly findings: readonly Finding[];
}

/** What is other than before; absent parts did not change. A device that is gone is `null`. */
export interface FeedChange {
  readonly node?: FeedDocument['node'];
  readonly devices?: Readonly<Record<PciAddress, FeedDevice | null>>;
  readonly virtual?: FeedDocument['virtual'];
  readonly findings?: FeedDocument['findings'];
}

/** The document of a view; what equals its counterpart in `previous` is that. */
export function feedDocument(view: InventoryView, previous?: FeedDocument): FeedDocument {
  const { inventory } = view;
  const devices = new Map<PciAddress, FeedDevice>();
  const add = (device: Nic | Vf): void => {
    const before = previous?.devices.get(device.address);
    devices.set(device.address, shared(before, device, view));
  };
  for (const nic of [...inventory.nics, ...(inventory.accelerators ?? [])]) {
    add(nic);
    for (const vf of nic.vfs) add(vf);
  }
  const keep = <T>(before: T | undefined, now: T): T => (before !== undefined && isSame(before, now) ? before : now);
  return {
    node: keep(previous?.node, inventory.node),
    devices,
    virtual: keep(previous?.virtual, inventory.virtual),
    findings: keep(previous?.findings, inventory.findings),
  };
}

/** `undefined` when nothing differs. */
export function feedChange(before: FeedDocument, now: FeedDocument): FeedChange | undefined {
  const devices: Record<PciAddress, FeedDevice | null> = {};
  for (const [address, device] of now.devices) if (before.devices.get(address) !== device) devices[address] = device;
  for (const address of before.devices.keys()) if (!now.devices.has(address)) devices[address] = null;
  const change: FeedChange = {
    ...(before.node === now.node ? {} : { node: now.node }),
    ...(Object.keys(devices).length === 0 ? {} : { devices }),
    ...(before.virtual === now.virtual ? {} : { virtual: now.virtual }),
    ...(before.findings === now.findings ? {} : { findings: now.findings }),
  };
  return Object.keys(change).length === 0 ? undefined : change;
}

/** The document with the change put in: the other end of `feedChange`, for who keeps one. */
export function applyChange(document: FeedDocument, change: FeedChange): FeedDocument {
  const devices = new Map(document.devices);
  for (const [address, device] of Object.entries(change.devices ?? {}) as [PciAddress, FeedDevice | null][]) {
    if (device === null) devices.delete(address);
    else devices.set(address, device);
  }
  return {
    node: change.node ?? document.node,
    devices,
    virtual: change.virtual ?? document.virtual,
    findings: change.findings ?? document.findings,
  };
}

/** What an entry was made of: equal sources make equal entries, and the inventory shares what did not change. */
const sources = new WeakMap<FeedDevice, Nic | Vf>();

function shared(before: FeedDevice | undefined, device: Nic | Vf, view: InventoryView): FeedDevice {
  const standing = standingOf(device.address, view);
  const hasScalable = 'scalable' in device && device.scalable !== undefined;
  if (before !== undefined && sources.get(before) === device && !hasScalable && isStanding(before, standing)) {
    return before;
  }
  const entry: FeedDevice = { ...('pf' in device ? device : flatNic(device, view)), ...standing };
  const result = before !== undefined && isSame(before, entry) ? before : entry;
  sources.set(result, device);
  return result;
}

/** The same without a look at all facts of the device. */
function isStanding(before: FeedDevice, { allocation, owner, pool, problem }: Standing): boolean {
  const isHeldAsBefore = isSame(before.owner, owner) && isSame(before.allocation, allocation);
  return before.pool === pool && before.problem === problem && isHeldAsBefore;
}

function flatNic({ vfs: _, scalable, ...nic }: Nic, view: InventoryView): FlatNic {
  if (scalable === undefined) return nic;
  return { ...nic, scalable: scalable.map((sf) => ({ ...sf, ...standingOf(sf.name, view) })) };
}
