/** Hardware addresses between bytes and text. */
import { asMacAddress, type MacAddress } from '../../engine/values.ts';

/** `undefined` for lengths that are no Ethernet or InfiniBand address (loopback has six zero bytes, tunnels have four). */
export function macFromBytes(bytes: Buffer): MacAddress | undefined {
  return asMacAddress(bytes.toString('hex').replace(/(..)(?=.)/g, '$1:'));
}

export function macToBytes(mac: MacAddress): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}
