/**
 * ipvlan: a link that shares its uplink's MAC. Mode and flag belong to the uplink, not to the link:
 * making one l3 link would switch other pods' running l2 links, so a differing one is refused. Seen
 * are our own attachments and links on the node; foreign links inside other sandboxes are not.
 */
import { z } from 'zod';
import type { IpvlanLinkSpec } from '../attachments/model.ts';
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
import { findUplink, mtuOn, requireSlotOnUplink, uplinkName } from './uplink.ts';
import { deleteOwnLink, makeOwnLink } from './virtual-link.ts';

export const state = z.object({
  kind: z.literal('ipvlan'),
  uplink: z.string().transform((text) => text as IfName),
  uplinkIndex: z.number().int(),
  slot: z.string().exactOptional(),
  tempName: z.string().transform((text) => text as IfName),
  alias: z.string(),
  mode: z.enum(['l2', 'l3', 'l3s']),
  flag: z.enum(['bridge', 'private', 'vepa']),
  mtu: z.number().int().exactOptional(),
});

export type IpvlanState = z.output<typeof state>;

export async function resolve(context: LinkContext, spec: IpvlanLinkSpec): Promise<LinkTarget> {
  const uplink = await findUplink(context.kernel, uplinkName(spec.uplink, spec.slot));
  await requireSlotOnUplink(context.kernel, uplink, spec.slot);
  // One at a time, so that between looking at the running mode and creating nobody else creates.
  return { device: uplink.name, exclusive: false, uplink, lockKey: `uplink:${uplink.index}` };
}

export async function prepare(context: LinkContext, input: PrepareInput<IpvlanLinkSpec>): Promise<IpvlanState> {
  const { spec, sandbox, ifname, marks } = input;
  const uplink = input.target.uplink as Link;
  const mtu = mtuOn(uplink, spec.mtu);
  await requireSameMode(context, input, uplink);
  await requireNameFree(sandbox, ifname);
  return {
    kind: 'ipvlan',
    uplink: uplink.name,
    uplinkIndex: uplink.index,
    ...(spec.slot === undefined ? {} : { slot: spec.slot }),
    ...marks,
    mode: spec.mode,
    flag: spec.flag,
    ...(mtu === undefined ? {} : { mtu }),
  };
}

export async function attach(
  context: LinkContext,
  input: AttachInput<IpvlanLinkSpec, IpvlanState>,
): Promise<LinkOutcome> {
  const { state: made, sandbox } = input;
  const create = {
    op: 'link.create',
    kind: 'ipvlan',
    name: made.tempName,
    parentIndex: made.uplinkIndex,
    into: sandbox,
    mode: made.mode,
    flag: made.flag,
    ...(made.mtu === undefined ? {} : { mtu: made.mtu }),
  } as const;
  return await makeOwnLink(context, create, input);
}

export async function check(_context: LinkContext, input: LinkCheckInput<IpvlanState>): Promise<readonly string[]> {
  const { state: made, sandbox, ifname, expected } = input;
  const link = await sandbox.link({ name: ifname });
  if (link === undefined) return [`${ifname} is gone from the sandbox`];
  if (link.kind !== 'ipvlan') return [`${ifname} is a ${link.kind ?? 'physical link'}, not an ipvlan`];
  const differences = await compareEndpoint(sandbox, link, expected);
  if (link.ipvlan !== undefined && (link.ipvlan.mode !== made.mode || link.ipvlan.flag !== made.flag)) {
    differences.push(
      `${ifname} is in mode ${link.ipvlan.mode} ${link.ipvlan.flag}, not ${made.mode} ${made.flag}: somebody switched ${made.uplink}`,
    );
  }
  if (link.parentIndex !== undefined && link.parentIndex !== made.uplinkIndex) {
    differences.push(`${ifname} is on link ${link.parentIndex}, not on ${made.uplink} (${made.uplinkIndex})`);
  }
  return differences;
}

export function restore(context: LinkContext, input: RestoreInput<IpvlanState>): Promise<RestoreOutcome> {
  return deleteOwnLink(context, 'ipvlan', input);
}

async function requireSameMode(context: LinkContext, input: PrepareInput<IpvlanLinkSpec>, uplink: Link): Promise<void> {
  const { mode, flag } = input.spec;
  const refuse = (runningMode: string, runningFlag: string, holder: string): never => {
    throw new BerthError({
      code: 'Busy',
      reason: 'ipvlan-mode-differs',
      message: `${uplink.name} runs ipvlan in mode ${runningMode} ${runningFlag}, held by ${holder}; mode ${mode} ${flag} would switch its links too`,
      remedy: 'Use the same mode and flag for every ipvlan network on one uplink, or another uplink.',
    });
  };
  for (const { key, state: other } of input.others) {
    if (other.kind !== 'ipvlan' || other.uplinkIndex !== uplink.index) continue;
    if (other.mode !== mode || other.flag !== flag)
      refuse(other.mode, other.flag, `container ${key.containerId} ${key.ifname}`);
  }
  for (const link of await context.kernel.host.links()) {
    const running = link.ipvlan;
    if (running === undefined || link.parentIndex !== uplink.index || link.parentNsid !== undefined) continue;
    if (running.mode !== mode || running.flag !== flag)
      refuse(running.mode, running.flag, `link ${link.name} of the node`);
  }
}
