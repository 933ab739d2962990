/**
 * What the records of all links that stand on another link hold: which one, where it is, and the
 * marks of ownership. Kinds add their own fields.
 */
import { z } from 'zod';
import type { IfName } from '../values.ts';

const ifname = z.string().transform((text) => text as IfName);

/** A VLAN on the uplink that several attachments share; see shared-vlan.ts. */
export const sharedVlan = z.object({
  id: z.number().int(),
  /** What it is called, unless somebody else has the name. */
  name: ifname,
  tempName: ifname,
  alias: z.string(),
});

export type SharedVlan = z.output<typeof sharedVlan>;

/** Spread into each kind's own state. */
export const uplinkState = {
  uplink: ifname,
  uplinkIndex: z.number().int(),
  /** Cookie of the sandbox that the uplink is in; absent for an uplink of the node. */
  uplinkSandbox: z.string().exactOptional(),
  slot: z.string().exactOptional(),
  sharedVlan: sharedVlan.exactOptional(),
  tempName: ifname,
  alias: z.string(),
  mtu: z.number().int().exactOptional(),
} as const;

const whole = z.object(uplinkState);

export type UplinkState = z.output<typeof whole>;

/** The part of a state that says which link it is on. */
export type UplinkIdentity = Pick<UplinkState, 'uplinkIndex' | 'uplinkSandbox' | 'sharedVlan'>;

/** Whether two attachments stand on one link: the same uplink, and the same VLAN of it or none. */
export function isSameUplink(one: UplinkIdentity, other: UplinkIdentity): boolean {
  return (
    one.uplinkIndex === other.uplinkIndex &&
    one.uplinkSandbox === other.uplinkSandbox &&
    one.sharedVlan?.id === other.sharedVlan?.id
  );
}
