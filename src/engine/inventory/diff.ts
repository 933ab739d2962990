/** What changed between two inventories. Cheap when they share their unchanged parts (`share.ts`). */
import type { Inventory, Nic, Vf, VirtualLink } from './model.ts';
import { isSame } from './share.ts';

/** All that differs. Accelerators are among the NICs, theirs among the VFs. */
export interface InventoryDiff {
  readonly nics: Changes<Nic>;
  readonly vfs: Changes<Vf>;
  readonly virtual: Changes<VirtualLink>;
  /** Facts of the machine itself, or what could not be read. */
  readonly node: boolean;
  readonly unread: boolean;
}

/** Devices by what happened to them; the same device is known by its address or index. */
export interface Changes<T> {
  readonly added: readonly T[];
  readonly removed: readonly T[];
  readonly changed: readonly Change<T>[];
}

/** A device that stayed and differs. */
export interface Change<T> {
  readonly before: T;
  readonly after: T;
  /** Names of the fields that differ, those of `netdev` as `netdev.mtuBytes`. */
  readonly fields: readonly string[];
}

/** A NIC whose VFs changed and nothing else is not in `nics.changed`: its VFs are in `vfs`. */
export function diffInventories(before: Inventory, after: Inventory): InventoryDiff {
  return {
    nics: changes(parentsOf(before), parentsOf(after), (nic) => nic.address),
    vfs: changes(vfsOf(before), vfsOf(after), (vf) => vf.address),
    virtual: changes(before.virtual, after.virtual, (link) => link.ifindex),
    node: !isSame(before.node, after.node),
    unread: !isSame(before.unread, after.unread),
  };
}

/** True when nothing differs. */
export function isEmptyDiff(diff: InventoryDiff): boolean {
  const lists = [diff.nics, diff.vfs, diff.virtual];
  return (
    !diff.node &&
    !diff.unread &&
    lists.every((list) => list.added.length + list.removed.length + list.changed.length === 0)
  );
}

/** The list itself where it is the only one: `===` tells that nothing changed. */
function parentsOf({ nics, accelerators }: Inventory): readonly Nic[] {
  return accelerators === undefined ? nics : [...nics, ...accelerators];
}

function vfsOf(inventory: Inventory): readonly Vf[] {
  return parentsOf(inventory).flatMap((nic) => nic.vfs);
}

function changes<T extends object>(before: readonly T[], after: readonly T[], key: (item: T) => unknown): Changes<T> {
  if (before === after) return { added: [], removed: [], changed: [] };
  const old = new Map(before.map((item) => [key(item), item]));
  const added: T[] = [];
  const changed: Change<T>[] = [];
  for (const item of after) {
    const previous = old.get(key(item));
    old.delete(key(item));
    if (previous === undefined) added.push(item);
    else if (previous !== item) {
      const fields = changedFields(previous, item);
      if (fields.length > 0) changed.push({ before: previous, after: item, fields });
    }
  }
  return { added, removed: [...old.values()], changed };
}

function changedFields(before: object, after: object, prefix = ''): readonly string[] {
  const left = before as Readonly<Record<string, unknown>>;
  const right = after as Readonly<Record<string, unknown>>;
  return [...new Set([...Object.keys(left), ...Object.keys(right)])].flatMap((name) => {
    if (name === 'vfs' || isSame(left[name], right[name])) return [];
    const nested = name === 'netdev' && isObject(left[name]) && isObject(right[name]);
    return nested ? changedFields(left[name] as object, right[name] as object, 'netdev.') : [`${prefix}${name}`];
  });
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}
