/**
 * macvtap: a macvlan whose packets a program reads from a character device, as virtual machines do.
 * Made in the sandbox with an index of our choice, so that `/dev/tap<index>` is the same for kubelet,
 * which names it to the container, and unique on the node. A macvtap that a device plugin made on the
 * node and allocated by its name is moved instead, and brought back.
 * Debug: `ip -d link` in the sandbox, `ls -l /dev/tap*` on the node.
 */
import { z } from 'zod';
import type { MacvtapLinkSpec } from '../attachments/model.ts';
import type { Link, Namespace } from '../attachments/port.ts';
import { checkpoint } from '../cancellation.ts';
import { BerthError } from '../errors.ts';
import { compareEndpoint } from './endpoint.ts';
import {
  attach as attachDevice,
  state as deviceState,
  prepare as prepareDevice,
  restore as restoreDevice,
} from './host-device.ts';
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
import { tapIndexOf, tapPath } from './tap-index.ts';
import { carriesNode } from './uplink.ts';
import { resolveUplink, standingOn, type UplinkTarget, uplinkStateOf } from './uplink-choice.ts';
import { uplinkState } from './uplink-state.ts';
import { deleteOwnLink, makeOwnLink } from './virtual-link.ts';

const tap = {
  kind: z.literal('macvtap'),
  owner: z.object({ uid: z.number().int(), gid: z.number().int() }),
  promiscuous: z.boolean(),
};
const made = z.object({
  ...tap,
  origin: z.literal('made'),
  ...uplinkState,
  mode: z.enum(['bridge', 'private', 'vepa', 'passthru']),
  tapIndex: z.number().int(),
});
const given = z.object({
  ...tap,
  origin: z.literal('given'),
  given: deviceState,
  mtu: z.number().int().exactOptional(),
  // Of the link itself, as in the states of other kinds.
  tempName: deviceState.shape.tempName,
  alias: z.string(),
});

export const state = z.discriminatedUnion('origin', [made, given]);

type Made = z.output<typeof made>;
type Given = z.output<typeof given>;
export type MacvtapState = Made | Given;

export async function resolve(context: LinkContext, spec: MacvtapLinkSpec, sandbox: Namespace): Promise<LinkTarget> {
  const { given: id } = spec;
  if (id === undefined) return await resolveUplink(context, spec, sandbox, spec.mode === 'passthru');
  const link = await context.kernel.host.link({ name: id });
  const device = link?.kind === 'macvtap' ? id : context.deviceNamed?.(id);
  if (device !== undefined) return { device, exclusive: true, lockKey: `link:${device}` };
  const slot = context.slotNamed?.(id);
  if (slot !== undefined) {
    const mode = spec.mode ?? slot.mode;
    return await resolveUplink(context, { ...spec, uplink: slot.uplink }, sandbox, mode === 'passthru');
  }
  throw new BerthError({
    code: 'NotFound',
    reason: 'device-not-on-node',
    message: `${id} is neither a slot of a pool nor a macvtap link of the node`,
    remedy: 'Compare with `berth plan` and `ip link`; the pool may have been taken out of the configuration.',
  });
}

export async function prepare(context: LinkContext, input: PrepareInput<MacvtapLinkSpec>): Promise<MacvtapState> {
  const { spec, marks } = input;
  if (spec.mac !== undefined) requireUnicast(spec.mac);
  const common = { kind: 'macvtap', owner: spec.owner, promiscuous: spec.promiscuous === true } as const;
  if (input.target.exclusive) {
    const device = { by: 'name', name: spec.given ?? '' } as const;
    const moved = await prepareDevice(context, {
      ...input,
      spec: { kind: 'host-device', device, ...(spec.mac === undefined ? {} : { mac: spec.mac }) },
    });
    return { ...common, origin: 'given', given: moved, ...marks, ...(spec.mtu === undefined ? {} : { mtu: spec.mtu }) };
  }
  const target = input.target as UplinkTarget;
  const on = await standingOn(context, target);
  const uplink = uplinkStateOf(target, marks, on, spec.mtu);
  const slot = spec.given ?? spec.slot;
  const mode = spec.mode ?? (slot === undefined ? undefined : context.slotNamed?.(slot)?.mode) ?? 'bridge';
  if (mode === 'passthru' && target.at.isHost) await requireMayPassThrough(target.at, on);
  const tapIndex = tapIndexOf(slot ?? marks.alias);
  if ((await context.kernel.tapOwner(tapIndex)) !== undefined) {
    throw new BerthError({
      code: 'Busy',
      reason: 'tap-device-taken',
      message: `${tapPath(tapIndex)} is there already: ${slot === undefined ? 'another link' : `slot ${slot}`} has it still`,
      remedy: 'The runtime tries again; if it lasts, look for the pod that holds the slot in `berth attachments`.',
    });
  }
  return { ...common, origin: 'made', ...uplink, ...(slot === undefined ? {} : { slot }), mode, tapIndex };
}

