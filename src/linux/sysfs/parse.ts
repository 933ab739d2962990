/**
 * Texts of sysfs attributes into values. Every parser is total: what is not exactly the kernel's
 * format is `undefined`.
 */
import type { PcieLink } from '../../engine/inventory/model.ts';

/** `0x8086` (drivers/pci/pci-sysfs.c, `pci_config_attr`) as four lower-case digits. */
export function hexId(text: string): string | undefined {
  return /^0x[0-9a-fA-F]{4}$/.test(text) ? text.slice(2).toLowerCase() : undefined;
}

/** `0x020000` as six lower-case digits. */
export function pciClass(text: string): string | undefined {
  return /^0x[0-9a-fA-F]{6}$/.test(text) ? text.slice(2).toLowerCase() : undefined;
}

/** A decimal number that is not negative. */
export function count(text: string): number | undefined {
  return /^[0-9]{1,10}$/.test(text) ? Number(text) : undefined;
}

/** A counter of 64 bits; exact up to 2^53. */
export function counter(text: string): number | undefined {
  return /^[0-9]{1,20}$/.test(text) ? Number(text) : undefined;
}

/** A decimal number with an optional sign. */
export function integer(text: string): number | undefined {
  return /^-?[0-9]{1,10}$/.test(text) ? Number(text) : undefined;
}

/** `0x1003`, as interface flags are written. */
export function hexNumber(text: string): number | undefined {
  return /^0x[0-9a-fA-F]{1,8}$/.test(text) ? Number.parseInt(text, 16) : undefined;
}

/** `1` or `0`. */
export function flag(text: string): boolean | undefined {
  if (text === '1') return true;
  return text === '0' ? false : undefined;
}

/** One word as names of drivers, states and groups are: no control characters, no white space, no `/`. */
export function word(text: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be in a name
  return /^[^\s/\u0000-\u0020\u007f-\u009f\ufffd]{1,128}$/.test(text) ? text : undefined;
}

/** One line for people: printable, at most 256 characters. */
export function line(text: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be in a line
  return text !== '' && text.length <= 256 && !/[\u0000-\u001f\u007f-\u009f\ufffd]/.test(text) ? text : undefined;
}

/** `8.0 GT/s PCIe` (drivers/pci/probe.c, `pci_speed_string`); `Unknown` is not a rate. */
export function gigatransfers(text: string): number | undefined {
  const found = /^([0-9]{1,3}(?:\.[0-9])?) GT\/s(?: PCIe)?$/.exec(text);
  return found?.[1] === undefined ? undefined : Number(found[1]);
}

/** A PCIe link from its two attributes; `undefined` when neither is known. Width 0 and 255 mean "unknown". */
export function pcieLink(speed: string | undefined, width: string | undefined): PcieLink | undefined {
  const gtps = speed === undefined ? undefined : gigatransfers(speed);
  const lanes = width === undefined ? undefined : count(width);
  const known = lanes === undefined || lanes === 0 || lanes === 255 ? undefined : lanes;
  if (gtps === undefined && known === undefined) return undefined;
  return { ...(gtps === undefined ? {} : { gtps }), ...(known === undefined ? {} : { width: known }) };
}

/** The last line of an AER file, `TOTAL_ERR_COR 3` (drivers/pci/pcie/aer.c). */
export function aerTotal(text: string): number | undefined {
  const found = /^TOTAL_ERR_(?:COR|FATAL|NONFATAL) ([0-9]{1,15})$/m.exec(text);
  return found?.[1] === undefined ? undefined : Number(found[1]);
}

/** A list of CPUs or nodes, `0-3,8` (lib/bitmap.c), at most 4,096 numbers. */
export function numberList(text: string): readonly number[] | undefined {
  const numbers: number[] = [];
  for (const part of text.split(',')) {
    const range = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(part);
    if (range?.[1] === undefined) return undefined;
    const first = Number(range[1]);
    const last = range[2] === undefined ? first : Number(range[2]);
    if (last < first || numbers.length + last - first >= 4096) return undefined;
    for (let number = first; number <= last; number += 1) numbers.push(number);
  }
  return numbers;
}

const LINK_TYPES: ReadonlyMap<number, string> = new Map([
  [1, 'ether'],
  [32, 'infiniband'],
  [280, 'can'],
  [512, 'ppp'],
  [768, 'ipip'],
  [769, 'ip6tnl'],
  [772, 'loopback'],
  [776, 'sit'],
  [778, 'gre'],
  [823, 'ip6gre'],
  [65534, 'none'],
]);

/** Name of an ARPHRD_* number (linux/if_arp.h), as iproute2 calls it; the number itself when it has none. */
export function linkType(text: string): string | undefined {
  const number = count(text);
  return number === undefined ? undefined : (LINK_TYPES.get(number) ?? String(number));
}

/** `KEY=value` lines of a uevent file. */
export function ueventValue(text: string, key: string): string | undefined {
  for (const entry of text.split('\n')) if (entry.startsWith(`${key}=`)) return entry.slice(key.length + 1);
  return undefined;
}
