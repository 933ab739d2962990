/**
 * Makes the kernel's EBUSY and EINVAL on an uplink understandable: macvlan, ipvlan, bridge and bond
 * ports exclude each other, and both kinds want Ethernet. EINVAL has more than one cause
 * (drivers/net/macvlan.c, macvlan_common_newlink): those that can be seen are told apart, since only
 * an occupied uplink is worth trying again.
 */
import type { Link, LinkCreate, Namespace } from '../attachments/port.ts';
import { BerthError } from '../errors.ts';

/** The part of a link's state that says what it wants of its uplink. */
export interface UplinkClaim {
  readonly uplink: string;
  readonly uplinkIndex: number;
  readonly mode?: string;
  readonly mtu?: number;
}

/** The kinds that Berth makes on an uplink. */
export type MadeKind = LinkCreate['kind'];

/** The error to throw instead of a failed `link.create`; other errors come back as they are. `at` is where the uplink is. */
export async function explainBusyUplink(
  at: Namespace,
  error: unknown,
  kind: MadeKind,
  made: UplinkClaim,
): Promise<unknown> {
  if (!(error instanceof BerthError)) return error;
  if (error.errno !== 'EBUSY' && error.errno !== 'EINVAL') return error;
  const links = await at.links();
  const uplink = links.find((link) => link.index === made.uplinkIndex);
  const unsuitable =
    error.errno === 'EINVAL' && uplink !== undefined ? explainEinval(error, kind, made, uplink) : undefined;
  if (unsuitable !== undefined) return unsuitable;
  const holder = occupant(links, uplink);
  // What is left for a macvlan is a passthru one, perhaps in a sandbox that is not ours; an ipvlan knows no such thing.
  if (kind === 'vlan' || (error.errno === 'EINVAL' && kind === 'ipvlan')) return error;
  const who =
    holder ??
    (kind === 'ipvlan'
      ? 'macvlan links, or a bridge or bond'
      : 'ipvlan links, a passthru macvlan, or a bridge or bond');
  return new BerthError({
    code: 'Busy',
    reason: 'uplink-in-use',
    message: `${kind}${made.mode === undefined ? '' : ` (mode ${made.mode})`} cannot be put on ${made.uplink} while it serves ${who}: ${error.errno}${error.extack === undefined ? '' : ` (${error.extack})`}`,
    remedy:
      'One uplink serves either macvlan or ipvlan at a time, and nothing beside passthru; use another uplink or wait for the other pods to end.',
    cause: error,
    ...(error.op === undefined ? {} : { op: error.op }),
    ...(error.errno === undefined ? {} : { errno: error.errno }),
    ...(error.extack === undefined ? {} : { extack: error.extack }),
  });
}

/** The causes of EINVAL that trying again does not cure; `undefined` for the others. */
function explainEinval(error: BerthError, kind: MadeKind, made: UplinkClaim, uplink: Link): BerthError | undefined {
  const kernel = {
    cause: error,
    errno: 'EINVAL',
    ...(error.op === undefined ? {} : { op: error.op }),
    ...(error.extack === undefined ? {} : { extack: error.extack }),
  };
  if (!isEthernet(uplink)) {
    return new BerthError({
      code: 'Invalid',
      reason: 'uplink-not-ethernet',
      message: `${kind} cannot be put on ${uplink.name}, which is no Ethernet interface`,
      remedy: 'Name another uplink: loopback, tunnel and InfiniBand interfaces can have neither macvlan nor ipvlan.',
      ...kernel,
    });
  }
  if (made.mtu !== undefined && made.mtu > uplink.mtu) {
    return new BerthError({
      code: 'Invalid',
      reason: 'mtu-too-large',
      message: `mtu ${made.mtu} is more than the ${uplink.mtu} that ${uplink.name} has by now`,
      remedy: `Use at most ${uplink.mtu}, or raise the MTU of ${uplink.name}.`,
      ...kernel,
    });
  }
  return undefined;
}

/** ARPHRD_ETHER has six bytes of address; loopback has six zeros. */
function isEthernet({ mac }: Link): boolean {
  return mac?.length === 17 && mac !== '00:00:00:00:00:00';
}

function occupant(links: readonly Link[], uplink: Link | undefined): string | undefined {
  const master = links.find((link) => link.index === uplink?.masterIndex);
  if (master !== undefined) return `the ${master.kind ?? 'link'} ${master.name}`;
  const upper = links.find(
    (link) =>
      link.parentIndex === uplink?.index &&
      link.parentNsid === undefined &&
      (link.macvlan !== undefined || link.ipvlan !== undefined),
  );
  return upper === undefined ? undefined : `the ${upper.kind ?? 'link'} ${upper.name}`;
}