export async function attach(
  context: LinkContext,
  input: AttachInput<MacvtapLinkSpec, MacvtapState>,
): Promise<LinkOutcome> {
  const { state: wanted, sandbox, signal } = input;
  const outcome =
    wanted.origin === 'given' ? await attachGiven(context, input, wanted) : await attachMade(context, input, wanted);
  checkpoint(signal, 'giving the tap device to its owner');
  const { index } = outcome;
  if (index === undefined) return outcome;
  if (wanted.promiscuous) await sandbox.apply([{ op: 'link.set', index, promiscuous: true, isSoftware: true }]);
  await context.kernel.ownTap(index, wanted.owner);
  return outcome;
}

export async function check(context: LinkContext, input: LinkCheckInput<MacvtapState>): Promise<readonly string[]> {
  const { state: wanted, sandbox, ifname, expected } = input;
  const link = await sandbox.link({ name: ifname });
  if (link === undefined) return [`${ifname} is gone from the sandbox`];
  if (link.kind !== 'macvtap') return [`${ifname} is a ${link.kind ?? 'physical link'}, not a macvtap`];
  const differences = await compareEndpoint(sandbox, link, expected);
  const owner = await context.kernel.tapOwner(link.index);
  const { uid, gid } = wanted.owner;
  if (owner === undefined) differences.push(`${tapPath(link.index)}, the device of ${ifname}, is gone`);
  else if (owner.uid !== uid || owner.gid !== gid)
    differences.push(`${tapPath(link.index)} is owned by ${owner.uid}:${owner.gid}, not ${uid}:${gid}`);
  if (wanted.promiscuous && link.promiscuous !== true) differences.push(`${ifname} is not promiscuous`);
  if (wanted.origin === 'given') return differences;
  if (link.macvlan !== undefined && link.macvlan.mode !== wanted.mode)
    differences.push(`${ifname} is in mode ${link.macvlan.mode}, not ${wanted.mode}`);
  return [...differences, ...(await compareUplink(context, wanted, link))];
}

export async function restore(context: LinkContext, input: RestoreInput<MacvtapState>): Promise<RestoreOutcome> {
  const { state: wanted } = input;
  if (wanted.origin === 'given') return await restoreDevice(context, { ...input, state: wanted.given });
  return await releaseSharedVlan(context, { ...input, state: wanted }, await deleteOwnLink(context, 'macvtap', input));
}

async function attachMade(
  context: LinkContext,
  input: AttachInput<MacvtapLinkSpec, MacvtapState>,
  wanted: Made,
): Promise<LinkOutcome> {
  const { spec, sandbox } = input;
  const create = {
    op: 'link.create',
    kind: 'macvtap',
    ...bornAs(input.ifname, wanted),
    parentIndex: await requireStand(context, wanted),
    into: sandbox,
    index: wanted.tapIndex,
    mode: wanted.mode,
    ...(wanted.mtu === undefined ? {} : { mtu: wanted.mtu }),
    ...(spec.mac === undefined ? {} : { mac: spec.mac }),
  } as const;
  return await makeOwnLink(context, create, { ...input, state: wanted });
}

async function attachGiven(
  context: LinkContext,
  input: AttachInput<MacvtapLinkSpec, MacvtapState>,
  wanted: Given,
): Promise<LinkOutcome> {
  const { spec } = input;
  const outcome = await attachDevice(context, {
    ...input,
    spec: { kind: 'host-device', device: { by: 'name', name: spec.given ?? '' } },
    state: wanted.given,
  });
  const { index } = outcome;
  if (index === undefined || wanted.mtu === undefined) return outcome;
  await input.sandbox.apply([{ op: 'link.set', index, mtu: wanted.mtu, isSoftware: true }]);
  return { ...outcome, mtu: wanted.mtu };
}

async function requireMayPassThrough(host: Namespace, uplink: Link): Promise<void> {
  const why = await carriesNode(host, uplink);
  if (why === undefined) return;
  throw new BerthError({
    code: 'Denied',
    reason: 'passthru-on-node-uplink',
    message: `macvtap mode passthru would take ${uplink.name} away from the node: ${why}`,
    remedy: 'Use mode bridge, or an uplink that the node itself does not use.',
  });
}
