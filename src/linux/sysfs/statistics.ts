/**
 * What an interface counted itself (Documentation/ABI/testing/sysfs-class-net-statistics). Of an
 * interface in a pod there is nothing here: the kernel shows the files in the namespace that has it.
 */
import type { LinkCounters } from '../../engine/inventory/model.ts';
import { count, counter } from './parse.ts';
import { attributeOf, type Scan } from './scan.ts';

const FILES = {
  rxBytes: 'rx_bytes',
  rxPackets: 'rx_packets',
  rxErrors: 'rx_errors',
  rxDropped: 'rx_dropped',
  txBytes: 'tx_bytes',
  txPackets: 'tx_packets',
  txErrors: 'tx_errors',
  txDropped: 'tx_dropped',
} as const satisfies Record<keyof LinkCounters, string>;

/** `undefined` when there is no such interface (any more), or it does not tell all of them. */
export function readLinkCounters(
  scan: Scan,
  { ifindex, ifname }: { readonly ifindex: number; readonly ifname: string },
): LinkCounters | undefined {
  const name = `sys/class/net/${ifname}`;
  const place = { home: name, name };
  // Its name may be another's by now.
  if (attributeOf(scan, place, 'ifindex', count) !== ifindex) return undefined;
  const counted: Partial<Record<keyof LinkCounters, number>> = {};
  for (const [field, file] of Object.entries(FILES) as [keyof LinkCounters, string][]) {
    const value = attributeOf(scan, place, `statistics/${file}`, counter);
    if (value === undefined) return undefined;
    counted[field] = value;
  }
  return counted as LinkCounters;
}
