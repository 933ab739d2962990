/**
 * PF-side settings of VFs (linux/if_link.h, IFLA_VF_*; net/core/rtnetlink.c, rtnl_fill_vfinfo and
 * do_setvfinfo). Codecs only.
 *
 * The list's attribute has a 16-bit length. With about 250 VFs the kernel's length wraps round,
 * and by it most VFs are gone and what follows looks like other attributes. The bytes are all
 * there, so the reader follows the entries themselves, as many as IFLA_NUM_VF tells, and names
 * those that are missing all the same.
 */
import type { VfCounters, VfSettings } from '../../engine/inventory/model.ts';
import type { MacAddress } from '../../engine/values.ts';
import { macFromBytes, macToBytes } from './hardware-address.ts';
import { IFLA_ADDRESS, IFLA_NUM_VF, IFLA_VFINFO_LIST, splitLink } from './link.ts';
import {
  type Attribute,
  type AttributeWriter,
  align4,
  attributeTypeAt,
  findAttribute,
  malformed,
  readAttributeAt,
  readAttributes,
  u32,
  u64,
} from './wire/attribute.ts';

const IFLA_VF_INFO = 1;
const IFLA_VF_MAC = 1;
const IFLA_VF_VLAN = 2;
const IFLA_VF_TX_RATE = 3;
const IFLA_VF_SPOOFCHK = 4;
const IFLA_VF_LINK_STATE = 5;
const IFLA_VF_RATE = 6;
const IFLA_VF_STATS = 8;
const IFLA_VF_TRUST = 9;
const IFLA_VF_IB_NODE_GUID = 10;
const IFLA_VF_IB_PORT_GUID = 11;
const IFLA_VF_VLAN_LIST = 12;
const IFLA_VF_VLAN_INFO = 1;

/** struct ifla_vf_mac: vf, then mac[32]. */
const VF_MAC_BYTES = 36;
/** struct ifla_vf_guid: vf, padding, then a number of 64 bits in the machine's order. */
const VF_GUID_BYTES = 16;
const ETHERNET_BYTES = 6;
/** What the kernel answers for a setting that the driver did not fill in. */
const NOT_TOLD = 0xffffffff;
/** linux/if_ether.h */
const ETH_P_8021Q = 0x8100;
const ETH_P_8021AD = 0x88a8;
const LINK_STATES = ['auto', 'enable', 'disable'] as const;
const ATTRIBUTE_HEADER_BYTES = 4;

export interface VfListMessage {
  /** IFLA_NUM_VF; `undefined` when the device has no PF side. */
  readonly numVfs?: number;
  readonly settings: ReadonlyMap<number, VfSettings>;
  /** Empty when the list was asked for without statistics. */
  readonly counters: ReadonlyMap<number, VfCounters>;
  readonly missing: readonly number[];
}

/** Reads the VF list of an RTM_NEWLINK that was asked for with RTEXT_FILTER_VF. */
export function readVfList(payload: Buffer): VfListMessage {
  const { attributes: bytes } = splitLink(payload);
  let macBytes = ETHERNET_BYTES;
  let numVfs: number | undefined;
  let entries: readonly VfEntry[] = [];
  for (let at = 0; at < bytes.length; ) {
    // Looked at before it is read: a length that has wrapped can be shorter than the header.
    if (at + ATTRIBUTE_HEADER_BYTES <= bytes.length && attributeTypeAt(bytes, at) === IFLA_VFINFO_LIST) {
      const declared = bytes.readUInt16LE(at) - ATTRIBUTE_HEADER_BYTES;
      entries = readEntries(bytes.subarray(at + ATTRIBUTE_HEADER_BYTES), declared, numVfs ?? 0, macBytes);
      break;
    }
    const { type, value } = readAttributeAt(bytes, at);
    if (type === IFLA_ADDRESS) macBytes = value.length;
    else if (type === IFLA_NUM_VF) numVfs = u32(value);
    at += align4(ATTRIBUTE_HEADER_BYTES + value.length);
  }
  const found = new Map(entries.map((entry) => [entry.vf, entry.settings]));
  const counters = new Map(
    entries.flatMap((entry) => (entry.counters === undefined ? [] : [[entry.vf, entry.counters] as const])),
  );
  const missing: number[] = [];
  for (let vf = 0; vf < Math.min(numVfs ?? 0, 0xffff); vf++) if (!found.has(vf)) missing.push(vf);
  return { settings: found, counters, missing, ...(numVfs === undefined ? {} : { numVfs }) };
}

/** The entries from `bytes` on; beyond `declared` only as long as they are what is still expected. */
function readEntries(bytes: Buffer, declared: number, numVfs: number, macBytes: number): VfEntry[] {
  const entries: VfEntry[] = [];
  for (let at = 0; at < bytes.length; ) {
    const isDeclared = at < declared;
    if (!isDeclared && entries.length >= numVfs) break;
    const entry = entryAt(bytes, at, isDeclared, entries.length, macBytes);
    if (entry === undefined) break;
    if (entry.read !== undefined) entries.push(entry.read);
    at = entry.next;
  }
  return entries;
}

