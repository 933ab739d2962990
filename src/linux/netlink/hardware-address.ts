/** Hardware addresses between bytes and text. */
import type { MacAddress } from '../../engine/values.ts';

const ETHERNET_BYTES = 6;
const INFINIBAND_BYTES = 20;

/** `undefined` for lengths that are no Ethernet or InfiniBand address (loopback has six zero bytes, tunnels have four). */
export function macFromBytes(bytes: Buffer): MacAddress | undefined {
  if (bytes.length !== ETHERNET_BYTES && bytes.length !== INFINIBAND_BYTES) return undefined;
  const digits = bytes.toString('hex');
  let text = digits.slice(0, 2);
  for (let at = 2; at < digits.length; at += 2) text += `:${digits.slice(at, at + 2)}`;
  return text as MacAddress;
}

export function macToBytes(mac: MacAddress): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}
