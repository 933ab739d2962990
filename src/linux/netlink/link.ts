/**
 * Link messages (linux/rtnetlink.h RTM_*LINK, struct ifinfomsg; linux/if_link.h IFLA_*).
 * Codecs only; `client.ts` talks to the kernel. VF lists are in `vf.ts`, kinds in `kinds/`.
 */
import { asIfName, asPciAddress, type IfName, type MacAddress, type PciAddress } from '../../engine/values.ts';
import { AF_INET } from '../ffi/index.ts';
import { macFromBytes, macToBytes } from './hardware-address.ts';
import { IPVLAN_KIND, type IpvlanFacts, readIpvlan, writeIpvlan } from './kinds/ipvlan.ts';
import { MACVLAN_KIND, MACVTAP_KIND, type MacvlanFacts, readMacvlan, writeMacvlan } from './kinds/macvlan.ts';
import { readVlan, VLAN_KIND, type VlanFacts, writeVlan } from './kinds/vlan.ts';
import {
  type Attribute,
  type AttributeWriter,
  findAttribute,
  malformed,
  readAttributes,
  s32,
  text,
  u8,
  u32,
} from './wire/attribute.ts';

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;

const IFINFOMSG_BYTES = 16;
const IFF_UP = 0x1;
const IFF_PROMISC = 0x100;

export const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
export const IFLA_NUM_VF = 21;
export const IFLA_VFINFO_LIST = 22;
const IFLA_AF_SPEC = 26;
const IFLA_GROUP = 27;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_CARRIER = 33;
const IFLA_PHYS_PORT_ID = 34;
const IFLA_PHYS_SWITCH_ID = 36;
const IFLA_PHYS_PORT_NAME = 38;
const IFLA_LINK_NETNSID = 37;
const IFLA_PROP_LIST = 52;
const IFLA_ALT_IFNAME = 53;
const IFLA_PERM_ADDRESS = 54;
const IFLA_PARENT_DEV_NAME = 56;
const IFLA_PARENT_DEV_BUS_NAME = 57;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INET_CONF = 1;
/** linux/ip.h */
const IPV4_DEVCONF_ARP_NOTIFY = 22;

export const RTEXT_FILTER_VF = 1 << 0;
export const RTEXT_FILTER_SKIP_STATS = 1 << 3;

/** Longest name that IFLA_IFNAME takes (IFNAMSIZ - 1); longer ones are alternative names. */
const MOST_NAME_BYTES = 15;

/** IF_OPER_* (linux/if.h), as /sys/class/net/<name>/operstate spells them. */
const OPERSTATES = ['unknown', 'notpresent', 'down', 'lowerlayerdown', 'testing', 'dormant', 'up'] as const;

/** A link as the kernel tells it; absent facts were not told. */
export interface LinkMessage {
  readonly index: number;
  readonly name: IfName;
  readonly altnames: readonly string[];
  readonly alias?: string;
  /** Absent for 0, the group of links that nobody grouped. */
  readonly group?: number;
  readonly kind?: string;
  readonly slaveKind?: string;
  /** ARPHRD_* (linux/if_arp.h) */
  readonly hardwareType: number;
  /** IFF_* (linux/if.h) */
  readonly flags: number;
  readonly up: boolean;
  readonly mac?: MacAddress;
  readonly permanentMac?: MacAddress;
  readonly mtuBytes?: number;
  readonly operstate?: (typeof OPERSTATES)[number];
  readonly carrier?: boolean;
  readonly parentIndex?: number;
  readonly parentNsid?: number;
  readonly masterIndex?: number;
  readonly pci?: PciAddress;
  /** In hexadecimal digits. */
  readonly physPortId?: string;
  readonly physSwitchId?: string;
  readonly physPortName?: string;
  /** IFLA_NUM_VF; only told together with the VF list, and so in answers to RTEXT_FILTER_VF alone. */
  readonly numVfs?: number;
  readonly macvlan?: MacvlanFacts;
  readonly ipvlan?: IpvlanFacts;
  readonly vlan?: VlanFacts;
  /** Everything the kernel sent, known or not. */
  readonly attributes: readonly Attribute[];
}

/** The index and the attributes' bytes of a link message, for readers that take only a part. */
export function splitLink(payload: Buffer): { readonly index: number; readonly attributes: Buffer } {
  if (payload.length < IFINFOMSG_BYTES) throw malformed(`link of ${payload.length} bytes`);
  return { index: payload.readInt32LE(4), attributes: payload.subarray(IFINFOMSG_BYTES) };
}

