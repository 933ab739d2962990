/**
 * The link that macvlan and ipvlan stand on: found by name, alternative name or as the default
 * route's, and asked whether it carries the node.
 */

import type { Kernel, Link, Namespace } from '../attachments/port.ts';
import { BerthError } from '../errors.ts';

const MAIN_TABLE = 254;
const DEFAULT_ROUTES = new Set(['0.0.0.0/0', '::/0']);

/** The uplink named, or that of the node's default route. Throws `NotFound` (`uplink-missing`, `no-default-route`). */
export async function findUplink(kernel: Kernel, name: string | undefined): Promise<Link> {
  if (name === undefined) return await defaultRouteUplink(kernel.host);
  const link = await kernel.host.link({ name });
  if (link !== undefined) return link;
  throw new BerthError({
    code: 'NotFound',
    reason: 'uplink-missing',
    message: `the node has no network interface named or called ${name}`,
    remedy: 'Compare with `berth inventory`; an alternative name that is the same on every node is the best choice.',
  });
}

/** The slot's uplink (`eth0-3` is on `eth0`) and a configured one must be the same. Throws `Invalid` (`uplink-contradicts-slot`). */
export function uplinkName(configured: string | undefined, slot: string | undefined): string | undefined {
  if (slot === undefined) return configured;
  const cut = slot.lastIndexOf('-');
  if (cut <= 0 || !/^[0-9]+$/.test(slot.slice(cut + 1))) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'slot-invalid',
      message: `${JSON.stringify(slot)} is no slot of an uplink, which is written <interface>-<number>`,
      remedy: 'Remove deviceID from the network configuration; it is filled in from what kubelet allocated.',
    });
  }
  return configured ?? slot.slice(0, cut);
}

/** Throws `Invalid` when a configured uplink is not the one of the slot that kubelet gave. */
export async function requireSlotOnUplink(kernel: Kernel, uplink: Link, slot: string | undefined): Promise<void> {
  if (slot === undefined) return;
  const slotUplink = uplinkName(undefined, slot);
  if (slotUplink === undefined || slotUplink === uplink.name || uplink.altnames.includes(slotUplink)) return;
  const other = await kernel.host.link({ name: slotUplink });
  if (other?.index === uplink.index) return;
  throw new BerthError({
    code: 'Invalid',
    reason: 'uplink-contradicts-slot',
    message: `master ${uplink.name} contradicts slot ${slot}, which is on ${slotUplink}`,
    remedy: 'Leave master out, or choose a pool of that uplink.',
  });
}

/**
 * Why the uplink is said to carry the node: a default route, own addresses, or membership in a
 * bond, bridge or the like. `undefined` when it does not.
 */
export async function carriesNode(host: Namespace, uplink: Link): Promise<string | undefined> {
  if (uplink.masterIndex !== undefined) return `it is enslaved to link ${uplink.masterIndex}`;
  const addresses = await host.addresses(uplink.index);
  const own = addresses.find((address) => address.scope === 'global');
  if (own !== undefined) return `it has the address ${own.address}`;
  const routes = await host.routes(uplink.index);
  if (routes.some((route) => DEFAULT_ROUTES.has(route.dst))) return 'it carries a default route';
  return undefined;
}

/** The link of the default route, of the node or of a sandbox. Throws `NotFound` (`no-default-route`). */
export async function defaultRouteUplink(host: Namespace): Promise<Link> {
  let best: { link: Link; priority: number } | undefined;
  for (const link of await host.links()) {
    if (!link.up) continue;
    for (const route of await host.routes(link.index)) {
      if (!DEFAULT_ROUTES.has(route.dst) || (route.table ?? MAIN_TABLE) !== MAIN_TABLE) continue;
      // IPv4 decides where both families have a default route, as the reference plugins do.
      const priority = (route.priority ?? 0) + (route.dst === '::/0' ? 2 ** 32 : 0);
      if (best === undefined || priority < best.priority) best = { link, priority };
    }
  }
  if (best !== undefined) return best.link;
  throw new BerthError({
    code: 'NotFound',
    reason: 'no-default-route',
    message: `no uplink is configured and the ${host.isHost ? 'node' : 'sandbox'} has no default route to take one from`,
    remedy: 'Name the uplink with `master`.',
  });
}

/** The MTU to give a link on this uplink, `undefined` for the uplink's own. Throws `Invalid` (`mtu-too-large`, `mtu-invalid`). */
export function mtuOn(uplink: Link, mtu: number | undefined): number | undefined {
  if (mtu === undefined || mtu === 0) return undefined;
  if (!Number.isInteger(mtu) || mtu < 68) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'mtu-invalid',
      message: `mtu ${mtu} is not a whole number of at least 68 bytes`,
      remedy: 'Leave mtu out to take that of the uplink.',
    });
  }
  if (mtu > uplink.mtu) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'mtu-too-large',
      message: `mtu ${mtu} is more than the ${uplink.mtu} of ${uplink.name}`,
      remedy: `Use at most ${uplink.mtu}, or raise the MTU of ${uplink.name}.`,
    });
  }
  return mtu;
}
