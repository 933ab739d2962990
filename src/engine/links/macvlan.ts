/**
 * macvlan: a link with a MAC of its own on an uplink. Born in the sandbox, so it never appears on the
 * node. Debug: `ip -d link` in the sandbox shows mode and alias.
 */
import { z } from 'zod';
import type { MacvlanLinkSpec } from '../attachments/model.ts';
import type { Link, Namespace } from '../attachments/port.ts';
import { BerthError } from '../errors.ts';
import { compareEndpoint } from './endpoint.ts';
import type {
  AttachInput,
  LinkCheckInput,
  LinkContext,
  LinkOutcome,
  LinkTarget,
  PrepareInput,
  RestoreInput,
  RestoreOutcome,
} from './link-driver.ts';
import { requireUnicast } from './mac.ts';
import { bornAs } from './ownership.ts';
import { compareUplink, releaseSharedVlan, requireStand } from './shared-vlan.ts';
import { carriesNode } from './uplink.ts';
import { resolveUplink, standingOn, type UplinkTarget, uplinkStateOf } from './uplink-choice.ts';
import { uplinkState } from './uplink-state.ts';
import { deleteOwnLink, makeOwnLink } from './virtual-link.ts';

export const state = z.object({
  kind: z.literal('macvlan'),
  ...uplinkState,
  mode: z.enum(['bridge', 'private', 'vepa', 'passthru']),
  /** Asked for; the kernel has a length of its own otherwise. */
  bcQueueLength: z.number().int().exactOptional(),
});

export type MacvlanState = z.output<typeof state>;

export function resolve(context: LinkContext, spec: MacvlanLinkSpec, sandbox: Namespace): Promise<LinkTarget> {
  // The kernel itself keeps macvlans on one uplink apart; only passthru is one at a time.
  return resolveUplink(context, spec, sandbox, spec.mode === 'passthru');
}

export async function prepare(context: LinkContext, input: PrepareInput<MacvlanLinkSpec>): Promise<MacvlanState> {
  const { spec, marks } = input;
  const target = input.target as UplinkTarget;
  const on = await standingOn(context, target);
  const made = uplinkStateOf(target, marks, on, spec.mtu);
  if (spec.mac !== undefined) requireUnicast(spec.mac);
  if (spec.mode === 'passthru') await requireMayPassThrough(target, on);
  return {
    kind: 'macvlan',
    ...made,
    mode: spec.mode,
    ...(spec.bcQueueLength === undefined ? {} : { bcQueueLength: spec.bcQueueLength }),
  };
}

export async function attach(
  context: LinkContext,
  input: AttachInput<MacvlanLinkSpec, MacvlanState>,
): Promise<LinkOutcome> {
  const { spec, state: made, sandbox } = input;
  const create = {
    op: 'link.create',
    kind: 'macvlan',
    ...bornAs(input.ifname, made),
    parentIndex: await requireStand(context, made),
    into: sandbox,
    mode: spec.mode,
    ...(made.mtu === undefined ? {} : { mtu: made.mtu }),
    ...(spec.mac === undefined ? {} : { mac: spec.mac }),
    ...(made.bcQueueLength === undefined ? {} : { bcQueueLength: made.bcQueueLength }),
  } as const;
  return await makeOwnLink(context, create, input);
}

export async function check(context: LinkContext, input: LinkCheckInput<MacvlanState>): Promise<readonly string[]> {
  const { state: made, sandbox, ifname, expected } = input;
  const link = await sandbox.link({ name: ifname });
  if (link === undefined) return [`${ifname} is gone from the sandbox`];
  if (link.kind !== 'macvlan') return [`${ifname} is a ${link.kind ?? 'physical link'}, not a macvlan`];
  const differences = await compareEndpoint(sandbox, link, expected);
  if (link.macvlan !== undefined && link.macvlan.mode !== made.mode) {
    differences.push(`${ifname} is in mode ${link.macvlan.mode}, not ${made.mode}`);
  }
  // The length that this link asked for (macvlan_fill_info, drivers/net/macvlan.c); the uplink uses the longest of all.
  const length = link.macvlan?.bcQueueLength;
  if (made.bcQueueLength !== undefined && length !== undefined && length !== made.bcQueueLength) {
    differences.push(`${ifname} has bcqueuelen ${length}, not ${made.bcQueueLength}`);
  }
  return [...differences, ...(await compareUplink(context, made, link))];
}

export async function restore(context: LinkContext, input: RestoreInput<MacvlanState>): Promise<RestoreOutcome> {
  return await releaseSharedVlan(context, input, await deleteOwnLink(context, 'macvlan', input));
}

async function requireMayPassThrough(target: UplinkTarget, uplink: Link): Promise<void> {
  // A link of the sandbox is the pod's own, and a VLAN that is still to be made is nobody's.
  const isToBeMade = target.identity.sharedVlan !== undefined && uplink === target.uplink;
  const why = target.at.isHost && !isToBeMade ? await carriesNode(target.at, uplink) : undefined;
  if (why === undefined) return;
  throw new BerthError({
    code: 'Denied',
    reason: 'passthru-on-node-uplink',
    message: `macvlan mode passthru would take ${uplink.name} away from the node: ${why}`,
    remedy: 'Use mode bridge, or an uplink that the node itself does not use.',
  });
}
