/** What a MAC must be before it is given to a link. */
import { BerthError } from '../errors.ts';
import type { MacAddress } from '../values.ts';

/** IFLA_VF_MAC with this value takes the administrative MAC away. */
export const ZERO_MAC = '00:00:00:00:00:00' as MacAddress;

/** Throws `Invalid` (`mac-not-unicast`) for a multicast or zero address. */
export function requireUnicast(mac: MacAddress): void {
  const first = Number.parseInt(mac.slice(0, 2), 16);
  if (mac !== ZERO_MAC && (first & 1) === 0) return;
  throw new BerthError({
    code: 'Invalid',
    reason: 'mac-not-unicast',
    message: `${mac} is ${mac === ZERO_MAC ? 'the zero address' : 'a multicast address'}, which no interface can have`,
    remedy: 'Use an address whose first byte is even, for example 02:00:00:00:00:01.',
  });
}
