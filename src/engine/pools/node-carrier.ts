/**
 * Which network devices carry the node itself, so that taking one away would cut the node off or
 * break what its owner has built on it. It judges links only; what follows from it is for the pools.
 */
import type { LinkIndex, NodeLink } from './links.ts';

/** Links of these kinds put traffic of their own on the one below only when they are used. */
const STACKED_BY_PODS = new Set(['macvlan', 'macvtap', 'ipvlan', 'ipvtap']);

/**
 * Why the link carries the node, as the second half of a sentence that begins with its name
 * (`carries a default route`); `undefined` when it does not. Members of a bond, a bridge or another
 * master, links with a VLAN on them, and links below something that carries the node all count.
 */
export function carriesNode(link: NodeLink, index: LinkIndex): string | undefined {
  return carries(link, index, new Set());
}

function carries(link: NodeLink, index: LinkIndex, seen: Set<string>): string | undefined {
  const { netdev } = link;
  if (seen.has(netdev.ifname)) return undefined;
  seen.add(netdev.ifname);
  if (netdev.defaultRoute) return 'carries a default route';
  if (netdev.adminUp !== false && netdev.addresses.length > 0) return `is up with the address ${netdev.addresses[0]}`;
  if (netdev.master !== undefined) return `is a member of ${netdev.master}`;
  for (const name of netdev.uppers) {
    const upper = index.links.get(name);
    // It left while the node was being read: a link on its way into a pod, and the next reading tells.
    if (upper === undefined) continue;
    if (!STACKED_BY_PODS.has(upper.kind)) return `has the ${upper.kind} ${name} on it`;
    const why = carries(upper, index, seen);
    if (why !== undefined) return `has ${name} on it, which ${why}`;
  }
  return undefined;
}
