/**
 * What the readers of one scan share: the tree, the notes about what could not be read, and the
 * slots for slow files. Attribute readers answer `undefined` for what is absent or malformed and
 * leave a note for everything that is not plain absence.
 */
import type { Dirent } from 'node:fs';
import type { Unread } from '../../engine/inventory/model.ts';
import type { ChangeHint } from '../../engine/inventory/port.ts';
import type { Buses } from './buses.ts';
import type { Pacer } from './pacer.ts';
import type { SlowReads } from './slow-reads.ts';
import { reasonOf, type Tree } from './tree.ts';

/** One full read or re-read. */
export interface Scan {
  readonly tree: Tree;
  readonly notes: Notes;
  readonly pacer: Pacer;
  readonly slow: SlowReads;
  /** Called when something could only be read after this scan: what to read again. */
  readonly late: (hint: ChangeHint) => void;
  readonly buses: Buses;
}

/** Where a device's attributes are: `home` has no links in it, `name` is the path people know. */
export interface Place {
  readonly home: string;
  /** `sys/bus/pci/devices/<address>` or `sys/class/net/<ifname>`: what notes name. */
  readonly name: string;
}

/** Collects what could not be read, each source once. */
export class Notes {
  readonly #bySource = new Map<string, string>();

  add(source: string, error: unknown): void {
    if (!this.#bySource.has(source)) this.#bySource.set(source, typeof error === 'string' ? error : reasonOf(error));
  }

  list(): readonly Unread[] {
    return [...this.#bySource].map(([source, reason]) => ({ source, reason }));
  }
}

/** Kernel answers that mean "this device has no such value", not that reading failed. */
const NO_VALUE: ReadonlySet<string> = new Set(['EINVAL', 'EOPNOTSUPP', 'ENODATA']);

/** An attribute's text; `undefined` with a note when reading failed. */
export function textOf({ tree, notes }: Scan, place: Place, attribute: string): string | undefined {
  try {
    return tree.text(`${place.home}/${attribute}`);
  } catch (error) {
    return noteUnless(notes, place, attribute, error);
  }
}

/** The same for a file that may wait; when it has not answered by the scan's deadline, `onLate` is called once it has. */
export async function slowTextOf(
  scan: Scan,
  place: Place,
  attribute: string,
  onLate: () => void,
): Promise<string | undefined> {
  // A file of a captured tree answers at once.
  if (!scan.tree.live) return textOf(scan, place, attribute);
  try {
    const path = `${place.home}/${attribute}`;
    return await scan.slow.read(path, () => scan.tree.textLater(path), onLate);
  } catch (error) {
    return noteUnless(scan.notes, place, attribute, error);
  }
}

function noteUnless(notes: Notes, place: Place, attribute: string, error: unknown): undefined {
  const reason = reasonOf(error);
  if (!NO_VALUE.has(reason)) notes.add(`${place.name}/${attribute}`, reason);
  return undefined;
}

/** Parses an attribute; text that `parse` refuses is noted. */
export function parsed<T>(
  { notes }: Scan,
  place: Place,
  attribute: string,
  text: string | undefined,
  parse: (text: string) => T | undefined,
): T | undefined {
  if (text === undefined) return undefined;
  const value = parse(text);
  if (value === undefined) notes.add(`${place.name}/${attribute}`, 'malformed');
  return value;
}

/** Reads and parses one attribute. */
export function attributeOf<T>(
  scan: Scan,
  place: Place,
  attribute: string,
  parse: (text: string) => T | undefined,
): T | undefined {
  return parsed(scan, place, attribute, textOf(scan, place, attribute), parse);
}

/** Last component of a symbolic link's target (`driver`, `iommu_group`, `master`). */
export function linkNameOf({ tree, notes }: Scan, place: Place, link: string): string | undefined {
  try {
    const target = tree.linkTarget(`${place.home}/${link}`);
    return target?.slice(target.lastIndexOf('/') + 1);
  } catch (error) {
    notes.add(`${place.name}/${link}`, error);
    return undefined;
  }
}

/** A folder's entries; empty when there is none or it cannot be read. */
export function entriesOf({ tree, notes }: Pick<Scan, 'tree' | 'notes'>, path: string): readonly Dirent[] {
  try {
    return tree.list(path) ?? [];
  } catch (error) {
    notes.add(path, error);
    return [];
  }
}

/** Where a path really is; `undefined` with a note when it cannot be resolved. */
export function realOf({ tree, notes }: Pick<Scan, 'tree' | 'notes'>, path: string): string | undefined {
  try {
    return tree.real(path);
  } catch (error) {
    notes.add(path, error);
    return undefined;
  }
}
