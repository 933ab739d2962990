/**
 * The interface index of a macvtap and with it the name of its character device, `/dev/tap<index>`
 * (drivers/net/macvtap.c). It is derived from the slot before the link exists: kubelet has to be told
 * the device when it allocates, long before ADD makes the link. Indexes are chosen far above those
 * that the kernel hands out, and only there can one index be that of a link in any sandbox.
 */
import { createHash } from 'node:crypto';

const LOWEST = 0x2000_0000;
const BITS = 0x1fff_ffff;

/** 2^29 to 2^30 - 1; the same for the same slot at all times. */
export function tapIndexOf(slot: string): number {
  const hash = createHash('sha256').update(`tap\0${slot}`).digest().readUInt32LE(0);
  return LOWEST + (hash & BITS);
}

/** Where the device of a link with that index is, on the node and in the container. */
export function tapPath(index: number): string {
  return `/dev/tap${index}`;
}
