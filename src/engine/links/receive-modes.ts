/**
 * Receive modes of a netdev: promiscuous, and every multicast packet. A pod that may configure its
 * interface may switch them on, and the kernel keeps them when the netdev moves to another namespace: the
 * next pod would hear what is not for it, and some NICs pause their whole port.
 */
import { z } from 'zod';
import type { Link } from '../attachments/port.ts';
import type { LinkContext } from './link-driver.ts';

/** Absent is off. */
export const receiveModes = z.object({
  promiscuous: z.boolean().exactOptional(),
  allMulticast: z.boolean().exactOptional(),
});

export type ReceiveModes = z.output<typeof receiveModes>;

/** How they are now; part of the baseline of a device that is more than a pod's. */
export function receiveModesOf({ promiscuous, allMulticast }: Link): ReceiveModes {
  return {
    ...(promiscuous === true ? { promiscuous } : {}),
    ...(allMulticast === true ? { allMulticast } : {}),
  };
}

/** Sets what differs, on a link of the node. Answers whether anything did. */
export async function setReceiveModes(context: LinkContext, link: Link, wanted: ReceiveModes): Promise<boolean> {
  const change = {
    ...differing('promiscuous', link.promiscuous, wanted.promiscuous),
    ...differing('allMulticast', link.allMulticast, wanted.allMulticast),
  };
  if (Object.keys(change).length === 0) return false;
  await context.kernel.host.apply([{ op: 'link.set', index: link.index, ...change }]);
  return true;
}

function differing<Name extends keyof ReceiveModes>(
  name: Name,
  is: boolean | undefined,
  wanted: boolean | undefined,
): { readonly [N in Name]?: boolean } {
  const isOn = is === true;
  const isWanted = wanted === true;
  return isOn === isWanted ? {} : ({ [name]: isWanted } as { readonly [N in Name]?: boolean });
}