interface VfEntry {
  readonly vf: number;
  readonly settings: VfSettings;
  readonly counters?: VfCounters;
}

interface Entry {
  readonly next: number;
  readonly read: VfEntry | undefined;
}

function entryAt(
  bytes: Buffer,
  at: number,
  isDeclared: boolean,
  expected: number,
  macBytes: number,
): Entry | undefined {
  if (!isDeclared && !looksLikeEntry(bytes, at, expected)) return undefined;
  const attribute = readAttributeAt(bytes, at);
  const next = at + align4(ATTRIBUTE_HEADER_BYTES + attribute.value.length);
  if (attribute.type !== IFLA_VF_INFO) return { next, read: undefined };
  return { next, read: readVf(readAttributes(attribute.value), macBytes) };
}

/** Behind the declared end anything may follow: only an entry that begins with the expected VF's MAC is one. */
function looksLikeEntry(bytes: Buffer, at: number, vf: number): boolean {
  const first = at + ATTRIBUTE_HEADER_BYTES;
  if (first + ATTRIBUTE_HEADER_BYTES + VF_MAC_BYTES > bytes.length) return false;
  const entryBytes = bytes.readUInt16LE(at);
  return (
    entryBytes >= 2 * ATTRIBUTE_HEADER_BYTES + VF_MAC_BYTES &&
    at + entryBytes <= bytes.length &&
    bytes.readUInt16LE(first) === ATTRIBUTE_HEADER_BYTES + VF_MAC_BYTES &&
    bytes.readUInt16LE(first + 2) === IFLA_VF_MAC &&
    bytes.readUInt32LE(first + ATTRIBUTE_HEADER_BYTES) === vf
  );
}

function readVf(attributes: readonly Attribute[], macBytes: number): VfEntry {
  const settings: { -readonly [Key in keyof VfSettings]: VfSettings[Key] } = {};
  let vf: number | undefined;
  let counters: VfCounters | undefined;
  for (const { type, value } of attributes) {
    switch (type) {
      case IFLA_VF_MAC: {
        vf = u32(value);
        const mac = macFromBytes(value.subarray(4, 4 + macBytes));
        if (mac !== undefined) settings.adminMac = mac;
        break;
      }
      case IFLA_VF_VLAN:
        settings.vlan = u32(value, 4);
        settings.vlanQos = u32(value, 8);
        break;
      case IFLA_VF_VLAN_LIST:
        Object.assign(settings, readVlanList(value));
        break;
      case IFLA_VF_TX_RATE:
        settings.maxTxRateMbps ??= u32(value, 4);
        break;
      case IFLA_VF_RATE:
        settings.minTxRateMbps = u32(value, 4);
        settings.maxTxRateMbps = u32(value, 8);
        break;
      case IFLA_VF_SPOOFCHK:
        if (u32(value, 4) !== NOT_TOLD) settings.spoofCheck = u32(value, 4) !== 0;
        break;
      case IFLA_VF_TRUST:
        if (u32(value, 4) !== NOT_TOLD) settings.trust = u32(value, 4) !== 0;
        break;
      case IFLA_VF_LINK_STATE: {
        const state = LINK_STATES[u32(value, 4)];
        if (state !== undefined) settings.linkState = state;
        break;
      }
      case IFLA_VF_STATS:
        counters = readCounters(value);
        break;
      case IFLA_VF_IB_NODE_GUID:
        settings.nodeGuid = readGuid(value);
        break;
      case IFLA_VF_IB_PORT_GUID:
        settings.portGuid = readGuid(value);
        break;
      // RSS: not a setting.
      default:
        break;
    }
  }
  if (vf === undefined) throw malformed('VF without an index');
  return { vf, settings, ...(counters === undefined ? {} : { counters }) };
}

/** IFLA_VF_STATS_*, whose numbers begin at 0; the drops came with Linux 4.13. */
const STATS = {
  rxPackets: 0,
  txPackets: 1,
  rxBytes: 2,
  txBytes: 3,
  broadcast: 4,
  multicast: 5,
  rxDropped: 7,
  txDropped: 8,
} as const satisfies Record<keyof VfCounters, number>;

/** As JSON numbers: exact up to 2^53, which is nine petabytes. */
function readCounters(list: Buffer): VfCounters {
  const attributes = readAttributes(list);
  const counted = (type: number): number => Number(u64(findAttribute(attributes, type) ?? NOTHING_COUNTED));
  return {
    rxBytes: counted(STATS.rxBytes),
    txBytes: counted(STATS.txBytes),
    rxPackets: counted(STATS.rxPackets),
    txPackets: counted(STATS.txPackets),
    broadcast: counted(STATS.broadcast),
    multicast: counted(STATS.multicast),
    rxDropped: counted(STATS.rxDropped),
    txDropped: counted(STATS.txDropped),
  };
}

