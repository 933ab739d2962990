/**
 * vlan: an 802.1Q VLAN of an uplink that one sandbox has for itself. It shares the uplink's MAC. The
 * kernel has each VLAN of an uplink once, whichever namespace it is in. Debug: `ip -d link` in the
 * sandbox shows id and alias.
 */
import { z } from 'zod';
import type { VlanLinkSpec } from '../attachments/model.ts';
import type { Namespace } from '../attachments/port.ts';
import { BerthError, toBerthError } from '../errors.ts';
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
import { compareUplink, explainDown, vlanInUse } from './shared-vlan.ts';
import { resolveUplink, type UplinkTarget, uplinkStateOf } from './uplink-choice.ts';
import { isSameUplink, uplinkState } from './uplink-state.ts';
import { deleteOwnLink, makeOwnLink } from './virtual-link.ts';

export const state = z.object({ kind: z.literal('vlan'), ...uplinkState, vlanId: z.number().int() });

export type VlanState = z.output<typeof state>;

export function resolve(context: LinkContext, spec: VlanLinkSpec, sandbox: Namespace): Promise<LinkTarget> {
  return resolveUplink(context, spec, sandbox, false);
}

export async function prepare(_context: LinkContext, input: PrepareInput<VlanLinkSpec>): Promise<VlanState> {
  const { spec, marks } = input;
  const target = input.target as UplinkTarget;
  if (!Number.isInteger(spec.vlanId) || spec.vlanId < 0 || spec.vlanId > 4094) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'vlan-id-invalid',
      message: `vlanId ${spec.vlanId} is no VLAN, which is 0 to 4094`,
      remedy: 'Correct the network configuration.',
    });
  }
  const made = uplinkStateOf(target, marks, target.uplink, spec.mtu);
  for (const { key, state: other } of input.others) {
    if (other.kind === 'vlan' && isSameUplink(other, made) && other.vlanId === spec.vlanId)
      throw vlanInUse(made.uplink, spec.vlanId, `container ${key.containerId} ${key.ifname}`);
  }
  return { kind: 'vlan', ...made, vlanId: spec.vlanId };
}

export async function attach(context: LinkContext, input: AttachInput<VlanLinkSpec, VlanState>): Promise<LinkOutcome> {
  const { state: made, sandbox } = input;
  const create = {
    op: 'link.create',
    kind: 'vlan',
    ...bornAs(input.ifname, made),
    parentIndex: made.uplinkIndex,
    into: sandbox,
    id: made.vlanId,
    protocol: '802.1q',
    ...(made.mtu === undefined ? {} : { mtu: made.mtu }),
  } as const;
  try {
    return await makeOwnLink(context, create, input);
  } catch (error) {
    const failure = toBerthError(error);
    if (failure.errno !== 'EEXIST' || failure.op !== 'link.create vlan') throw explainDown(failure, made.uplink);
    throw vlanInUse(made.uplink, made.vlanId, await holderOf(context, made), failure);
  }
}

export async function check(context: LinkContext, input: LinkCheckInput<VlanState>): Promise<readonly string[]> {
  const { state: made, sandbox, ifname, expected } = input;
  const link = await sandbox.link({ name: ifname });
  if (link === undefined) return [`${ifname} is gone from the sandbox`];
  if (link.kind !== 'vlan') return [`${ifname} is a ${link.kind ?? 'physical link'}, not a VLAN`];
  const differences = await compareEndpoint(sandbox, link, expected);
  if (link.vlan !== undefined && link.vlan.id !== made.vlanId)
    differences.push(`${ifname} is VLAN ${link.vlan.id}, not ${made.vlanId}`);
  return [...differences, ...(await compareUplink(context, made, link))];
}

export function restore(context: LinkContext, input: RestoreInput<VlanState>): Promise<RestoreOutcome> {
  return deleteOwnLink(context, 'vlan', input);
}

/** The link of the node that has the VLAN; one in another sandbox cannot be seen from here. */
async function holderOf(context: LinkContext, made: VlanState): Promise<string> {
  const links = await context.kernel.host.links();
  const holder = links.find(
    (link) => link.parentIndex === made.uplinkIndex && link.parentNsid === undefined && link.vlan?.id === made.vlanId,
  );
  return holder === undefined ? 'a link in another namespace' : `link ${holder.name} of the node`;
}
