/** Whether a network could still give addresses; nothing is taken. */
import { BerthError } from '../errors.ts';
import { asIp, formatIp, type Ip } from './ip.ts';
import type { HostLocalSpec } from './model.ts';
import type { ReservationFolder } from './port.ts';
import { parseRangeSets, type Range } from './ranges.ts';

/** Throws `Exhausted` (`address-range-exhausted`) when a range set has no free address, `Invalid` (`ranges-invalid`). */
export function requireFreeAddress(folder: ReservationFolder, spec: HostLocalSpec): void {
  const taken = new Set(
    [...folder.names()].flatMap((name) => {
      const ip = asIp(name);
      return ip === undefined ? [] : [formatIp(ip)];
    }),
  );
  for (const [set, ranges] of parseRangeSets(spec.rangeSets).entries()) {
    if (ranges.some((range) => hasFree(range, taken))) continue;
    throw new BerthError({
      code: 'Exhausted',
      reason: 'address-range-exhausted',
      message: `no address is free in range set ${set} (${ranges.map(({ start, end }) => `${formatIp(start)}-${formatIp(end)}`).join(', ')})`,
      remedy: 'Make the range larger, or look for reservations of containers that no longer exist.',
    });
  }
}

/** Looks at no more addresses than are taken, and two. */
function hasFree({ subnet, start, end, gateway }: Range, taken: ReadonlySet<string>): boolean {
  for (let value = start.value; value <= end.value; value += 1n) {
    const ip: Ip = { family: subnet.ip.family, value };
    if (value !== gateway.value && !taken.has(formatIp(ip))) return true;
  }
  return false;
}
