/**
 * A VLAN on an uplink that several attachments share: made for its first user and removed with its
 * last one. The users are the records that name it, so nothing has to be counted, and a killed agent
 * forgets none. A VLAN that somebody else made is used and never removed.
 *
 * It is born under a temporary name, which is the proof of ownership until it has its alias. Callers
 * hold the lock of the VLAN (`lockKey` of the target). Debug: `ip -d link show type vlan`; ours have
 * an alias that begins with `berth:vlan:`.
 */
import { createHash } from 'node:crypto';
import type { Link, LinkOperation } from '../attachments/port.ts';
import { BerthError, toBerthError } from '../errors.ts';
import type { IfName } from '../values.ts';
import type { LinkContext, RestoreInput, RestoreOutcome } from './link-driver.ts';
import { explainMissingKind } from './missing-kind.ts';
import type { SharedVlan, UplinkState } from './uplink-state.ts';

const MOST_NAME_BYTES = 15;

/** The VLAN of an uplink: what it will be called and how it is told from anybody else's. */
export function vlanMarks(uplink: Link, id: number): SharedVlan {
  const hash = createHash('sha256').update(`vlan\0${uplink.index}\0${id}`).digest('hex').slice(0, 12);
  const usual = `${uplink.name}.${id}`;
  return {
    id,
    name: (Buffer.byteLength(usual) <= MOST_NAME_BYTES ? usual : `vlan${uplink.index}.${id}`.slice(0, 15)) as IfName,
    tempName: `btv${hash}` as IfName,
    alias: `berth:vlan:${id}:${hash}`,
  };
}

/** The VLAN where it exists, whoever made it. */
export async function findSharedVlan(
  context: LinkContext,
  uplinkIndex: number,
  vlan: SharedVlan,
): Promise<Link | undefined> {
  const { host } = context.kernel;
  const isIt = (link: Link): boolean =>
    link.kind === 'vlan' &&
    link.parentIndex === uplinkIndex &&
    link.parentNsid === undefined &&
    link.vlan?.id === vlan.id &&
    link.vlan.protocol === '802.1q';
  const named = await host.link({ name: vlan.name });
  return named !== undefined && isIt(named) ? named : (await host.links()).find(isIt);
}

/** The index of the link to stand on: the uplink's own, or that of its VLAN, made when it is not there. */
export async function requireStand(context: LinkContext, made: UplinkState): Promise<number> {
  const { sharedVlan: vlan } = made;
  if (vlan === undefined) return made.uplinkIndex;
  const found = (await findSharedVlan(context, made.uplinkIndex, vlan)) ?? (await create(context, made, vlan));
  if (isOurs(found, vlan) && (!found.up || found.alias === undefined)) await finish(context, made, vlan, found);
  return found.index;
}

/** A restore's outcome with the VLAN seen to: removed when it is ours and no other record stands on it. */
export async function releaseSharedVlan(
  context: LinkContext,
  input: RestoreInput<UplinkState>,
  outcome: RestoreOutcome,
): Promise<RestoreOutcome> {
  const { sharedVlan: vlan, uplinkIndex } = input.state;
  if (vlan === undefined || !outcome.detached) return outcome;
  const others = input.others().map(({ state }) => state);
  if (others.some((state) => 'sharedVlan' in state && state.sharedVlan?.alias === vlan.alias)) return outcome;
  try {
    const link = await findSharedVlan(context, uplinkIndex, vlan);
    if (link === undefined || !isOurs(link, vlan)) return outcome;
    const upper = await foreignUpper(context, link);
    if (upper !== undefined) {
      context.log.info({ vlan: link.name, upper }, 'a shared VLAN stays: somebody else stands on it');
      return outcome;
    }
    await context.kernel.host.apply([{ op: 'link.delete', index: link.index }]);
    return outcome;
  } catch (error) {
    const failure = toBerthError(error);
    if (failure.errno === 'ENODEV') return outcome;
    return { ...outcome, problems: [...outcome.problems, `removing VLAN ${vlan.name} failed: ${failure.message}`] };
  }
}

