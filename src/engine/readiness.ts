/**
 * Whether an attachment to a network could be made now: what STATUS of the CNI asks. It looks and
 * changes nothing, so it is right only for the moment. Which of the concerns count is the caller's.
 */
import type { AttachmentSummary, LinkKind, LinkSpec } from './attachments/model.ts';
import { BerthError } from './errors.ts';
import type { Inventory } from './inventory/model.ts';
import { requireFreeAddress } from './ipam/free-addresses.ts';
import type { IpamSpec } from './ipam/model.ts';
import type { ReservationStore } from './ipam/port.ts';
import type { Plan, PoolState } from './pools/model.ts';
import type { NetworkName } from './values.ts';

export type Concern = 'uplink' | 'devices' | 'addresses';

export interface ReadinessQuestion {
  readonly network: NetworkName;
  readonly kind: LinkKind;
  /** Absent when the network names no device, which each pod brings. */
  readonly link?: LinkSpec;
  readonly ipam?: IpamSpec;
  readonly concerns: readonly Concern[];
}

export interface ReadinessSources {
  inventory(): Inventory;
  plan(): Plan;
  attachments(): readonly AttachmentSummary[];
  /** Throws when the link's device or uplink is not there. */
  resolve(link: LinkSpec): Promise<unknown>;
  readonly reservations: ReservationStore;
}

/** Throws the first concern that does not hold: `NotFound`, `Exhausted`, or what keeps from looking. */
export async function requireReady(
  question: ReadinessQuestion,
  sources: ReadinessSources,
  signal: AbortSignal,
): Promise<void> {
  const { concerns } = question;
  if (concerns.includes('uplink')) await requireUplink(question, sources);
  if (concerns.includes('devices')) requireDevice(question, sources);
  if (concerns.includes('addresses')) await requireAddress(question, sources, signal);
}

async function requireUplink({ kind, link }: ReadinessQuestion, sources: ReadinessSources): Promise<void> {
  if (link !== undefined) {
    // An interface of a pod is not here yet.
    if ('uplinkInSandbox' in link && link.uplinkInSandbox === true) return;
    // A network that names no uplink gets it with the slot, where slots are offered.
    if (!namesDevice(link) && poolsOf(kind, sources).length > 0) return;
    await sources.resolve(link);
    return;
  }
  if (kind !== 'vf') return;
  if (sources.inventory().nics.some((nic) => nic.vfs.length > 0 && nic.netdev !== undefined)) return;
  throw new BerthError({
    code: 'NotFound',
    reason: 'no-vfs',
    message: 'the node has no VF whose PF has a network interface on the node',
    remedy: 'Create VFs (`sriov_numvfs`), or look in `berth inventory` for what is missing.',
  });
}

/** A network that stands on an uplink by name needs no device of a pool. */
function requireDevice({ kind, link }: ReadinessQuestion, sources: ReadinessSources): void {
  const pools = poolsOf(kind, sources);
  if (kind !== 'vf' && (pools.length === 0 || (link !== undefined && namesDevice(link)))) return;
  const used = new Set(
    sources.attachments().flatMap(({ device, slot }) => [device, ...(slot === undefined ? [] : [slot])]),
  );
  const devices = pools.flatMap((pool) => pool.devices);
  if (devices.some(({ id, healthy }) => healthy && !used.has(id))) return;
  const unhealthy = devices.filter(({ healthy }) => !healthy);
  throw new BerthError({
    code: 'Exhausted',
    reason: 'no-free-device',
    message: `no device is free: of ${devices.length} in ${pools.map(({ spec }) => spec.resource).join(', ') || `no ${kind} pool`}, ${unhealthy.length} are unhealthy and the others in use`,
    remedy: unhealthy[0]?.reason ?? 'Wait for pods to end, or offer more: `berth plan`.',
  });
}

function poolsOf(kind: LinkKind, sources: ReadinessSources): readonly PoolState[] {
  return sources.plan().pools.filter((pool) => pool.spec.kind === kind && pool.devices.length > 0);
}

/** An uplink by name or selector, or a device. */
function namesDevice(link: LinkSpec): boolean {
  return ['uplink', 'uplinkSelectors', 'device', 'slot'].some((field) => Reflect.get(link, field) !== undefined);
}

async function requireAddress(
  { network, ipam }: ReadinessQuestion,
  { reservations }: ReadinessSources,
  signal: AbortSignal,
): Promise<void> {
  if (ipam?.type !== 'host-local') return;
  await reservations.locked(ipam.dataDir, network, signal, (folder) => requireFreeAddress(folder, ipam));
}
