/** Address messages (linux/if_addr.h, struct ifaddrmsg, IFA_*). Codecs only. */
import { AF_INET } from '../ffi/index.ts';
import { ipFromBytes, type PrefixBytes } from './ip-address.ts';
import { type AttributeWriter, findAttribute, malformed, readAttributes, u32 } from './wire/attribute.ts';

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

const IFADDRMSG_BYTES = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x02;
const IFA_F_DADFAILED = 0x08;
const IFA_F_TENTATIVE = 0x40;
/** RT_SCOPE_* (linux/rtnetlink.h) */
const SCOPES: ReadonlyMap<number, AddressMessage['scope']> = new Map([
  [0, 'global'],
  [253, 'link'],
  [254, 'host'],
]);

export interface AddressMessage {
  readonly ifindex: number;
  /** With prefix length. */
  readonly address: string;
  readonly family: 4 | 6;
  readonly scope: 'global' | 'link' | 'host' | 'other';
  readonly tentative: boolean;
  readonly dadFailed: boolean;
}

/** Reads RTM_NEWADDR and RTM_DELADDR. On a point-to-point link IFA_ADDRESS is the peer, IFA_LOCAL ours. */
export function readAddress(payload: Buffer): AddressMessage {
  if (payload.length < IFADDRMSG_BYTES) throw malformed(`address of ${payload.length} bytes`);
  const attributes = readAttributes(payload.subarray(IFADDRMSG_BYTES));
  const bytes = findAttribute(attributes, IFA_LOCAL) ?? findAttribute(attributes, IFA_ADDRESS);
  const text = bytes === undefined ? undefined : ipFromBytes(bytes);
  if (text === undefined) throw malformed('address without its bytes');
  const wideFlags = findAttribute(attributes, IFA_FLAGS);
  const flags = wideFlags === undefined ? payload.readUInt8(2) : u32(wideFlags);
  return {
    ifindex: payload.readUInt32LE(4),
    address: `${text}/${payload.readUInt8(1)}`,
    family: payload.readUInt8(0) === AF_INET ? 4 : 6,
    scope: SCOPES.get(payload.readUInt8(3)) ?? 'other',
    tentative: (flags & IFA_F_TENTATIVE) !== 0,
    dadFailed: (flags & IFA_F_DADFAILED) !== 0,
  };
}

/** RTM_GETADDR of one interface, or of all for 0; needs NETLINK_GET_STRICT_CHK to be filtered. */
export function writeAddressDump(writer: AttributeWriter, ifindex: number): void {
  const at = writer.reserve(IFADDRMSG_BYTES);
  writer.memory.writeUInt32LE(ifindex, at + 4);
}

/** RTM_NEWADDR and RTM_DELADDR. An IPv4 subnet gets its broadcast address, as the kernel sets none by itself. */
export function writeAddress(writer: AttributeWriter, ifindex: number, address: PrefixBytes, noDad: boolean): void {
  const at = writer.reserve(IFADDRMSG_BYTES);
  const { memory } = writer;
  memory.writeUInt8(address.family, at);
  memory.writeUInt8(address.prefixLength, at + 1);
  memory.writeUInt32LE(ifindex, at + 4);
  writer.put(IFA_LOCAL, address.bytes);
  writer.put(IFA_ADDRESS, address.bytes);
  if (address.family === AF_INET && address.prefixLength < 31) {
    const host = 0xffffffff >>> address.prefixLength;
    const broadcast = Buffer.alloc(4);
    broadcast.writeUInt32BE((address.bytes.readUInt32BE(0) | host) >>> 0, 0);
    writer.put(IFA_BROADCAST, broadcast);
  }
  if (noDad) writer.u32(IFA_FLAGS, IFA_F_NODAD);
}
