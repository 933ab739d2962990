/** Attributes of one netdev (Documentation/ABI/testing/sysfs-class-net), joined with the facts that only netlink tells. */
import type { Netdev, VirtualLink } from '../../engine/inventory/model.ts';
import { asMacAddress, type MacAddress } from '../../engine/values.ts';
import type { LinkFacts, LinkRef } from '../facts/source.ts';
import type { NetdevHome } from './netdev-homes.ts';
import { count, flag, hexNumber, integer, linkType, ueventValue, word } from './parse.ts';
import { attributeOf, entriesOf, linkNameOf, parsed, type Scan, slowTextOf, textOf } from './scan.ts';

const IFF_UP = 1;

/** What is known of the links besides their attributes. */
export interface KnownLinks {
  /** `undefined` where nobody could ask, or the link is gone. */
  facts(ifindex: number): Promise<LinkFacts | undefined>;
  hasDefaultRoute(link: LinkRef): boolean;
}

/** `undefined` when the netdev went away, or its folder has no index (then there is a note). */
export async function readNetdev(scan: Scan, home: NetdevHome, known: KnownLinks): Promise<Netdev | undefined> {
  const ifindex = attributeOf(scan, home, 'ifindex', count);
  if (ifindex === undefined) {
    if (entriesOf(scan, home.home).length > 0) scan.notes.add(`${home.name}/ifindex`, 'missing');
    return undefined;
  }
  const flags = attributeOf(scan, home, 'flags', hexNumber);
  const adminUp = flags === undefined ? undefined : (flags & IFF_UP) !== 0;
  const mac = attributeOf(scan, home, 'address', macOrNone);
  const mtuBytes = attributeOf(scan, home, 'mtu', count);
  const operstate = attributeOf(scan, home, 'operstate', word);
  const type = attributeOf(scan, home, 'type', linkType);
  const stacked = entriesOf(scan, home.home).map((entry) => entry.name);
  const isEnslaved = stacked.includes('master');
  const master = isEnslaved ? linkNameOf(scan, home, 'master') : undefined;
  const facts = await known.facts(ifindex);
  const onLate = () => scan.late({ kind: 'link', ifindex, ifname: home.ifname, action: 'new' });
  // The kernel answers neither while the link is down.
  const carrier = adminUp === false ? undefined : (facts?.carrier ?? (await carrierOf(scan, home, onLate)));
  const speedMbps = adminUp === false || carrier === false ? undefined : await speedOf(scan, home, onLate);
  return {
    ifname: home.ifname,
    ifindex,
    altnames: facts?.altnames ?? [],
    ...(mac === undefined || mac === 'none' ? {} : { mac }),
    ...(facts?.permanentMac === undefined ? {} : { permanentMac: facts.permanentMac }),
    ...(mtuBytes === undefined ? {} : { mtuBytes }),
    ...(adminUp === undefined ? {} : { adminUp }),
    ...(operstate === undefined ? {} : { operstate }),
    ...(carrier === undefined ? {} : { carrier }),
    ...(speedMbps === undefined ? {} : { speedMbps }),
    ...(type === undefined ? {} : { linkType: type }),
    ...(master === undefined ? {} : { master }),
    uppers: namesAfter('upper_', stacked),
    lowers: namesAfter('lower_', stacked),
    addresses: facts?.addresses ?? [],
    defaultRoute: known.hasDefaultRoute({ ifindex, ifname: home.ifname }),
    ...(facts?.physPortId === undefined ? {} : { physPortId: facts.physPortId }),
    ...(facts?.physPortName === undefined ? {} : { physPortName: facts.physPortName }),
    ...(facts?.physSwitchId === undefined ? {} : { physSwitchId: facts.physSwitchId }),
  };
}

function namesAfter(prefix: string, entries: readonly string[]): readonly string[] {
  return entries
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length))
    .sort();
}

/** Tunnels have addresses of other lengths, or an empty one: no hardware address, and no mistake. */
function macOrNone(text: string): MacAddress | 'none' | undefined {
  return asMacAddress(text) ?? (/^([0-9a-f]{2}(:[0-9a-f]{2})*)?$/.test(text) ? 'none' : undefined);
}

async function carrierOf(scan: Scan, home: NetdevHome, onLate: () => void): Promise<boolean | undefined> {
  return parsed(scan, home, 'carrier', await slowTextOf(scan, home, 'carrier', onLate), flag);
}

/** -1 and 0 mean "unknown" (SPEED_UNKNOWN); some drivers print it unsigned. */
async function speedOf(scan: Scan, home: NetdevHome, onLate: () => void): Promise<number | undefined> {
  const speed = parsed(scan, home, 'speed', await slowTextOf(scan, home, 'speed', onLate), integer);
  return speed === undefined || speed <= 0 || speed === 0xffffffff ? undefined : speed;
}

/** A netdev that is not a PCI function's own. */
export async function readVirtualLink(
  scan: Scan,
  home: NetdevHome,
  known: KnownLinks,
): Promise<VirtualLink | undefined> {
  const netdev = await readNetdev(scan, home, known);
  if (netdev === undefined) return undefined;
  const facts = await known.facts(netdev.ifindex);
  return { ...netdev, kind: facts?.kind ?? home.extra ?? kindOf(scan, home, netdev.linkType) };
}

/** Without netlink: DEVTYPE of the uevent file, which many drivers set (`bridge`, `bond`, `vlan`), else `unknown`. */
function kindOf(scan: Scan, home: NetdevHome, type: string | undefined): string {
  if (type === 'loopback') return type;
  const devtype = ueventValue(textOf(scan, home, 'uevent') ?? '', 'DEVTYPE');
  return devtype === undefined ? 'unknown' : (word(devtype) ?? 'unknown');
}