/** Whether a link in the sandbox stands where ADD put it: on its uplink, or on the VLAN of it. One sentence or none. */
export async function compareUplink(context: LinkContext, made: UplinkState, link: Link): Promise<readonly string[]> {
  const { sharedVlan: vlan, uplink } = made;
  const { parentIndex, name } = link;
  const stand =
    vlan === undefined
      ? { index: made.uplinkIndex, name: uplink, up: true }
      : await findSharedVlan(context, made.uplinkIndex, vlan);
  if (stand === undefined) return [`VLAN ${vlan?.id} of ${uplink}, which ${name} stands on, is gone`];
  if (!stand.up) return [`${stand.name}, which ${name} stands on, is down`];
  if (parentIndex === undefined || parentIndex === stand.index) return [];
  return [`${name} is on link ${parentIndex}, not on ${stand.name} (${stand.index})`];
}

/** Ours by its alias, or by its temporary name as long as it has none. */
function isOurs(link: Link, vlan: SharedVlan): boolean {
  return link.alias === vlan.alias || (link.name === vlan.tempName && link.alias === undefined);
}

async function create(context: LinkContext, made: UplinkState, vlan: SharedVlan): Promise<Link> {
  const { host } = context.kernel;
  try {
    await host.apply([
      {
        op: 'link.create',
        kind: 'vlan',
        name: vlan.tempName,
        parentIndex: made.uplinkIndex,
        id: vlan.id,
        protocol: '802.1q',
      },
    ]);
  } catch (error) {
    const failure = toBerthError(error);
    // Made by somebody else a moment ago, or held by a link in a sandbox.
    if (failure.errno !== 'EEXIST') throw explainMissingKind(failure, 'vlan');
  }
  const link = await findSharedVlan(context, made.uplinkIndex, vlan);
  if (link !== undefined) return link;
  throw vlanInUse(made.uplink, vlan.id, 'a link in another namespace');
}

async function finish(context: LinkContext, made: UplinkState, vlan: SharedVlan, link: Link): Promise<void> {
  const { host } = context.kernel;
  const { index } = link;
  const holder = await host.link({ name: vlan.name });
  const operations: LinkOperation[] = [
    {
      op: 'link.set',
      index,
      alias: vlan.alias,
      isSoftware: true,
      ...(holder === undefined ? { name: vlan.name } : {}),
    },
    { op: 'link.set', index, up: true, isSoftware: true },
  ];
  try {
    await host.apply(operations);
  } catch (error) {
    throw explainDown(error, made.uplink);
  }
}

/** The kernel raises a VLAN only on an uplink that is up (vlan_dev_open, net/8021q/vlan_dev.c). */
export function explainDown(error: unknown, uplink: string): BerthError {
  const failure = toBerthError(error);
  if (failure.errno !== 'ENETDOWN') return failure;
  return new BerthError({
    code: 'Busy',
    reason: 'uplink-down',
    message: `${uplink} is down, and a VLAN on it cannot be up`,
    remedy: `Bring it up on the node: ip link set ${uplink} up.`,
    cause: failure,
    errno: 'ENETDOWN',
  });
}

/** The kernel has one link for each VLAN of an uplink, whichever namespace it is in. */
export function vlanInUse(uplink: string, id: number, holder: string, cause?: unknown): BerthError {
  return new BerthError({
    code: 'Busy',
    reason: 'vlan-in-use',
    message: `VLAN ${id} of ${uplink} is held by ${holder}`,
    remedy:
      'One uplink has each VLAN once. For several pods on one VLAN use macvlan or ipvlan with "vlan", which share it.',
    ...(cause === undefined ? {} : { cause }),
  });
}

/** A link of the node that stands on the VLAN; with the VLAN the kernel would remove it too. */
async function foreignUpper(context: LinkContext, vlan: Link): Promise<string | undefined> {
  if (vlan.masterIndex !== undefined) return `link ${vlan.masterIndex}`;
  const links = await context.kernel.host.links();
  return links.find((link) => link.parentIndex === vlan.index && link.parentNsid === undefined)?.name;
}
