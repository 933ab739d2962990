/**
 * Structural sharing of inventories: what did not change keeps its identity, so that `===` tells
 * what did, and watchers need not compare two thousand devices field by field.
 */
import type { Inventory, Nic, Vf, VirtualLink } from './model.ts';

/** `next`, with every part that equals its counterpart in `previous` replaced by that; `previous` itself when all do. */
export function shareInventory(previous: Inventory, next: Inventory): Inventory {
  return shareFields(previous, {
    node: shareValue(previous.node, next.node),
    nics: shareList(previous.nics, next.nics, (nic) => nic.address, shareNic),
    ...accelerators(previous, next),
    virtual: shareList(previous.virtual, next.virtual, (link) => link.ifindex, shareValue<VirtualLink>),
    findings: shareValue(previous.findings, next.findings),
    unread: shareValue(previous.unread, next.unread),
    ...(next.groupmates === undefined ? {} : { groupmates: shareValue(previous.groupmates, next.groupmates) }),
  });
}

function accelerators(previous: Inventory, next: Inventory): Pick<Inventory, 'accelerators'> {
  if (next.accelerators === undefined) return {};
  return { accelerators: shareList(previous.accelerators ?? [], next.accelerators, (one) => one.address, shareNic) };
}

function shareNic(previous: Nic, next: Nic): Nic {
  return shareFields(previous, {
    ...next,
    vfs: shareList(previous.vfs, next.vfs, (vf) => vf.address, shareValue<Vf>),
  });
}

function shareValue<T>(previous: T | undefined, next: T): T {
  return previous !== undefined && isSame(previous, next) ? previous : next;
}

/** One level only: the fields have been shared before. */
function shareFields<T extends object>(previous: T, next: T): T {
  if (previous === next) return previous;
  const before = previous as Readonly<Record<string, unknown>>;
  const after = next as Readonly<Record<string, unknown>>;
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  for (const name of names) if (!isSame(before[name], after[name])) return next;
  return previous;
}

function shareList<T>(
  previous: readonly T[],
  next: readonly T[],
  key: (item: T) => unknown,
  share: (previous: T, next: T) => T,
): readonly T[] {
  if (previous === next) return previous;
  const before = new Map(previous.map((item) => [key(item), item]));
  const shared = next.map((item) => {
    const old = before.get(key(item));
    return old === undefined || old === item ? item : share(old, item);
  });
  const isUnchanged = shared.length === previous.length && shared.every((item, index) => item === previous[index]);
  return isUnchanged ? previous : shared;
}

/** Deep equality of plain data; a field that is absent equals one that is `undefined`. */
export function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  if (Array.isArray(one) || Array.isArray(other)) {
    if (!Array.isArray(one) || !Array.isArray(other) || one.length !== other.length) return false;
    return one.every((item, index) => isSame(item, other[index]));
  }
  const left = one as Readonly<Record<string, unknown>>;
  const right = other as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(left)) if (!isSame(left[name], right[name])) return false;
  for (const name of Object.keys(right)) if (!(name in left) && right[name] !== undefined) return false;
  return true;
}
