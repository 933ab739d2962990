/**
 * Devices as the pages show them: NICs, VFs, and scalable functions, which the stream has as entries of
 * their NIC. Each has a place of its own, so here they are taken out of their NIC, and a change of a NIC
 * is one of its scalable functions as well.
 */
import type { SparseDevice, SparseNic, SparseScalable, SparseVf } from '../engine/cluster/document.ts';

/** `address` is its name on the auxiliary bus; `nic` the NIC below which it stands. */
export type ShownScalable = SparseScalable & { readonly address: string; readonly nic: string };

export type ShownDevice = SparseDevice | ShownScalable;

export function isVf(device: ShownDevice): device is SparseVf {
  return 'pf' in device;
}

export function isScalable(device: ShownDevice): device is ShownScalable {
  return 'sfnum' in device;
}

export function isNic(device: ShownDevice): device is SparseNic {
  return !isVf(device) && !isScalable(device);
}

/** By address, each NIC followed by its scalable functions. */
export function shownDevices(devices: Iterable<SparseDevice>): Map<string, ShownDevice> {
  return new Map<string, ShownDevice>(
    [...devices].flatMap((device) => [[device.address, device] as const, ...scalableOf(device)]),
  );
}

/** The same change with the scalable functions of its NICs; those that are gone are `null`. */
export function shownChange(
  changed: Readonly<Record<string, SparseDevice | null>>,
  before: ReadonlyMap<string, ShownDevice>,
): Readonly<Record<string, ShownDevice | null>> {
  const all: Record<string, ShownDevice | null> = {};
  for (const [address, device] of before) {
    if (isScalable(device) && device.nic in changed) all[address] = null;
  }
  for (const [address, device] of Object.entries(changed)) {
    all[address] = device;
    if (device !== null) Object.assign(all, Object.fromEntries(scalableOf(device)));
  }
  return all;
}

/** Puts it into what is kept. */
export function applyShown(
  devices: Map<string, ShownDevice>,
  changed: Readonly<Record<string, ShownDevice | null>>,
): void {
  for (const [address, device] of Object.entries(changed)) {
    if (device === null) devices.delete(address);
    else devices.set(address, device);
  }
}

function scalableOf(device: SparseDevice): readonly (readonly [string, ShownScalable])[] {
  if (isVf(device)) return [];
  return (device.scalable ?? []).map((sf) => [sf.name, { ...sf, address: sf.name, nic: device.address }]);
}
