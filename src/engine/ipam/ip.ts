/**
 * IP addresses as numbers, and as the one text form that both we and Go's `net.IP.String` write
 * (RFC 5952 for IPv6): host-local's file names are that text. Not a general address library.
 */
import ipaddr from 'ipaddr.js';

const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;

export interface Ip {
  readonly family: 4 | 6;
  readonly value: bigint;
}

export interface Prefix {
  readonly ip: Ip;
  readonly length: number;
}

/** The address, or `undefined` when the text is none. An IPv4-mapped IPv6 address is IPv4, as in Go. Prefix, zone and short forms are refused. */
export function asIp(text: string): Ip | undefined {
  const number = ipv4Number(text);
  if (number !== undefined) return { family: 4, value: BigInt(number) };
  if (text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  const parsed = ipaddr.IPv6.parse(text);
  if (parsed.isIPv4MappedAddress()) return fromBytes(4, parsed.toIPv4Address().toByteArray());
  return fromBytes(6, parsed.toByteArray());
}

/**
 * The 32 bits of four decimal parts without leading zeros, or `undefined`. By hand: an ADD reads some
 * thirty addresses, and an expression takes ten times as long.
 */
export function ipv4Number(text: string): number | undefined {
  let number = 0;
  let dots = 0;
  let part = -1;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === DOT && part >= 0 && dots < 3) {
      number = number * 256 + part;
      dots += 1;
      part = -1;
    } else if (code >= ZERO && code <= NINE && part !== 0) {
      part = Math.max(part, 0) * 10 + code - ZERO;
      if (part > 255) return undefined;
    } else return undefined;
  }
  return dots === 3 && part >= 0 ? number * 256 + part : undefined;
}

/** `address/length`, or `undefined`. */
export function asPrefix(text: string): Prefix | undefined {
  const cut = text.indexOf('/');
  if (cut < 0) return undefined;
  const ip = asIp(text.slice(0, cut));
  const bits = text.slice(cut + 1);
  if (ip === undefined || !/^(0|[1-9][0-9]{0,2})$/.test(bits)) return undefined;
  const length = Number(bits);
  return length <= width(ip.family) ? { ip, length } : undefined;
}

/** The canonical text. */
export function formatIp(ip: Ip): string {
  if (ip.family === 4) return formatIpv4(Number(ip.value));
  const bytes: number[] = [];
  for (let shift = 120; shift >= 0; shift -= 8) bytes.push(Number((ip.value >> BigInt(shift)) & 0xffn));
  return new ipaddr.IPv6(bytes).toRFC5952String();
}

/** The text of 32 bits. */
export function formatIpv4(number: number): string {
  return `${number >>> 24}.${(number >>> 16) & 0xff}.${(number >>> 8) & 0xff}.${number & 0xff}`;
}

/** Number of bits of an address. */
export function width(family: 4 | 6): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** First address of the prefix. */
export function networkOf(prefix: Prefix): bigint {
  const host = BigInt(width(prefix.ip.family) - prefix.length);
  return (prefix.ip.value >> host) << host;
}

/** Last address of the prefix (IPv4: the broadcast address). */
export function lastOf(prefix: Prefix): bigint {
  return networkOf(prefix) + (1n << BigInt(width(prefix.ip.family) - prefix.length)) - 1n;
}

export function contains(prefix: Prefix, ip: Ip): boolean {
  return ip.family === prefix.ip.family && ip.value >= networkOf(prefix) && ip.value <= lastOf(prefix);
}

/** 4 or 6, of an address with or without a prefix length. Validated text only. */
export function addressFamily(text: string): 4 | 6 {
  return asPrefix(text)?.ip.family ?? asIp(text)?.family ?? (text.includes(':') ? 6 : 4);
}

/** Whether two texts name the same address (and prefix length, where both have one). */
export function sameAddress(a: string, b: string): boolean {
  const left = split(a);
  const right = split(b);
  if (left === undefined || right === undefined) return a === b;
  if (left.ip.family !== right.ip.family || left.ip.value !== right.ip.value) return false;
  return left.length === undefined || right.length === undefined || left.length === right.length;
}

/** Whether two texts name the same network; host bits do not count. */
export function sameNetwork(a: string, b: string): boolean {
  const left = asPrefix(a);
  const right = asPrefix(b);
  if (left === undefined || right === undefined) return a === b;
  return left.ip.family === right.ip.family && left.length === right.length && networkOf(left) === networkOf(right);
}

/** One text for each address with prefix length, however it is spelled: {@link sameAddress} for long lists. */
export function addressKey(text: string): string {
  const { ip, length } = split(text) ?? {};
  return ip === undefined ? text : `${ip.family}/${ip.value}/${length ?? ''}`;
}

/** One text for each network, however it is spelled: {@link sameNetwork} for long lists. */
export function networkKey(text: string): string {
  const prefix = asPrefix(text);
  return prefix === undefined ? text : `${prefix.ip.family}/${networkOf(prefix)}/${prefix.length}`;
}

function split(text: string): { ip: Ip; length?: number } | undefined {
  const prefix = asPrefix(text);
  if (prefix !== undefined) return prefix;
  const ip = asIp(text);
  return ip === undefined ? undefined : { ip };
}

function fromBytes(family: 4 | 6, bytes: readonly number[]): Ip {
  return { family, value: bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n) };
}
