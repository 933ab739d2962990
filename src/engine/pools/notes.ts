/**
 * What a person should know about a pool as a whole on this node: what it names and the node lacks,
 * and ranges that reach beyond the VFs that there are. Nothing of it keeps the pool from being used.
 */

import { macNames, serialNames } from '../inventory/identity.ts';
import type { Inventory, Nic } from '../inventory/model.ts';
import type { LinkIndex } from './links.ts';
import type { SlotPoolSpec, UplinkSelector, VfPoolSpec, VfRange } from './model.ts';
import { formatRange, isOfPf, whyUplinkDiffers } from './selectors.ts';

/** The fields of a selector that name PFs, and what a PF goes by there. */
const PF_FIELDS = [
  ['pfNames', ({ netdev }: Nic) => (netdev === undefined ? [] : [netdev.ifname, ...netdev.altnames])],
  ['rootDevices', ({ address }: Nic) => [address]],
  ['pfSerials', serialNames],
  ['pfMacs', ({ netdev }: Nic) => macNames(netdev)],
] as const satisfies readonly (readonly [keyof VfPoolSpec['selectors'][number], (nic: Nic) => readonly string[]])[];

/** For a pool of functions; each note once. */
export function rangeNotes({ selectors, candidates }: VfPoolSpec, inventory: Inventory): readonly string[] {
  const nics = [...inventory.nics, ...(inventory.accelerators ?? [])];
  const notes = new Set<string>();
  for (const selector of selectors) {
    for (const [field, namesOf] of PF_FIELDS) {
      for (const range of selector[field] ?? []) {
        const pfs = nics.filter((nic) => isOfPf(range, namesOf(nic)));
        if (pfs.length === 0) notes.add(`no PF on the node answers to ${field}: ${formatRange(range)}`);
        // Scalable functions are numbered by whoever makes them.
        if (candidates === 'scalable') continue;
        for (const pf of pfs) {
          const note = beyond(range, pf);
          if (note !== undefined) notes.add(`${field}: ${note}`);
        }
      }
    }
  }
  return [...notes];
}

function beyond(range: VfRange, { address, ifname, sriov, vfs }: Nic): string | undefined {
  const last = Math.max(...(range.ranges ?? []).map(([, end]) => end));
  const count = vfs.length;
  if (range.ranges === undefined || last < count) return undefined;
  const name = ifname ?? address;
  if (sriov === undefined) return `${formatRange(range)} asks for VFs, and ${name} can have none`;
  const total = last < sriov.totalVfs ? '' : `, and ${sriov.totalVfs} at most`;
  return `${formatRange(range)} goes up to VF ${last}, and ${name} has ${count} VFs${total}`;
}

/** For a pool of slots: uplinks that it names and the node does not have. */
export function uplinkNotes({ uplinks }: SlotPoolSpec, index: LinkIndex): readonly string[] {
  return uplinks.flatMap((selector) => missing(selector, index));
}

function missing(selector: UplinkSelector, index: LinkIndex): readonly string[] {
  const links = [...index.links.values()];
  const notes: string[] = [];
  for (const field of ['names', 'altnames', 'pciAddresses'] as const) {
    for (const value of selector[field] ?? []) {
      const alone = { [field]: [value] };
      if (links.every((link) => whyUplinkDiffers(alone, link) !== undefined)) {
        notes.push(`no network device on the node answers to ${field}: ${value}`);
      }
    }
  }
  return notes;
}
