/** Route messages (linux/rtnetlink.h, struct rtmsg, RTA_*, RTAX_*). Codecs only. */
import type { Route } from '../../engine/attachments/port.ts';
import { AF_INET, AF_INET6 } from '../ffi/index.ts';
import { ipFromBytes, ipToBytes, prefixToBytes } from './ip-address.ts';
import {
  type Attribute,
  type AttributeWriter,
  findAttribute,
  malformed,
  readAttributes,
  u32,
} from './wire/attribute.ts';

export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;

const RTMSG_BYTES = 12;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_VIA = 18;
const RTAX_MTU = 2;
const RTAX_ADVMSS = 8;
const RTPROT_BOOT = 3;
const RTN_UNICAST = 1;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_NOWHERE = 255;
export const RT_TABLE_MAIN = 254;
const RTM_F_CLONED = 0x200;
/** struct rtnexthop: length, flags, hops, interface; attributes behind it. */
const RTNEXTHOP_BYTES = 8;

/** One way that a route takes. */
export interface NextHop {
  readonly ifindex: number;
  readonly gateway?: string;
}

export interface RouteMessage extends Route {
  /** One, or those of a multipath route: what IPv6 makes of two routes to one place. */
  readonly hops: readonly NextHop[];
  /** RTN_UNICAST: not local, broadcast, multicast, blackhole and the like. */
  readonly unicast: boolean;
  /** An entry of the kernel's cache, not a route somebody made. */
  readonly cached: boolean;
  readonly isDefault: boolean;
}

/** Reads RTM_NEWROUTE and RTM_DELROUTE; `undefined` for families other than IPv4 and IPv6. */
export function readRoute(payload: Buffer): RouteMessage | undefined {
  if (payload.length < RTMSG_BYTES) throw malformed(`route of ${payload.length} bytes`);
  const family = payload.readUInt8(0);
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const attributes = readAttributes(payload.subarray(RTMSG_BYTES));
  const get = (type: number): Buffer | undefined => findAttribute(attributes, type);
  const number = (type: number): number | undefined => {
    const value = get(type);
    return value === undefined ? undefined : u32(value);
  };
  const dst = get(RTA_DST);
  const any = family === AF_INET ? '0.0.0.0' : '::';
  const gateway = gatewayOf(attributes);
  const metrics = readMetrics(get(RTA_METRICS));
  const priority = number(RTA_PRIORITY);
  const oif = number(RTA_OIF);
  const prefixLength = payload.readUInt8(1);
  return {
    dst: `${dst === undefined ? any : ipFromBytes(dst)}/${prefixLength}`,
    table: number(RTA_TABLE) ?? payload.readUInt8(4),
    scope: payload.readUInt8(6),
    unicast: payload.readUInt8(7) === RTN_UNICAST,
    cached: (payload.readUInt32LE(8) & RTM_F_CLONED) !== 0,
    isDefault: prefixLength === 0,
    hops:
      oif === undefined
        ? readNextHops(get(RTA_MULTIPATH))
        : [{ ifindex: oif, ...(gateway === undefined ? {} : { gateway }) }],
    ...(gateway === undefined ? {} : { gateway }),
    ...(priority === undefined ? {} : { priority }),
    ...metrics,
  };
}

function gatewayOf(attributes: readonly Attribute[]): string | undefined {
  const via = findAttribute(attributes, RTA_VIA)?.subarray(2) ?? findAttribute(attributes, RTA_GATEWAY);
  return via === undefined ? undefined : ipFromBytes(via);
}

function readMetrics(nest: Buffer | undefined): Pick<Route, 'mtu' | 'advmss'> {
  if (nest === undefined) return {};
  const metrics = readAttributes(nest);
  const mtu = findAttribute(metrics, RTAX_MTU);
  const advmss = findAttribute(metrics, RTAX_ADVMSS);
  return {
    ...(mtu === undefined ? {} : { mtu: u32(mtu) }),
    ...(advmss === undefined ? {} : { advmss: u32(advmss) }),
  };
}

function readNextHops(list: Buffer | undefined): NextHop[] {
  if (list === undefined) return [];
  const found: NextHop[] = [];
  for (let at = 0; at < list.length; ) {
    if (at + RTNEXTHOP_BYTES > list.length) throw malformed('next hop that is cut off');
    const length = list.readUInt16LE(at);
    if (length < RTNEXTHOP_BYTES || at + length > list.length) throw malformed(`next hop of ${length} bytes`);
    const gateway = gatewayOf(readAttributes(list.subarray(at + RTNEXTHOP_BYTES, at + length)));
    found.push({ ifindex: list.readInt32LE(at + 4), ...(gateway === undefined ? {} : { gateway }) });
    at += (length + 3) & ~3;
  }
  return found;
}

/** RTM_GETROUTE of all routes, both families, or those of one interface (needs NETLINK_GET_STRICT_CHK). */
export function writeRouteDump(writer: AttributeWriter, family: 4 | 6, ifindex?: number): void {
  const at = writer.reserve(RTMSG_BYTES);
  writer.memory.writeUInt8(family === 4 ? AF_INET : AF_INET6, at);
  if (ifindex !== undefined) writer.u32(RTA_OIF, ifindex);
}

/**
 * RTM_NEWROUTE and RTM_DELROUTE. Without `scope` a route is on the link when it has no gateway and
 * universal otherwise; for deletion any scope, protocol and type match. Throws `Invalid` for text
 * that is no address.
 */
export function writeRoute(writer: AttributeWriter, ifindex: number, route: Route, verb: 'add' | 'delete'): void {
  const dst = prefixToBytes(route.dst);
  const gateway = route.gateway === undefined ? undefined : ipToBytes(route.gateway);
  const table = route.table ?? RT_TABLE_MAIN;
  const ownScope = gateway === undefined && dst.family === AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  const isDelete = verb === 'delete';
  const at = writer.reserve(RTMSG_BYTES);
  const { memory } = writer;
  memory.writeUInt8(dst.family, at);
  memory.writeUInt8(dst.prefixLength, at + 1);
  memory.writeUInt8(table > 255 ? 0 : table, at + 4);
  memory.writeUInt8(isDelete ? 0 : RTPROT_BOOT, at + 5);
  memory.writeUInt8(route.scope ?? (isDelete ? RT_SCOPE_NOWHERE : ownScope), at + 6);
  memory.writeUInt8(isDelete ? 0 : RTN_UNICAST, at + 7);
  if (dst.prefixLength > 0) writer.put(RTA_DST, dst.bytes);
  if (gateway?.family === dst.family) writer.put(RTA_GATEWAY, gateway.bytes);
  else if (gateway !== undefined) {
    const via = Buffer.alloc(2 + gateway.bytes.length);
    via.writeUInt16LE(gateway.family, 0);
    gateway.bytes.copy(via, 2);
    writer.put(RTA_VIA, via);
  }
  writer.u32(RTA_OIF, ifindex);
  writer.u32(RTA_TABLE, table);
  if (route.priority !== undefined) writer.u32(RTA_PRIORITY, route.priority);
  const { mtu, advmss } = route;
  if (mtu === undefined && advmss === undefined) return;
  writer.nest(RTA_METRICS, () => {
    if (mtu !== undefined) writer.u32(RTAX_MTU, mtu);
    if (advmss !== undefined) writer.u32(RTAX_ADVMSS, advmss);
  });
}
