/** Makes the kernel's EBUSY and EINVAL on an uplink understandable: macvlan, ipvlan, bridge and bond ports exclude each other. */
import { BerthError } from '../errors.ts';
import type { LinkContext } from './link-driver.ts';

/** The part of a link's state that says what it wants of its uplink. */
export interface UplinkClaim {
  readonly uplink: string;
  readonly uplinkIndex: number;
  readonly mode: string;
}

/** The error to throw instead of a failed `link.create`; other errors come back as they are. */
export async function explainBusyUplink(
  context: LinkContext,
  error: unknown,
  kind: 'macvlan' | 'ipvlan',
  made: UplinkClaim,
): Promise<unknown> {
  if (!(error instanceof BerthError)) return error;
  const occupied = error.errno === 'EBUSY' || (error.errno === 'EINVAL' && kind === 'macvlan');
  if (!occupied) return error;
  const holder = await occupant(context, made.uplinkIndex);
  const who =
    holder ??
    (kind === 'ipvlan'
      ? 'macvlan links, or a bridge or bond'
      : 'ipvlan links, a passthru macvlan, or a bridge or bond');
  return new BerthError({
    code: 'Busy',
    reason: 'uplink-in-use',
    message: `${kind} (mode ${made.mode}) cannot be put on ${made.uplink} while it serves ${who}: ${error.errno}${error.extack === undefined ? '' : ` (${error.extack})`}`,
    remedy:
      'One uplink serves either macvlan or ipvlan at a time, and nothing beside passthru; use another uplink or wait for the other pods to end.',
    cause: error,
    ...(error.op === undefined ? {} : { op: error.op }),
    ...(error.errno === undefined ? {} : { errno: error.errno }),
    ...(error.extack === undefined ? {} : { extack: error.extack }),
  });
}

async function occupant(context: LinkContext, uplinkIndex: number): Promise<string | undefined> {
  const links = await context.kernel.host.links();
  const uplink = links.find((link) => link.index === uplinkIndex);
  const master = links.find((link) => link.index === uplink?.masterIndex);
  if (master !== undefined) return `the ${master.kind ?? 'link'} ${master.name}`;
  const upper = links.find(
    (link) =>
      link.parentIndex === uplinkIndex &&
      link.parentNsid === undefined &&
      (link.macvlan !== undefined || link.ipvlan !== undefined),
  );
  return upper === undefined ? undefined : `the ${upper.kind ?? 'link'} ${upper.name}`;
}