/** Reads RTM_NEWLINK and RTM_DELLINK. */
export function readLink(payload: Buffer): LinkMessage {
  const { index, attributes: bytes } = splitLink(payload);
  const attributes = readAttributes(bytes);
  const get = (type: number): Buffer | undefined => findAttribute(attributes, type);
  const given = get(IFLA_IFNAME);
  const name = given === undefined ? undefined : asIfName(text(given));
  if (name === undefined) throw malformed(`link ${index} without a name`);
  const flags = payload.readUInt32LE(8);
  const operstate = maybe(get(IFLA_OPERSTATE), u8);
  const onPci = maybe(get(IFLA_PARENT_DEV_BUS_NAME), text) === 'pci';
  return {
    index,
    name,
    altnames: altnamesIn(get(IFLA_PROP_LIST)),
    hardwareType: payload.readUInt16LE(2),
    flags,
    up: (flags & IFF_UP) !== 0,
    ...kindFacts(get(IFLA_LINKINFO)),
    ...known('alias', maybe(get(IFLA_IFALIAS), text)),
    ...known('group', maybe(get(IFLA_GROUP), u32) || undefined),
    ...known('mac', maybe(get(IFLA_ADDRESS), macFromBytes)),
    ...known('permanentMac', maybe(get(IFLA_PERM_ADDRESS), macFromBytes)),
    ...known('mtuBytes', maybe(get(IFLA_MTU), u32)),
    ...known('operstate', operstate === undefined ? undefined : OPERSTATES[operstate]),
    ...known(
      'carrier',
      maybe(get(IFLA_CARRIER), (value) => u8(value) !== 0),
    ),
    ...known('parentIndex', maybe(get(IFLA_LINK), u32) || undefined),
    ...known('parentNsid', maybe(get(IFLA_LINK_NETNSID), s32)),
    ...known('masterIndex', maybe(get(IFLA_MASTER), u32) || undefined),
    ...known('pci', onPci ? maybe(get(IFLA_PARENT_DEV_NAME), (value) => asPciAddress(text(value))) : undefined),
    ...known('physPortId', maybe(get(IFLA_PHYS_PORT_ID), hexDigits)),
    ...known('physSwitchId', maybe(get(IFLA_PHYS_SWITCH_ID), hexDigits)),
    ...known('physPortName', maybe(get(IFLA_PHYS_PORT_NAME), text)),
    ...known('numVfs', maybe(get(IFLA_NUM_VF), u32)),
    attributes,
  };
}

function maybe<T>(value: Buffer | undefined, read: (value: Buffer) => T): T | undefined {
  return value === undefined ? undefined : read(value);
}

/** Identifiers are opaque bytes, at most 32 (MAX_PHYS_ITEM_ID_LEN). */
function hexDigits(value: Buffer): string {
  return value.toString('hex');
}

/** `{ [key]: value }`, or nothing at all: an absent fact has no key. */
function known<Key extends string, T>(key: Key, value: T | undefined): { readonly [K in Key]?: T } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [K in Key]?: T });
}

function altnamesIn(list: Buffer | undefined): string[] {
  if (list === undefined) return [];
  return readAttributes(list)
    .filter((property) => property.type === IFLA_ALT_IFNAME)
    .map((property) => text(property.value));
}

function kindFacts(info: Buffer | undefined): Pick<LinkMessage, 'kind' | 'slaveKind' | 'macvlan' | 'ipvlan' | 'vlan'> {
  if (info === undefined) return {};
  const attributes = readAttributes(info);
  const kind = maybe(findAttribute(attributes, IFLA_INFO_KIND), text);
  const data = maybe(findAttribute(attributes, IFLA_INFO_DATA), readAttributes) ?? [];
  return {
    ...known('kind', kind),
    ...known('slaveKind', maybe(findAttribute(attributes, IFLA_INFO_SLAVE_KIND), text)),
    ...known('macvlan', kind === MACVLAN_KIND || kind === MACVTAP_KIND ? readMacvlan(data) : undefined),
    ...known('ipvlan', kind === IPVLAN_KIND ? readIpvlan(data) : undefined),
    ...known('vlan', kind === VLAN_KIND ? readVlan(data) : undefined),
  };
}

function writeHeader(writer: AttributeWriter, index: number, flags = 0, change = 0): void {
  const at = writer.reserve(IFINFOMSG_BYTES);
  writer.memory.writeInt32LE(index, at + 4);
  writer.memory.writeUInt32LE(flags, at + 8);
  writer.memory.writeUInt32LE(change, at + 12);
}

/** RTM_GETLINK of one link, without statistics. */
export function writeLinkGet(
  writer: AttributeWriter,
  ref: { readonly name: string } | { readonly index: number },
  filter: number = RTEXT_FILTER_SKIP_STATS,
): void {
  writeHeader(writer, 'index' in ref ? ref.index : 0);
  if ('name' in ref) {
    const isShort = Buffer.byteLength(ref.name) <= MOST_NAME_BYTES;
    writer.text(isShort ? IFLA_IFNAME : IFLA_ALT_IFNAME, ref.name);
  }
  writer.u32(IFLA_EXT_MASK, filter);
}

/**
 * RTM_GETLINK of all links, without statistics and VF lists; of one kind when it is named, which a
 * kernel that does not know the kind takes for all (link_kind_filtered, net/core/rtnetlink.c).
 */