const NOTHING_COUNTED = Buffer.alloc(8);

function readGuid(value: Buffer): string {
  if (value.length < VF_GUID_BYTES) throw malformed(`VF GUID of ${value.length} bytes`);
  const digits = value.readBigUInt64LE(8).toString(16).padStart(16, '0');
  return digits.replace(/..(?!$)/g, '$&:');
}

function writeGuid(writer: AttributeWriter, type: number, vf: number, guid: string): void {
  const bytes = Buffer.alloc(VF_GUID_BYTES);
  bytes.writeUInt32LE(vf, 0);
  bytes.writeBigUInt64LE(BigInt(`0x${guid.replaceAll(':', '')}`), 8);
  writer.put(type, bytes);
}

/** The first entry is the one in force; drivers offer no more. */
function readVlanList(list: Buffer): Pick<VfSettings, 'vlan' | 'vlanQos' | 'vlanProto'> {
  const info = readAttributes(list).find((attribute) => attribute.type === IFLA_VF_VLAN_INFO)?.value;
  if (info === undefined) return {};
  // struct ifla_vf_vlan_info: vf, vlan, qos, then __be16 protocol.
  if (info.length < 14) throw malformed(`VF VLAN of ${info.length} bytes`);
  const protocol = info.readUInt16BE(12);
  return {
    vlan: u32(info, 4),
    vlanQos: u32(info, 8),
    ...(protocol === ETH_P_8021Q ? { vlanProto: '802.1q' as const } : {}),
    ...(protocol === ETH_P_8021AD ? { vlanProto: '802.1ad' as const } : {}),
  };
}

/** One setting; each is one attribute and has one answer of the kernel's. */
export type VfSetting =
  | { readonly name: 'mac'; readonly mac: MacAddress }
  | { readonly name: 'vlan'; readonly vlan: number; readonly qos: number; readonly protocol?: '802.1q' | '802.1ad' }
  | { readonly name: 'rate'; readonly minMbps: number; readonly maxMbps: number }
  /** Only the upper limit; the lower one stays. */
  | { readonly name: 'max-rate'; readonly maxMbps: number }
  | { readonly name: 'spoof-check'; readonly on: boolean }
  | { readonly name: 'trust'; readonly on: boolean }
  | { readonly name: 'node-guid' | 'port-guid'; readonly guid: string }
  | { readonly name: 'link-state'; readonly state: 'auto' | 'enable' | 'disable' };

/** Fills IFLA_VFINFO_LIST with one setting of one VF. */
export function writeVfSetting(writer: AttributeWriter, vf: number, setting: VfSetting): void {
  writer.nest(IFLA_VF_INFO, () => {
    switch (setting.name) {
      case 'mac': {
        const bytes = Buffer.alloc(VF_MAC_BYTES);
        bytes.writeUInt32LE(vf, 0);
        macToBytes(setting.mac).copy(bytes, 4);
        writer.put(IFLA_VF_MAC, bytes);
        return;
      }
      case 'vlan':
        if (setting.protocol === undefined) writer.words(IFLA_VF_VLAN, [vf, setting.vlan, setting.qos]);
        else writeVlanList(writer, vf, setting.vlan, setting.qos, setting.protocol);
        return;
      case 'rate':
        writer.words(IFLA_VF_RATE, [vf, setting.minMbps, setting.maxMbps]);
        return;
      case 'max-rate':
        writer.words(IFLA_VF_TX_RATE, [vf, setting.maxMbps]);
        return;
      case 'spoof-check':
        writer.words(IFLA_VF_SPOOFCHK, [vf, setting.on ? 1 : 0]);
        return;
      case 'trust':
        writer.words(IFLA_VF_TRUST, [vf, setting.on ? 1 : 0]);
        return;
      case 'node-guid':
        writeGuid(writer, IFLA_VF_IB_NODE_GUID, vf, setting.guid);
        return;
      case 'port-guid':
        writeGuid(writer, IFLA_VF_IB_PORT_GUID, vf, setting.guid);
        return;
      case 'link-state':
        writer.words(IFLA_VF_LINK_STATE, [vf, LINK_STATES.indexOf(setting.state)]);
        return;
      default:
        setting satisfies never;
    }
  });
}

function writeVlanList(writer: AttributeWriter, vf: number, vlan: number, qos: number, protocol: string): void {
  const info = Buffer.alloc(16);
  info.writeUInt32LE(vf, 0);
  info.writeUInt32LE(vlan, 4);
  info.writeUInt32LE(qos, 8);
  info.writeUInt16BE(protocol === '802.1ad' ? ETH_P_8021AD : ETH_P_8021Q, 12);
  writer.nest(IFLA_VF_VLAN_LIST, () => writer.put(IFLA_VF_VLAN_INFO, info));
}
