/**
 * Names of PCI vendors and devices from the `pci.ids` file that distributions ship. Optional: on a
 * node without it devices have no names. The file has 1.4 MB and is streamed; only the names of
 * devices that the node has are kept.
 */
import { createReadStream } from 'node:fs';
import { access } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

/** Names as the file writes them. */
export interface PciName {
  readonly vendorName?: string;
  readonly deviceName?: string;
}

/** Names of the devices asked for. */
export interface PciNames {
  /** Reads the file for the pairs not yet known. Throws when the file is there and cannot be read. */
  load(pairs: Iterable<PciPair>): Promise<void>;
  /** Empty when nothing is known. */
  get(pair: PciPair): PciName;
}

/** Vendor and device id, four lower-case hexadecimal digits each. */
export interface PciPair {
  readonly vendor: string;
  readonly device: string;
}

const PLACES: readonly string[] = [
  '/usr/share/misc/pci.ids',
  '/usr/share/hwdata/pci.ids',
  '/usr/share/misc/pci.ids.gz',
  '/usr/share/hwdata/pci.ids.gz',
];

const NOTHING: PciName = {};
const LINE_LIMIT = 512;

/** Names of nobody. */
export const noPciNames: PciNames = { load: async () => undefined, get: () => NOTHING };

/** Takes the first of `places` that exists. */
export function createPciNames(places: readonly string[] = PLACES): PciNames {
  const known = new Map<string, PciName>();
  const keyOf = ({ vendor, device }: PciPair) => `${vendor}:${device}`;
  return {
    get: (pair) => known.get(keyOf(pair)) ?? NOTHING,
    load: async (pairs) => {
      const wanted = new Set([...pairs].map(keyOf).filter((key) => !known.has(key)));
      if (wanted.size === 0) return;
      const place = await firstExisting(places);
      const found = place === undefined ? new Map<string, PciName>() : await search(place, wanted);
      for (const key of wanted) known.set(key, found.get(key) ?? NOTHING);
    },
  };
}

async function firstExisting(places: readonly string[]): Promise<string | undefined> {
  for (const place of places) {
    const isThere = await access(place).then(
      () => true,
      () => false,
    );
    if (isThere) return place;
  }
  return undefined;
}

async function search(place: string, wanted: ReadonlySet<string>): Promise<Map<string, PciName>> {
  const found = new Map<string, PciName>();
  const vendors = new Set([...wanted].map((key) => key.slice(0, 4)));
  let vendor: { readonly id: string; readonly name: string } | undefined;
  const take = (line: string): void => {
    if (line.startsWith('\t')) {
      const device = vendor === undefined || line.startsWith('\t\t') ? undefined : entry(line.slice(1));
      if (vendor === undefined || device === undefined) return;
      const key = `${vendor.id}:${device.id}`;
      if (wanted.has(key)) found.set(key, { vendorName: vendor.name, deviceName: device.name });
      return;
    }
    const next = entry(line);
    if (next === undefined) return;
    vendor = vendors.has(next.id) ? next : undefined;
    for (const key of wanted) if (key.startsWith(next.id)) found.set(key, { vendorName: next.name });
  };
  const lines = async (source: AsyncIterable<Buffer | string>): Promise<void> => {
    let rest = '';
    for await (const chunk of source) {
      const pieces = (rest + chunk.toString()).split('\n');
      rest = (pieces.pop() ?? '').slice(0, LINE_LIMIT);
      for (const piece of pieces) take(piece);
    }
    take(rest);
  };
  const file = createReadStream(place, { encoding: place.endsWith('.gz') ? undefined : 'utf8' });
  await (place.endsWith('.gz') ? pipeline(file, createGunzip(), lines) : pipeline(file, lines));
  return found;
}

/** `8086  Intel Corporation`. Classes (`C 02  Network controller`) and comments do not have this form. */
function entry(line: string): { readonly id: string; readonly name: string } | undefined {
  const [, id, name] = /^([0-9a-f]{4}) {2}(.{1,256})$/.exec(line) ?? [];
  return id === undefined || name === undefined ? undefined : { id, name: name.trim() };
}