export function writeLinkDump(writer: AttributeWriter, kind?: string): void {
  writeHeader(writer, 0);
  writer.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  if (kind !== undefined) writer.nest(IFLA_LINKINFO, () => writer.text(IFLA_INFO_KIND, kind));
}

export interface LinkCreation {
  readonly name: IfName;
  /** The kernel chooses one when absent. */
  readonly index?: number;
  readonly parentIndex: number;
  readonly mtuBytes?: number;
  readonly mac?: MacAddress;
  readonly group?: number;
  /** Descriptor of the namespace in which it is born; the socket's own when absent. */
  readonly namespaceFd?: number;
  readonly kind:
    | ({ readonly name: 'macvlan' | 'macvtap' } & MacvlanFacts)
    | ({ readonly name: 'ipvlan' } & IpvlanFacts)
    | ({ readonly name: 'vlan' } & VlanFacts);
}

/** RTM_NEWLINK that makes a link (NLM_F_CREATE | NLM_F_EXCL). The kernel ignores an alias here. */
export function writeLinkCreate(writer: AttributeWriter, link: LinkCreation): void {
  writeHeader(writer, link.index ?? 0);
  writer.text(IFLA_IFNAME, link.name);
  writer.u32(IFLA_LINK, link.parentIndex);
  if (link.mtuBytes !== undefined) writer.u32(IFLA_MTU, link.mtuBytes);
  if (link.mac !== undefined) writer.put(IFLA_ADDRESS, macToBytes(link.mac));
  if (link.group !== undefined) writer.u32(IFLA_GROUP, link.group);
  if (link.namespaceFd !== undefined) writer.u32(IFLA_NET_NS_FD, link.namespaceFd);
  const { kind } = link;
  writer.nest(IFLA_LINKINFO, () => {
    writer.text(IFLA_INFO_KIND, kind.name);
    writer.nest(IFLA_INFO_DATA, () => {
      if (kind.name === 'vlan') writeVlan(writer, kind);
      else if (kind.name === 'ipvlan') writeIpvlan(writer, kind);
      else writeMacvlan(writer, kind);
    });
  });
}

export interface LinkChange {
  readonly index: number;
  readonly name?: IfName;
  readonly mac?: MacAddress;
  readonly mtuBytes?: number;
  readonly up?: boolean;
  readonly alias?: string;
  readonly group?: number;
  readonly arpNotify?: boolean;
  /** 0 releases it. */
  /** IFF_PROMISC */
  readonly promiscuous?: boolean;
  readonly masterIndex?: number;
  readonly namespaceFd?: number;
}

/**
 * RTM_NEWLINK that changes a link. The kernel (do_setlink) works in its own order: move, address,
 * MTU, name, alias, flags and master, address family settings; what was done before a failure stays.
 */
export function writeLinkChange(writer: AttributeWriter, change: LinkChange): void {
  const flags = (change.up === true ? IFF_UP : 0) | (change.promiscuous === true ? IFF_PROMISC : 0);
  const mask = (change.up === undefined ? 0 : IFF_UP) | (change.promiscuous === undefined ? 0 : IFF_PROMISC);
  writeHeader(writer, change.index, flags, mask);
  if (change.name !== undefined) writer.text(IFLA_IFNAME, change.name);
  if (change.mac !== undefined) writer.put(IFLA_ADDRESS, macToBytes(change.mac));
  if (change.mtuBytes !== undefined) writer.u32(IFLA_MTU, change.mtuBytes);
  // Without a NUL, so that an empty alias has no bytes: that is how the kernel removes one.
  if (change.alias !== undefined) writer.put(IFLA_IFALIAS, Buffer.from(change.alias));
  if (change.group !== undefined) writer.u32(IFLA_GROUP, change.group);
  if (change.masterIndex !== undefined) writer.u32(IFLA_MASTER, change.masterIndex);
  if (change.namespaceFd !== undefined) writer.u32(IFLA_NET_NS_FD, change.namespaceFd);
  const { arpNotify } = change;
  if (arpNotify === undefined) return;
  writer.nest(IFLA_AF_SPEC, () => {
    writer.nest(AF_INET, () => {
      writer.nest(IFLA_INET_CONF, () => {
        writer.u32(IPV4_DEVCONF_ARP_NOTIFY, arpNotify ? 1 : 0);
      });
    });
  });
}

/** RTM_DELLINK. */
export function writeLinkDelete(writer: AttributeWriter, index: number): void {
  writeHeader(writer, index);
}

/** RTM_NEWLINK with settings of VFs for the PF `index`. */
export function writeVfChange(
  writer: AttributeWriter,
  index: number,
  fillList: (writer: AttributeWriter) => void,
): void {
  writeHeader(writer, index);
  writer.nest(IFLA_VFINFO_LIST, () => fillList(writer));
}
