/**
 * ipvlan: a link that shares its uplink's MAC. Mode and flag belong to the uplink, not to the link:
 * making one l3 link would switch other pods' running l2 links, so a differing one is refused. Seen
 * are our own attachments and, as the inventory knows them, links on the node; foreign links inside
 * other sandboxes are not.
 */
import { z } from 'zod';
import type { IpvlanLinkSpec } from '../attachments/model.ts';
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
import { bornAs } from './ownership.ts';
import { compareUplink, releaseSharedVlan, requireStand } from './shared-vlan.ts';
import { resolveUplink, standingOn, type UplinkTarget, uplinkStateOf } from './uplink-choice.ts';
import { isSameUplink, uplinkState } from './uplink-state.ts';
import { deleteOwnLink, makeOwnLink } from './virtual-link.ts';

export const state = z.object({
  kind: z.literal('ipvlan'),
  ...uplinkState,
  mode: z.enum(['l2', 'l3', 'l3s']),
  flag: z.enum(['bridge', 'private', 'vepa']),
});

export type IpvlanState = z.output<typeof state>;

export function resolve(context: LinkContext, spec: IpvlanLinkSpec, sandbox: Namespace): Promise<LinkTarget> {
  // One at a time, so that between looking at the running mode and creating nobody else creates.
  return resolveUplink(context, spec, sandbox, true);
}

export async function prepare(context: LinkContext, input: PrepareInput<IpvlanLinkSpec>): Promise<IpvlanState> {
  const { spec, marks } = input;
  const target = input.target as UplinkTarget;
  const on = await standingOn(context, target);
  const made = uplinkStateOf(target, marks, on, spec.mtu);
  await requireSameMode(context, input, target, on);
  return { kind: 'ipvlan', ...made, mode: spec.mode, flag: spec.flag };
}

export async function attach(
  context: LinkContext,
  input: AttachInput<IpvlanLinkSpec, IpvlanState>,
): Promise<LinkOutcome> {
  const { state: made, sandbox } = input;
  const create = {
    op: 'link.create',
    kind: 'ipvlan',
    ...bornAs(input.ifname, made),
    parentIndex: await requireStand(context, made),
    into: sandbox,
    mode: made.mode,
    flag: made.flag,
    ...(made.mtu === undefined ? {} : { mtu: made.mtu }),
  } as const;
  return await makeOwnLink(context, create, input);
}

export async function check(context: LinkContext, input: LinkCheckInput<IpvlanState>): Promise<readonly string[]> {
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
  return [...differences, ...(await compareUplink(context, made, link))];
}

export async function restore(context: LinkContext, input: RestoreInput<IpvlanState>): Promise<RestoreOutcome> {
  return await releaseSharedVlan(context, input, await deleteOwnLink(context, 'ipvlan', input));
}

async function requireSameMode(
  context: LinkContext,
  input: PrepareInput<IpvlanLinkSpec>,
  { at, identity }: UplinkTarget,
  uplink: Link,
): Promise<void> {
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
    if (other.kind !== 'ipvlan' || !isSameUplink(other, identity)) continue;
    if (other.mode !== mode || other.flag !== flag)
      refuse(other.mode, other.flag, `container ${key.containerId} ${key.ifname}`);
  }
  if (at.isHost && !mayHaveIpvlans(context)) return;
  for (const link of await at.links('ipvlan')) {
    const running = link.ipvlan;
    if (running === undefined || link.parentIndex !== uplink.index || link.parentNsid !== undefined) continue;
    if (running.mode !== mode || running.flag !== flag)
      refuse(running.mode, running.flag, `link ${link.name} of the ${at.isHost ? 'node' : 'sandbox'}`);
  }
}

/** Whether the node's links are worth a list of their own, which takes a tenth of the whole ADD. */
function mayHaveIpvlans({ inventory }: LinkContext): boolean {
  return inventory?.().virtual.some(({ kind }) => kind === 'ipvlan' || kind === 'unknown') ?? true;
}
