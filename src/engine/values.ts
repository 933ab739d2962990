/**
 * Untrusted text is parsed once, here, into a branded type; everything behind the edge takes only
 * the brand. `parseX` throws `BerthError` (`Invalid`), `asX` answers `undefined`.
 */
import { BerthError } from './errors.ts';

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** A full PCI address in lower case, `0000:41:10.0` (Documentation/PCI, `%04x:%02x:%02x.%d`). */
export type PciAddress = Brand<string, 'PciAddress'>;
/**
 * A network interface name: 1 to 15 bytes, not `.` or `..`, no `/`, `:` or white space (net/core/dev.c,
 * dev_valid_name); no `%`, which the kernel takes for a number that it is to choose; not `all` or
 * `default`, which are folders of sysctls beside those of links.
 */
export type IfName = Brand<string, 'IfName'>;
/** An Ethernet (6 bytes) or InfiniBand (20 bytes) hardware address in lower case with colons. */
export type MacAddress = Brand<string, 'MacAddress'>;
/** A CNI container id, `^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`, at most 200 bytes so that it fits a file name. */
export type ContainerId = Brand<string, 'ContainerId'>;
/** A CNI network name, of the same alphabet; it is used as a folder's name. */
export type NetworkName = Brand<string, 'NetworkName'>;

const PCI = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/;
const MAC = /^([0-9a-f]{2}:){5}([0-9a-f]{2}|([0-9a-f]{2}:){14}[0-9a-f]{2})$/;
/** What Go's net.ParseMAC takes, too. */
const DOTTED_MAC = /^[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}$/;
const ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

export function asPciAddress(text: string): PciAddress | undefined {
  const lower = text.toLowerCase();
  return PCI.test(lower) ? (lower as PciAddress) : undefined;
}

export function asIfName(text: string): IfName | undefined {
  if (['', '.', '..', 'all', 'default'].includes(text)) return undefined;
  if (Buffer.byteLength(text) > 15) return undefined;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a NUL would end the name inside the kernel
  return /[/:%\s\u0000]/.test(text) ? undefined : (text as IfName);
}

/** Bytes with `:` or `-` between them, or six in groups of two with `.`, as switches write them. */
export function asMacAddress(text: string): MacAddress | undefined {
  const lower = text.toLowerCase().replaceAll('-', ':');
  const written = DOTTED_MAC.test(lower) ? lower.replaceAll('.', '').replace(/(..)(?=.)/g, '$1:') : lower;
  return MAC.test(written) ? (written as MacAddress) : undefined;
}

export function asContainerId(text: string): ContainerId | undefined {
  return ID.test(text) && text.length <= 200 ? (text as ContainerId) : undefined;
}

export function asNetworkName(text: string): NetworkName | undefined {
  return ID.test(text) && text.length <= 200 ? (text as NetworkName) : undefined;
}

function required<T>(value: T | undefined, what: string, text: string, remedy: string): T {
  if (value !== undefined) return value;
  throw new BerthError({
    code: 'Invalid',
    reason: `invalid-${what.toLowerCase().replaceAll(' ', '-')}`,
    message: `${JSON.stringify(text)} is not a valid ${what}`,
    remedy,
  });
}

export function parsePciAddress(text: string): PciAddress {
  return required(asPciAddress(text), 'PCI address', text, 'Write it in full, as in 0000:41:10.0.');
}

export function parseIfName(text: string): IfName {
  return required(
    asIfName(text),
    'interface name',
    text,
    'Use 1 to 15 bytes without "/", ":", "%" or white space, and not "all" or "default".',
  );
}

export function parseMacAddress(text: string): MacAddress {
  return required(
    asMacAddress(text),
    'hardware address',
    text,
    'Write six hexadecimal bytes, as in 02:00:00:00:00:01.',
  );
}

export function parseContainerId(text: string): ContainerId {
  return required(
    asContainerId(text),
    'container id',
    text,
    'Letters, digits, "_", "." and "-", beginning with a letter or digit.',
  );
}

export function parseNetworkName(text: string): NetworkName {
  return required(
    asNetworkName(text),
    'network name',
    text,
    'Letters, digits, "_", "." and "-", beginning with a letter or digit.',
  );
}
