/**
 * IP addresses between bytes and text, as netlink carries them. Text is what the kernel prints:
 * IPv6 compressed and in lower case.
 */
import ipaddr from 'ipaddr.js';
import { BerthError } from '../../engine/errors.ts';
import { formatIpv4, ipv4Number } from '../../engine/ipam/ip.ts';
import { AF_INET, AF_INET6 } from '../ffi/index.ts';

export interface IpBytes {
  /** AF_INET or AF_INET6 */
  readonly family: number;
  readonly bytes: Buffer;
}

export interface PrefixBytes extends IpBytes {
  readonly prefixLength: number;
}

function invalid(what: string, given: string): BerthError {
  return new BerthError({
    code: 'Invalid',
    reason: 'invalid-ip-address',
    message: `${JSON.stringify(given)} is not ${what}`,
    remedy: 'Write it as in 10.0.0.2/24 or fd00::2/64.',
  });
}

/** Parses `10.0.0.1` or `fd00::1`. Throws `Invalid`. */
export function ipToBytes(given: string): IpBytes {
  const number = ipv4Number(given);
  if (number !== undefined) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(number);
    return { family: AF_INET, bytes };
  }
  if (ipaddr.IPv6.isValid(given) && !given.includes('%')) {
    return { family: AF_INET6, bytes: Buffer.from(ipaddr.IPv6.parse(given).toByteArray()) };
  }
  throw invalid('an IP address', given);
}

/** Parses `10.0.0.2/24`. Throws `Invalid`. */
export function prefixToBytes(given: string): PrefixBytes {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(given);
  if (match?.[1] === undefined || match[2] === undefined) throw invalid('an address with a prefix length', given);
  const address = ipToBytes(match[1]);
  const prefixLength = Number(match[2]);
  if (prefixLength > address.bytes.length * 8) throw invalid('an address with a prefix length', given);
  return { ...address, prefixLength };
}

/** The text of 4 or 16 bytes; `undefined` for another length. */
export function ipFromBytes(bytes: Buffer): string | undefined {
  if (bytes.length === 4) return formatIpv4(bytes.readUInt32BE());
  return bytes.length === 16 ? new ipaddr.IPv6([...bytes]).toRFC5952String() : undefined;
}
