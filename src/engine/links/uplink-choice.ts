/**
 * Which link a new one is to stand on: named, chosen by what it is, of the slot that was given, in
 * the sandbox, or a VLAN on it. Reads only; uplink.ts has what is asked of the link then.
 */
import type { UplinkChoice } from '../attachments/model.ts';
import type { Link, Namespace } from '../attachments/port.ts';
import { BerthError } from '../errors.ts';
import { indexLinks } from '../pools/links.ts';
import { whyUplinkDiffers } from '../pools/selectors.ts';
import type { IfName } from '../values.ts';
import type { LinkContext, LinkTarget, OwnershipMarks } from './link-driver.ts';
import { findSharedVlan, vlanMarks } from './shared-vlan.ts';
import { defaultRouteUplink, findUplink, mtuOn, requireSlotOnUplink, uplinkName } from './uplink.ts';
import type { UplinkIdentity, UplinkState } from './uplink-state.ts';

/** An uplink, and everything of it that a record holds. */
export interface UplinkTarget extends LinkTarget {
  readonly uplink: Link;
  readonly choice: UplinkChoice;
  /** Where it is: the node's namespace or the sandbox. */
  readonly at: Namespace;
  readonly identity: UplinkIdentity;
}

/**
 * Finds the uplink. `alone`: operations on it exclude each other, because the kernel does not keep
 * them apart. Throws `NotFound` (`uplink-missing`, `no-default-route`, `uplink-not-selected`) and
 * `Invalid` (`uplink-ambiguous`, `uplink-contradicts-slot`, `slot-invalid`).
 */
export async function resolveUplink(
  context: LinkContext,
  choice: UplinkChoice,
  sandbox: Namespace,
  alone: boolean,
): Promise<UplinkTarget> {
  const inSandbox = choice.uplinkInSandbox === true;
  const at = inSandbox ? sandbox : context.kernel.host;
  const uplink = inSandbox ? await uplinkInside(sandbox, choice.uplink) : await uplinkOfNode(context, choice);
  const vlan = choice.uplinkVlan === undefined ? undefined : vlanMarks(uplink, choice.uplinkVlan);
  const place = `uplink:${inSandbox ? `${sandbox.id.cookie}:` : ''}${uplink.index}`;
  return {
    // Nobody but this sandbox can want a link that is in it, so it is not named as one of the node.
    device: inSandbox ? `${uplink.name}@sandbox` : (vlan?.name ?? uplink.name),
    exclusive: false,
    uplink,
    choice,
    at,
    identity: {
      uplinkIndex: uplink.index,
      ...(inSandbox ? { uplinkSandbox: sandbox.id.cookie } : {}),
      ...(vlan === undefined ? {} : { sharedVlan: vlan }),
    },
    // Making a VLAN for its first and removing it with its last user must not cross.
    ...(vlan !== undefined ? { lockKey: `${place}:vlan:${vlan.id}` } : alone ? { lockKey: place } : {}),
  };
}

/** The link that the new one will stand on, as far as it exists: a shared VLAN may be still to be made. */
export async function standingOn(context: LinkContext, target: UplinkTarget): Promise<Link> {
  const { sharedVlan } = target.identity;
  if (sharedVlan === undefined) return target.uplink;
  return (await findSharedVlan(context, target.uplink.index, sharedVlan)) ?? target.uplink;
}

/** The common part of a record's state. Throws `Invalid` (`mtu-too-large`, `mtu-invalid`). */
export function uplinkStateOf(
  target: UplinkTarget,
  marks: OwnershipMarks,
  on: Link,
  mtu: number | undefined,
): UplinkState {
  const { uplink, choice, identity } = target;
  const bytes = mtuOn(on, mtu);
  return {
    uplink: uplink.name,
    ...identity,
    ...(choice.slot === undefined ? {} : { slot: choice.slot }),
    ...marks,
    ...(bytes === undefined ? {} : { mtu: bytes }),
  };
}

async function uplinkOfNode(context: LinkContext, choice: UplinkChoice): Promise<Link> {
  const { kernel } = context;
  const chosen = choice.uplinkSelectors === undefined ? choice.uplink : selectUplink(context, choice);
  const uplink = await findUplink(kernel, uplinkName(chosen, choice.slot));
  await requireSlotOnUplink(kernel, uplink, choice.slot);
  return uplink;
}

/** A link that another network put into the sandbox before; without a name that of the sandbox's default route. */
async function uplinkInside(sandbox: Namespace, name: string | undefined): Promise<Link> {
  if (name === undefined) return await defaultRouteUplink(sandbox);
  const link = await sandbox.link({ name });
  if (link !== undefined) return link;
  throw new BerthError({
    code: 'NotFound',
    reason: 'uplink-missing',
    message: `the sandbox has no interface named or called ${name}, and linkInContainer looks for it there`,
    remedy: 'The network that makes it must come before this one in the list of the pod.',
  });
}

function selectUplink(context: LinkContext, choice: UplinkChoice): IfName | string {
  const selectors = choice.uplinkSelectors ?? [];
  const inventory = context.inventory?.();
  if (inventory === undefined) {
    throw new BerthError({
      code: 'Unsupported',
      reason: 'uplink-not-selected',
      message: 'an uplink is to be chosen by what it is, and the inventory of the node is not known',
      remedy: 'Name the uplink with `master`.',
    });
  }
  const misses: string[] = [];
  const found: { readonly ifname: string; readonly altnames: readonly string[] }[] = [];
  for (const link of indexLinks(inventory).links.values()) {
    const reasons = selectors.map((selector) => whyUplinkDiffers(selector, link));
    if (reasons.includes(undefined)) found.push(link.netdev);
    else misses.push(`${link.netdev.ifname}: ${reasons.join(' and ')}`);
  }
  const slot = uplinkName(undefined, choice.slot);
  const ofSlot = slot === undefined ? found : found.filter((each) => [each.ifname, ...each.altnames].includes(slot));
  const [only, ...others] = ofSlot;
  if (only !== undefined && others.length === 0) return only.ifname;
  if (only !== undefined) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'uplink-ambiguous',
      message: `masterSelector matches ${ofSlot.map((each) => each.ifname).join(', ')}, and one uplink is needed`,
      remedy:
        'Add a field that only one of them has (altnames, pciAddresses, macs, subnets), or take slots from a pool.',
    });
  }
  throw new BerthError({
    code: 'NotFound',
    reason: 'uplink-not-selected',
    message:
      found.length > 0
        ? `masterSelector matches ${found.map((each) => each.ifname).join(', ')}, and the slot ${choice.slot ?? ''} is on none of them`
        : `masterSelector matches no interface of the node: ${misses.join('; ')}`,
    remedy: "Compare with `berth inventory -o wide`; the selector is that of a pool's uplinks.",
  });
}
