/**
 * What is different between two inventories that were saved, perhaps of different boots, releases or
 * nodes. A device is the same when its permanent address, its serial number and port, or its PCI
 * address is, in this order: a card that was moved to another slot is the same card. Works on the
 * JSON form, so that what a newer release wrote is compared, too.
 */
import { isSame } from './share.ts';

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** As `inventory -o json` writes it; whatever else it holds is compared, too. */
export interface SavedInventory {
  readonly node: JsonObject;
  readonly nics: readonly SavedNic[];
  readonly accelerators?: readonly SavedNic[];
  readonly virtual: readonly JsonObject[];
  readonly findings: readonly JsonObject[];
}

type SavedNic = JsonObject & {
  readonly address: string;
  readonly vfs: readonly JsonObject[];
  readonly scalable?: readonly JsonObject[] | undefined;
};

export interface FieldChange {
  /** `netdev.mtuBytes` */
  readonly field: string;
  /** Absent where there was none. */
  readonly before?: unknown;
  readonly after?: unknown;
}

/** One device, link or finding that is other than before. */
export interface InventoryDifference {
  readonly kind: 'node' | 'nic' | 'accelerator' | 'vf' | 'scalable' | 'virtual' | 'finding';
  readonly change: 'added' | 'removed' | 'changed';
  /** How a person finds it: `eth0 (0000:41:00.0)`, `VF 3 of eth0 (0000:41:10.6)`, `bond0`. */
  readonly name: string;
  /** Empty unless `changed`. */
  readonly fields: readonly FieldChange[];
}

/** Numbers that another boot gives anew, without meaning, and those that change all the time. */
const MEANINGLESS: ReadonlySet<string> = new Set([
  'netdev.ifindex',
  'ifindex',
  'owner.since',
  'counters',
  'ownCounters',
]);

/** In the order node, NICs and accelerators each with its VFs and scalable functions, links, findings. */
export function compareInventories(before: SavedInventory, after: SavedInventory): readonly InventoryDifference[] {
  return [
    ...changed('node', 'node', before.node, after.node),
    ...nicDifferences('nic', before.nics, after.nics),
    ...nicDifferences('accelerator', before.accelerators ?? [], after.accelerators ?? []),
    ...listDifferences('virtual', before.virtual, after.virtual, (link) => textOf(link.ifname)),
    ...findingDifferences(before.findings, after.findings),
  ];
}

function nicDifferences(
  kind: 'nic' | 'accelerator',
  before: readonly SavedNic[],
  after: readonly SavedNic[],
): readonly InventoryDifference[] {
  const pairs = paired(before, after);
  return pairs.flatMap(([old, now]) => {
    const nic = now ?? old;
    const name = nic === undefined ? '' : nameOf(nic);
    if (old === undefined || now === undefined) {
      return [{ kind, change: old === undefined ? 'added' : 'removed', name, fields: [] }];
    }
    const { vfs: oldVfs, scalable: oldScalable = [], ...oldFacts } = old;
    const { vfs, scalable = [], ...facts } = now;
    return [
      ...changed(kind, name, oldFacts, facts),
      ...listDifferences(
        'vf',
        oldVfs,
        vfs,
        (vf) => textOf(vf.index),
        (vf) => `VF ${textOf(vf.index)} of ${textOf(now.ifname) || now.address} (${textOf(vf.address)})`,
      ),
      ...listDifferences(
        'scalable',
        oldScalable,
        scalable,
        (sf) => textOf(sf.sfnum),
        (sf) => `SF ${textOf(sf.sfnum)} of ${textOf(now.ifname) || now.address} (${textOf(sf.name)})`,
      ),
    ];
  });
}

/** Each device of both sides once, those that are the same together. */
function paired(
  before: readonly SavedNic[],
  after: readonly SavedNic[],
): readonly (readonly [SavedNic | undefined, SavedNic | undefined])[] {
  const left = new Set(before);
  const partners = new Map<SavedNic, SavedNic>();
  for (const identify of [permanentMac, serialAndPort, (nic: SavedNic) => nic.address]) {
    for (const nic of after) {
      const identity = identify(nic);
      if (identity === undefined || partners.has(nic)) continue;
      const same = [...left].filter((old) => identify(old) === identity);
      // Two with one identity tell nothing: ports of a card may share a serial number.
      const [old] = same;
      if (old === undefined || same.length > 1 || (identify !== permanentMac && isAnother(old, nic))) continue;
      partners.set(nic, old);
      left.delete(old);
    }
  }
  return [
    ...after.map((nic) => [partners.get(nic), nic] as const),
    ...[...left].map((old) => [old, undefined] as const),
  ];
}

/** Known to be two different ports, whatever slot they are in. */
function isAnother(one: SavedNic, other: SavedNic): boolean {
  const [left, right] = [permanentMac(one), permanentMac(other)];
  return left !== undefined && right !== undefined && left !== right;
}

function permanentMac({ netdev }: SavedNic): string | undefined {
  return isObject(netdev) && typeof netdev.permanentMac === 'string' ? netdev.permanentMac : undefined;
}

function serialAndPort({ address, serial }: SavedNic): string | undefined {
  return typeof serial === 'string' ? `${serial}@${address.slice(address.lastIndexOf('.') + 1)}` : undefined;
}

function nameOf({ address, ifname }: SavedNic): string {
  return typeof ifname === 'string' ? `${ifname} (${address})` : address;
}

function listDifferences(
  kind: InventoryDifference['kind'],
  before: readonly JsonObject[],
  after: readonly JsonObject[],
  identify: (item: JsonObject) => string,
  nameIt: (item: JsonObject) => string = identify,
): readonly InventoryDifference[] {
  const old = new Map(before.map((item) => [identify(item), item]));
  const found = after.flatMap((item): readonly InventoryDifference[] => {
    const previous = old.get(identify(item));
    old.delete(identify(item));
    if (previous === undefined) return [{ kind, change: 'added', name: nameIt(item), fields: [] }];
    return changed(kind, nameIt(item), previous, item);
  });
  const gone = [...old.values()].map((item) => ({ kind, change: 'removed' as const, name: nameIt(item), fields: [] }));
  return [...found, ...gone];
}

/** A finding is the same when it says the same: with other figures it is another. */
function findingDifferences(
  before: readonly JsonObject[],
  after: readonly JsonObject[],
): readonly InventoryDifference[] {
  const name = (item: JsonObject): string => `${textOf(item.severity)} ${textOf(item.id)}: ${textOf(item.evidence)}`;
  return listDifferences('finding', before, after, name).filter(({ change }) => change !== 'changed');
}

function changed(
  kind: InventoryDifference['kind'],
  name: string,
  before: JsonObject,
  after: JsonObject,
): readonly InventoryDifference[] {
  const fields = fieldChanges(before, after, '');
  return fields.length === 0 ? [] : [{ kind, change: 'changed', name, fields }];
}

function fieldChanges(before: JsonObject, after: JsonObject, prefix: string): readonly FieldChange[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key): readonly FieldChange[] => {
    const field = `${prefix}${key}`;
    const [old, now] = [before[key], after[key]];
    if (MEANINGLESS.has(field) || isSame(old, now)) return [];
    if (isObject(old) && isObject(now)) return fieldChanges(old, now, `${field}.`);
    return [{ field, ...(old === undefined ? {} : { before: old }), ...(now === undefined ? {} : { after: now }) }];
  });
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}
