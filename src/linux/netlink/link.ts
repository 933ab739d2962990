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
import { AttributeIndex, type AttributeWriter, malformed, readAttributes, text } from './wire/attribute.ts';

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_DELLINKPROP = 109;
export const RTM_GETLINK = 18;

const IFINFOMSG_BYTES = 16;
const IFF_UP = 0x1;
const IFF_PROMISC = 0x100;
const IFF_ALLMULTI = 0x200;

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
const IFLA_TARGET_NETNSID = 46;
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
  /** IFF_PROMISC; absent when it is not set, as the next. */
  readonly promiscuous?: boolean;
  /** IFF_ALLMULTI */
  readonly allMulticast?: boolean;
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
}

/** The index and the attributes' bytes of a link message, for readers that take only a part. */
export function splitLink(payload: Buffer): { readonly index: number; readonly attributes: Buffer } {
  if (payload.length < IFINFOMSG_BYTES) throw malformed(`link of ${payload.length} bytes`);
  return { index: payload.readInt32LE(4), attributes: payload.subarray(IFINFOMSG_BYTES) };
}

/** Reads RTM_NEWLINK and RTM_DELLINK. */
export function readLink(payload: Buffer): LinkMessage {
  const { index, attributes: bytes } = splitLink(payload);
  const attributes = new AttributeIndex(bytes);
  const given = attributes.text(IFLA_IFNAME);
  const name = given === undefined ? undefined : asIfName(given);
  if (name === undefined) throw malformed(`link ${index} without a name`);
  const flags = payload.readUInt32LE(8);
  const link: Writable<LinkMessage> = {
    index,
    name,
    altnames: altnamesIn(attributes.get(IFLA_PROP_LIST)),
    hardwareType: payload.readUInt16LE(2),
    flags,
    up: (flags & IFF_UP) !== 0,
  };
  const operstate = attributes.u8(IFLA_OPERSTATE);
  const carrier = attributes.u8(IFLA_CARRIER);
  const onPci = attributes.text(IFLA_PARENT_DEV_BUS_NAME) === 'pci';
  note(link, 'promiscuous', (flags & IFF_PROMISC) !== 0 || undefined);
  note(link, 'allMulticast', (flags & IFF_ALLMULTI) !== 0 || undefined);
  note(link, 'alias', attributes.text(IFLA_IFALIAS));
  note(link, 'group', attributes.u32(IFLA_GROUP) || undefined);
  note(link, 'mac', maybe(attributes.get(IFLA_ADDRESS), macFromBytes));
  note(link, 'permanentMac', maybe(attributes.get(IFLA_PERM_ADDRESS), macFromBytes));
  note(link, 'mtuBytes', attributes.u32(IFLA_MTU));
  note(link, 'operstate', operstate === undefined ? undefined : OPERSTATES[operstate]);
  note(link, 'carrier', carrier === undefined ? undefined : carrier !== 0);
  note(link, 'parentIndex', attributes.u32(IFLA_LINK) || undefined);
  note(link, 'parentNsid', attributes.s32(IFLA_LINK_NETNSID));
  note(link, 'masterIndex', attributes.u32(IFLA_MASTER) || undefined);
  note(link, 'pci', onPci ? maybe(attributes.text(IFLA_PARENT_DEV_NAME), asPciAddress) : undefined);
  note(link, 'physPortId', maybe(attributes.get(IFLA_PHYS_PORT_ID), hexDigits));
  note(link, 'physSwitchId', maybe(attributes.get(IFLA_PHYS_SWITCH_ID), hexDigits));
  note(link, 'physPortName', attributes.text(IFLA_PHYS_PORT_NAME));
  note(link, 'numVfs', attributes.u32(IFLA_NUM_VF));
  noteKind(link, attributes.get(IFLA_LINKINFO));
  return link;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** An absent fact has no key. Not by spreading, which a link of twenty facts feels. */
function note<Key extends keyof LinkMessage>(
  link: Writable<LinkMessage>,
  key: Key,
  value: LinkMessage[Key] | undefined,
): void {
  if (value !== undefined) link[key] = value;
}

function maybe<T, Read>(value: T | undefined, read: (value: T) => Read): Read | undefined {
  return value === undefined ? undefined : read(value);
}

/** Identifiers are opaque bytes, at most 32 (MAX_PHYS_ITEM_ID_LEN). */
function hexDigits(value: Buffer): string {
  return value.toString('hex');
}

function altnamesIn(list: Buffer | undefined): string[] {
  if (list === undefined) return [];
  return readAttributes(list)
    .filter((property) => property.type === IFLA_ALT_IFNAME)
    .map((property) => text(property.value));
}

function noteKind(link: Writable<LinkMessage>, info: Buffer | undefined): void {
  if (info === undefined) return;
  const attributes = new AttributeIndex(info);
  const kind = attributes.text(IFLA_INFO_KIND);
  note(link, 'kind', kind);
  note(link, 'slaveKind', attributes.text(IFLA_INFO_SLAVE_KIND));
  const data = maybe(attributes.get(IFLA_INFO_DATA), readAttributes) ?? [];
  if (kind === MACVLAN_KIND || kind === MACVTAP_KIND) note(link, 'macvlan', readMacvlan(data));
  else if (kind === IPVLAN_KIND) note(link, 'ipvlan', readIpvlan(data));
  else if (kind === VLAN_KIND) note(link, 'vlan', readVlan(data));
}

function writeHeader(writer: AttributeWriter, index: number, flags = 0, change = 0): void {
  const at = writer.reserve(IFINFOMSG_BYTES);
  writer.memory.writeInt32LE(index, at + 4);
  writer.memory.writeUInt32LE(flags, at + 8);
  writer.memory.writeUInt32LE(change, at + 12);
}

/** RTM_GETLINK of one link, without statistics; of the namespace that the socket's own knows as `nsid`, when given. */
export function writeLinkGet(
  writer: AttributeWriter,
  ref: { readonly name: string } | { readonly index: number },
  filter: number = RTEXT_FILTER_SKIP_STATS,
  nsid?: number,
): void {
  writeHeader(writer, 'index' in ref ? ref.index : 0);
  if ('name' in ref) {
    const isShort = Buffer.byteLength(ref.name) <= MOST_NAME_BYTES;
    writer.text(isShort ? IFLA_IFNAME : IFLA_ALT_IFNAME, ref.name);
  }
  writer.u32(IFLA_EXT_MASK, filter);
  if (nsid !== undefined) writer.s32(IFLA_TARGET_NETNSID, nsid);
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
  /** IFF_PROMISC */
  readonly promiscuous?: boolean;
  /** IFF_ALLMULTI */
  readonly allMulticast?: boolean;
  /** 0 releases it. */
  readonly masterIndex?: number;
  readonly namespaceFd?: number;
}

/**
 * RTM_NEWLINK that changes a link. The kernel (do_setlink) works in its own order: move, address,
 * MTU, name, alias, flags and master, address family settings; what was done before a failure stays.
 */
export function writeLinkChange(writer: AttributeWriter, change: LinkChange): void {
  let flags = 0;
  let mask = 0;
  for (const [wanted, flag] of [
    [change.up, IFF_UP],
    [change.promiscuous, IFF_PROMISC],
    [change.allMulticast, IFF_ALLMULTI],
  ] as const) {
    if (wanted === true) flags |= flag;
    if (wanted !== undefined) mask |= flag;
  }
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

/** RTM_DELLINKPROP that takes an alternative name away. */
export function writeAltnameDelete(writer: AttributeWriter, index: number, altname: string): void {
  writeHeader(writer, index);
  writer.nest(IFLA_PROP_LIST, () => {
    writer.text(IFLA_ALT_IFNAME, altname);
  });
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
