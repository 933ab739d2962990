/**
 * Does a pool of slots take this link as an uplink? What can carry macvlan or ipvlan at all, what
 * may by default (docs/architecture.md, Zero configuration), and what a pool asks for by name. Health is not judged here:
 * an uplink that is down is offered, as unhealthy, so that people see it and the reason.
 */

import type { LinkIndex, NodeLink } from './links.ts';
import type { SlotKind, SlotPoolSpec } from './model.ts';
import { carriesNode } from './node-carrier.ts';
import { namesUplink, whyUplinkDiffers } from './selectors.ts';
import type { Decision } from './vf-candidates.ts';

/** Kinds that are an uplink without being named: they stand for a wire. */
const DEFAULT_KINDS = new Set(['nic', 'bond', 'team', 'vlan']);
/** Masters that take a link's packets over (rx_handler), so that macvlan and ipvlan get EBUSY. */
const EXCLUSIVE_MASTERS = new Set(['bond', 'bridge', 'team', 'openvswitch', 'hsr']);

/** Decides for one pool alone; that an earlier pool has it is not its business. */
export function decideUplink(spec: SlotPoolSpec, link: NodeLink, index: LinkIndex): Decision {
  const impossible = whyImpossible(link, spec.kind, index);
  if (impossible !== undefined) return { takes: false, why: impossible };
  if (spec.uplinks.length === 0) {
    const why = whyNotByDefault(link) ?? whyNotUnasked(spec, link, index);
    return why === undefined ? { takes: true, why: `${link.netdev.ifname} may be shared` } : { takes: false, why };
  }
  const misses: string[] = [];
  for (const selector of spec.uplinks) {
    const miss = whyUplinkDiffers(selector, link) ?? (namesUplink(selector, link) ? undefined : whyNotByDefault(link));
    if (miss === undefined) return { takes: true, why: `the pool selects ${link.netdev.ifname}` };
    if (!misses.includes(miss)) misses.push(miss);
  }
  return { takes: false, why: misses.join('; and ') };
}

function whyImpossible(link: NodeLink, kind: SlotKind, index: LinkIndex): string | undefined {
  // Nothing is made on it: that it is there is all that the pool offers.
  if (kind === 'uplink') return undefined;
  const { ifname, linkType, master } = link.netdev;
  if (linkType !== undefined && linkType !== 'ether') return `${ifname} is ${linkType}, and ${kind} needs Ethernet`;
  if (master === undefined) return undefined;
  const masterKind = index.links.get(master)?.kind;
  if (masterKind !== undefined && !EXCLUSIVE_MASTERS.has(masterKind)) return undefined;
  return `${ifname} is a member of ${master}, which takes its packets; use ${master}`;
}

function whyNotByDefault(link: NodeLink): string | undefined {
  const { ifname } = link.netdev;
  if (link.kind === 'vf') return `${ifname} is a VF, which is given away whole; name it to use it as an uplink`;
  if (DEFAULT_KINDS.has(link.kind)) return undefined;
  return `${ifname} is a ${link.kind} link, not a NIC, bond or VLAN; name it to use it as an uplink`;
}

function whyNotUnasked(spec: SlotPoolSpec, link: NodeLink, index: LinkIndex): string | undefined {
  // An ipvlan's mode is the uplink's and its links share the uplink's MAC: on the node's own NIC only when asked for.
  if (spec.kind !== 'ipvlan') return undefined;
  const why = carriesNode(link, index);
  return why === undefined
    ? undefined
    : `${link.netdev.ifname} carries the node (it ${why}), where ipvlan is offered only when configured`;
}
