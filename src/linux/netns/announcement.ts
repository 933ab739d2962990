/**
 * Frames that tell neighbours where an address now is: gratuitous ARP (RFC 5227, section 3) and
 * unsolicited neighbour advertisement (RFC 4861, section 7.2.6). Pure.
 */
import type { MacAddress } from '../../engine/values.ts';
import { AF_INET } from '../ffi/index.ts';
import { macToBytes } from '../netlink/hardware-address.ts';
import { ipToBytes } from '../netlink/ip-address.ts';

const ETHERNET_BYTES = 14;
const ETH_P_ARP = 0x0806;
const ETH_P_IPV6 = 0x86dd;
const BROADCAST = Buffer.from('ffffffffffff', 'hex');
/** ff02::1, all nodes, and the multicast address of Ethernet for it (RFC 2464, section 7). */
const ALL_NODES = Buffer.from('ff020000000000000000000000000001', 'hex');
const ALL_NODES_MAC = Buffer.from('333300000001', 'hex');
const IPPROTO_ICMPV6 = 58;
const ND_NEIGHBOR_ADVERT = 136;
const OVERRIDE = 0x20000000;
const TARGET_LINK_LAYER = 2;

/** The whole Ethernet frame for one address, with or without a prefix length. Throws `Invalid` for other text. */
export function announcementFrame(mac: MacAddress, address: string): Buffer {
  const hardware = macToBytes(mac);
  const { family, bytes } = ipToBytes(address.replace(/\/\d+$/, ''));
  return family === AF_INET ? gratuitousArp(hardware, bytes) : neighbourAdvertisement(hardware, bytes);
}

function ethernet(destination: Buffer, source: Buffer, protocol: number): Buffer {
  const header = Buffer.alloc(ETHERNET_BYTES);
  destination.copy(header, 0);
  source.copy(header, 6);
  header.writeUInt16BE(protocol, 12);
  return header;
}

function gratuitousArp(mac: Buffer, ip: Buffer): Buffer {
  // Ethernet, IPv4, sizes 6 and 4, request: sender and target are the same address.
  const fixed = Buffer.from('0001080006040001', 'hex');
  return Buffer.concat([ethernet(BROADCAST, mac, ETH_P_ARP), fixed, mac, ip, Buffer.alloc(6), ip]);
}

function neighbourAdvertisement(mac: Buffer, ip: Buffer): Buffer {
  const icmp = Buffer.alloc(32);
  icmp.writeUInt8(ND_NEIGHBOR_ADVERT, 0);
  icmp.writeUInt32BE(OVERRIDE, 4);
  ip.copy(icmp, 8);
  icmp.writeUInt8(TARGET_LINK_LAYER, 24);
  icmp.writeUInt8(1, 25);
  mac.copy(icmp, 26);
  const header = Buffer.alloc(8);
  header.writeUInt8(0x60, 0);
  header.writeUInt16BE(icmp.length, 4);
  header.writeUInt8(IPPROTO_ICMPV6, 6);
  header.writeUInt8(255, 7);
  const pseudo = Buffer.alloc(8);
  pseudo.writeUInt32BE(icmp.length, 0);
  pseudo.writeUInt8(IPPROTO_ICMPV6, 7);
  icmp.writeUInt16BE(checksum(Buffer.concat([ip, ALL_NODES, pseudo, icmp])), 2);
  return Buffer.concat([ethernet(ALL_NODES_MAC, mac, ETH_P_IPV6), header, ip, ALL_NODES, icmp]);
}

/** The internet checksum (RFC 1071) of an even number of bytes. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
