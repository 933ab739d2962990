/**
 * Names of the netdevs that carry a default route, from /proc/net/route and /proc/net/ipv6_route:
 * for trees that were copied by hand and have no facts file. The live node asks netlink.
 */
import { hexNumber, word } from '../sysfs/parse.ts';
import { reasonOf, type Tree } from '../sysfs/tree.ts';

/** A node with many containers has many routes; this is more than a tree of a bug report should hold. */
const LIMIT_BYTES = 4 * 2 ** 20;
/** include/uapi/linux/route.h */
const RTF_UP = 0x0001;
const RTF_REJECT = 0x0200;
const ZERO_V6 = '0'.repeat(32);

/** `undefined` when neither file is there; a file that cannot be read is told to `note`. */
export async function procDefaultRoutes(
  tree: Tree,
  note: (source: string, error: unknown) => void,
): Promise<ReadonlySet<string> | undefined> {
  const v4 = await readTable(tree, 'proc/net/route', note);
  const v6 = await readTable(tree, 'proc/net/ipv6_route', note);
  if (v4 === undefined && v6 === undefined) return undefined;
  return new Set([...(v4 ?? []).flatMap(v4Device), ...(v6 ?? []).flatMap(v6Device)]);
}

async function readTable(
  tree: Tree,
  path: string,
  note: (source: string, error: unknown) => void,
): Promise<readonly (readonly string[])[] | undefined> {
  try {
    const bytes = await tree.bytesLater(path, LIMIT_BYTES);
    return bytes
      ?.toString('utf8')
      .split('\n')
      .map((row) => row.trim().split(/\s+/));
  } catch (error) {
    note(path, reasonOf(error));
    return undefined;
  }
}

/** Iface, Destination, Gateway, Flags, RefCnt, Use, Metric, Mask (net/ipv4/fib_trie.c, fib_route_seq_show). */
function v4Device(row: readonly string[]): readonly string[] {
  const [ifname, destination, , flags, , , , mask] = row;
  return destination === '00000000' && mask === '00000000' ? usable(ifname, flags) : [];
}

/** Destination, prefix length, source, its length, next hop, metric, reference count, use, flags, device (net/ipv6/route.c). */
function v6Device(row: readonly string[]): readonly string[] {
  const [destination, length, , , , , , , flags, ifname] = row;
  return destination === ZERO_V6 && length === '00' ? usable(ifname, flags) : [];
}

function usable(ifname: string | undefined, flags: string | undefined): readonly string[] {
  const bits = flags === undefined ? undefined : hexNumber(`0x${flags}`);
  if (ifname === undefined || word(ifname) === undefined || bits === undefined) return [];
  return (bits & RTF_UP) !== 0 && (bits & RTF_REJECT) === 0 ? [ifname] : [];
}
