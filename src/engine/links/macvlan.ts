/**
 * macvlan: a link with a MAC of its own on an uplink. Born in the sandbox under a temporary name,
 * so it never appears on the node. Debug: `ip -d link` in the sandbox shows mode and alias.
 */
import { z } from 'zod';
import type { MacvlanLinkSpec } from '../attachments/model.ts';
import type { Link } from '../attachments/port.ts';
import { BerthError } from '../errors.ts';
import type { IfName } from '../values.ts';
import { compareEndpoint, requireNameFree } from './endpoint.ts';
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
import { carriesNode, findUplink, mtuOn, requireSlotOnUplink, uplinkName } from './uplink.ts';
import { deleteOwnLink, makeOwnLink } from './virtual-link.ts';

export const state = z.object({
  kind: z.literal('macvlan'),
  uplink: z.string().transform((text) => text as IfName),
  uplinkIndex: z.number().int(),
  slot: z.string().exactOptional(),
  tempName: z.string().transform((text) => text as IfName),
  alias: z.string(),
  mode: z.enum(['bridge', 'private', 'vepa', 'passthru']),
  mtu: z.number().int().exactOptional(),
});

export type MacvlanState = z.output<typeof state>;

export async function resolve(context: LinkContext, spec: MacvlanLinkSpec): Promise<LinkTarget> {
  const uplink = await findUplink(context.kernel, uplinkName(spec.uplink, spec.slot));
  await requireSlotOnUplink(context.kernel, uplink, spec.slot);
  // The kernel itself keeps macvlans on one uplink apart; only passthru is one at a time.
  return {
    device: uplink.name,
    exclusive: false,
    uplink,
    ...(spec.mode === 'passthru' ? { lockKey: `uplink:${uplink.index}` } : {}),
  };
}

export async function prepare(context: LinkContext, input: PrepareInput<MacvlanLinkSpec>): Promise<MacvlanState> {
  const { spec, sandbox, ifname, marks } = input;
  const uplink = input.target.uplink as Link;
  const mtu = mtuOn(uplink, spec.mtu);
  if (spec.mac !== undefined) requireUnicast(spec.mac);
  if (spec.mode === 'passthru') await requireMayPassThrough(context, uplink);
  await requireNameFree(sandbox, ifname);
  return {
    kind: 'macvlan',
    uplink: uplink.name,
    uplinkIndex: uplink.index,
    ...(spec.slot === undefined ? {} : { slot: spec.slot }),
    ...marks,
    mode: spec.mode,
    ...(mtu === undefined ? {} : { mtu }),
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
    name: made.tempName,
    parentIndex: made.uplinkIndex,
    into: sandbox,
    mode: spec.mode,
    ...(made.mtu === undefined ? {} : { mtu: made.mtu }),
    ...(spec.mac === undefined ? {} : { mac: spec.mac }),
    ...(spec.bcQueueLength === undefined ? {} : { bcQueueLength: spec.bcQueueLength }),
  } as const;
  return await makeOwnLink(context, create, input);
}

export async function check(_context: LinkContext, input: LinkCheckInput<MacvlanState>): Promise<readonly string[]> {
  const { state: made, sandbox, ifname, expected } = input;
  const link = await sandbox.link({ name: ifname });
  if (link === undefined) return [`${ifname} is gone from the sandbox`];
  if (link.kind !== 'macvlan') return [`${ifname} is a ${link.kind ?? 'physical link'}, not a macvlan`];
  const differences = await compareEndpoint(sandbox, link, expected);
  if (link.macvlan !== undefined && link.macvlan.mode !== made.mode) {
    differences.push(`${ifname} is in mode ${link.macvlan.mode}, not ${made.mode}`);
  }
  if (link.parentIndex !== undefined && link.parentIndex !== made.uplinkIndex) {
    differences.push(`${ifname} is on link ${link.parentIndex}, not on ${made.uplink} (${made.uplinkIndex})`);
  }
  return differences;
}

export function restore(context: LinkContext, input: RestoreInput<MacvlanState>): Promise<RestoreOutcome> {
  return deleteOwnLink(context, 'macvlan', input);
}

async function requireMayPassThrough(context: LinkContext, uplink: Link): Promise<void> {
  const why = await carriesNode(context.kernel.host, uplink);
  if (why === undefined) return;
  throw new BerthError({
    code: 'Denied',
    reason: 'passthru-on-node-uplink',
    message: `macvlan mode passthru would take ${uplink.name} away from the node: ${why}`,
    remedy: 'Use mode bridge, or an uplink that the node itself does not use.',
  });
}
