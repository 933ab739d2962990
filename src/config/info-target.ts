/** What a key of `additionalInfo` speaks of. */
import type { VfRange } from '../engine/pools/model.ts';
import { asMacAddress, asPciAddress } from '../engine/values.ts';
import { parseVfRange } from './vf-range.ts';

/**
 * `*` and PCI addresses as they are; `eth0#0-3`, `SERIAL@1#2` or `3c:fd:fe:00:00:01#0` are VFs of a
 * port by any name of it, and a hardware address alone is the port with all its VFs. Or what is wrong.
 */
export function infoTarget(key: string): { readonly id: string } | { readonly port: VfRange } | string {
  const id = key === '*' ? key : asPciAddress(key);
  if (id !== undefined) return { id };
  const mac = asMacAddress(key);
  if (mac !== undefined) return { port: { pf: mac } };
  if (!key.includes('#')) {
    return `${JSON.stringify(key)} is neither "*" nor a full PCI address, as in 0000:41:10.0, nor VFs of a port, as in eth0#0-3`;
  }
  const port = parseVfRange(key);
  if (typeof port === 'string') return port;
  return { port: { ...port, pf: asPciAddress(port.pf) ?? asMacAddress(port.pf) ?? port.pf } };
}
