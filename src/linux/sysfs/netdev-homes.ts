/**
 * Which netdev belongs to which PCI function. A netdev's folder lies below its device's folder, at
 * whatever depth the driver chose (`<function>/net/eth0`, `<function>/virtio0/net/eth0`), so the
 * function is the last PCI address on the netdev's resolved path.
 *
 * One function can show several netdevs (ports of old cards, representors of VFs in switchdev mode,
 * scalable functions): one is the function's own, the others are listed as links of their own.
 */
import { asIfName, asPciAddress, type IfName, type PciAddress } from '../../engine/values.ts';
import { count } from './parse.ts';
import { attributeOf, entriesOf, type Place, realOf, type Scan, textOf } from './scan.ts';

/** A netdev's folder, and the PCI function it lies below. */
export interface NetdevHome extends Place {
  readonly ifname: IfName;
  /** The function it lies below, however deep. */
  readonly function?: PciAddress;
  /** Set for a netdev of a function that has a nearer one: what it is. */
  readonly extra?: 'representor' | 'sf' | 'port';
}

const NET_CLASS = 'sys/class/net';

/** All netdevs that this tree's /sys shows. */
export async function netdevHomes(scan: Scan): Promise<readonly NetdevHome[]> {
  const homes: NetdevHome[] = [];
  for (const entry of entriesOf(scan, NET_CLASS)) {
    if (scan.pacer.due()) await scan.pacer.pause();
    // bonding_masters is a plain file in this folder.
    if (entry.isFile()) continue;
    const home = netdevHome(scan, entry.name);
    if (home !== undefined) homes.push(home);
  }
  return markExtra(scan, homes);
}

/** One netdev by name; `undefined` when there is none. `extra` is not judged here. */
export function netdevHome(scan: Scan, name: string): NetdevHome | undefined {
  const at = `${NET_CLASS}/${name}`;
  const ifname = asIfName(name);
  if (ifname === undefined) {
    scan.notes.add(NET_CLASS, 'an entry is not an interface name');
    return undefined;
  }
  const home = realOf(scan, at);
  if (home === undefined) return undefined;
  // A tree without links has the netdev's folder right here; its `device` link tells the function.
  const path = home === at ? (realOf(scan, `${at}/device`) ?? home) : home;
  const address = functionOf(path);
  return { ifname, home, name: at, ...(address === undefined ? {} : { function: address }) };
}

/** The last PCI address on a device's path. */
export function functionOf(path: string): PciAddress | undefined {
  return path
    .split('/')
    .map((component) => asPciAddress(component))
    .findLast((address) => address !== undefined);
}

/** Names the netdevs that are not a function's own. */
export function markExtra(scan: Scan, homes: readonly NetdevHome[]): readonly NetdevHome[] {
  const byFunction = Map.groupBy(homes, (home) => home.function);
  return homes.map((home) => {
    const siblings = home.function === undefined ? undefined : byFunction.get(home.function);
    if (siblings === undefined || (siblings.length === 1 && !isScalable(home))) return home;
    const extra = roleOf(scan, home) ?? (home === mainPort(scan, siblings) ? undefined : 'port');
    return extra === undefined ? home : { ...home, extra };
  });
}

/** The lowest port of a function; ports are ordered by `dev_port`, then by name. */
function mainPort(scan: Scan, siblings: readonly NetdevHome[]): NetdevHome | undefined {
  const ports = siblings.filter((sibling) => roleOf(scan, sibling) === undefined);
  const ranked = ports.map((port) => ({ port, rank: attributeOf(scan, port, 'dev_port', count) ?? 0 }));
  ranked.sort((one, other) => one.rank - other.rank || (one.port.ifname < other.port.ifname ? -1 : 1));
  return ranked[0]?.port;
}

function roleOf(scan: Scan, home: NetdevHome): 'representor' | 'sf' | undefined {
  if (isScalable(home)) return 'sf';
  const port = textOf(scan, home, 'phys_port_name');
  // A switch calls its representors `pf0vf3`, `c1pf0sf8` (net/devlink/port.c, phys_port_name).
  return port !== undefined && /^(c[0-9]+)?pf[0-9]+(vf|sf)[0-9]+$/.test(port) ? 'representor' : undefined;
}

function isScalable(home: NetdevHome): boolean {
  return /\.sf\.[0-9]+\//.test(home.home);
}

/** Folders below a function that are large and never hold its netdev. */
const NOT_BELOW: ReadonlySet<string> = new Set([
  'power',
  'msi_irqs',
  'link',
  'wakeup',
  'hwmon',
  'ptp',
  'iommu',
  'infiniband',
]);
const DEPTH_LIMIT = 3;

/** Names of the netdevs below a function's folder, found by walking: for a single function, and for trees without class/net. */
export function netdevsBelow(
  scan: Scan,
  home: string,
  depth = 0,
): readonly { readonly ifname: IfName; readonly home: string }[] {
  const folders = entriesOf(scan, home).filter((entry) => entry.isDirectory() && !NOT_BELOW.has(entry.name));
  if (folders.some((entry) => entry.name === 'net')) {
    return entriesOf(scan, `${home}/net`).flatMap((entry) => {
      const ifname = asIfName(entry.name);
      return ifname === undefined ? [] : [{ ifname, home: `${home}/net/${ifname}` }];
    });
  }
  if (depth === DEPTH_LIMIT) return [];
  return folders
    .filter((entry) => asPciAddress(entry.name) === undefined)
    .flatMap((entry) => netdevsBelow(scan, `${home}/${entry.name}`, depth + 1));
}
