/**
 * A netdev as it was before Berth gave it away, and the way back to that: name and MTU, then (after
 * whatever the kind does in between) its state, read back, and its alias. Every step runs even if another
 * fails, and only what differs is set.
 */
import { z } from 'zod';
import type { Link } from '../attachments/port.ts';
import { toBerthError } from '../errors.ts';
import type { IfName, MacAddress } from '../values.ts';
import type { LinkContext } from './link-driver.ts';
import { freeOwnName } from './own-altname.ts';
import { receiveModes, setReceiveModes } from './receive-modes.ts';

/** `02:00:00:00:00:01` */
const ETHERNET_TEXT = 17;

export const netdevBaseline = z.object({
  ifname: z.string().transform((text) => text as IfName),
  mac: z
    .string()
    .transform((text) => text as MacAddress)
    .exactOptional(),
  mtu: z.number().int(),
  up: z.boolean(),
  alias: z.string().exactOptional(),
  ...receiveModes.shape,
});

export type NetdevBaseline = z.output<typeof netdevBaseline>;

/** How the netdev is now, without its receive modes: a VF is to have none. */
export function baselineOf(link: Link): NetdevBaseline {
  return {
    ifname: link.name,
    mtu: link.mtu,
    up: link.up,
    // An InfiniBand address has a queue's number and the GUID in it: nobody can set it.
    ...(link.mac?.length === ETHERNET_TEXT ? { mac: link.mac } : {}),
    ...(link.alias === undefined ? {} : { alias: link.alias }),
  };
}

/**
 * While the netdev was in a pod the kernel may have given its name to a link that was made meanwhile: it
 * hands out `eth0`, `eth1` ... lowest first. That link keeps it.
 */
async function isNameTaken(context: LinkContext, link: Link, ifname: IfName): Promise<boolean> {
  const holder = await context.kernel.host.link({ name: ifname });
  return holder !== undefined && holder.index !== link.index;
}

/** `eth%d` for `eth3`: the kernel fills in the lowest free number (dev_alloc_name, net/core/dev.c). */
function anotherName(ifname: IfName): IfName {
  return `${ifname.replace(/[0-9]*$/, '').slice(0, 12)}%d` as IfName;
}

/** Down, its own name and MTU again. Before the MACs: igbvf resets the VF for a new MTU, and tells the PF its MAC anew. */
export async function restoreIdentity(context: LinkContext, link: Link, was: NetdevBaseline): Promise<string[]> {
  const { host } = context.kernel;
  const problems: string[] = [];
  const nameIsTaken = link.name !== was.ifname && (await isNameTaken(context, link, was.ifname));
  const touched = link.name !== was.ifname || link.mtu !== was.mtu;
  if (link.up && (touched || link.mac !== was.mac)) {
    problems.push(
      ...(await step(`taking ${link.name} down`, () => host.apply([{ op: 'link.set', index: link.index, up: false }]))),
    );
  }
  if (link.name !== was.ifname) {
    problems.push(
      ...(await step(`naming ${link.name} ${was.ifname} again`, () =>
        host.apply([
          ...freeOwnName(link, was.ifname),
          { op: 'link.set', index: link.index, name: nameIsTaken ? anotherName(was.ifname) : was.ifname },
        ]),
      )),
    );
    if (nameIsTaken)
      context.log.warn(
        { was: was.ifname },
        'the name of a device that came home belongs to another link now; it gets a new one',
      );
  }
  if (link.mtu !== was.mtu) {
    problems.push(
      ...(await step(`restoring the MTU of ${was.ifname}`, () =>
        host.apply([{ op: 'link.set', index: link.index, mtu: was.mtu }]),
      )),
    );
  }
  return problems;
}

/**
 * Takes our mark away. For a device that only its mark tells from others this is the last step: until
 * then the next attempt has to find it.
 */
export async function restoreAlias(context: LinkContext, link: Link, was: NetdevBaseline): Promise<string[]> {
  if ((link.alias ?? '') === (was.alias ?? '')) return [];
  return await step(`restoring the alias of ${was.ifname}`, () =>
    context.kernel.host.apply([{ op: 'link.set', index: link.index, alias: was.alias ?? '' }]),
  );
}

/** The administrative state last, then everything about the netdev is read back. */
export async function restoreState(context: LinkContext, index: number, was: NetdevBaseline): Promise<string[]> {
  const { host } = context.kernel;
  const problems: string[] = [];
  const now = await host.link({ index });
  if (now === undefined) return [`${was.ifname} vanished while it was restored`];
  let isTouched = now.up !== was.up;
  problems.push(
    ...(await step(`restoring the receive modes of ${was.ifname}`, async () => {
      isTouched = (await setReceiveModes(context, now, was)) || isTouched;
    })),
  );
  if (now.up !== was.up)
    problems.push(
      ...(await step(`restoring the state of ${was.ifname}`, () =>
        host.apply([{ op: 'link.set', index, up: was.up }]),
      )),
    );
  const after = isTouched ? await host.link({ index }) : now;
  if (after === undefined) return [...problems, `${was.ifname} vanished while it was restored`];
  const left = [
    ...(after.name === was.ifname || (await isNameTaken(context, after, was.ifname))
      ? []
      : [`name is ${after.name}, not ${was.ifname}`]),
    ...(was.mac === undefined || after.mac === was.mac
      ? []
      : [`hardware address is ${after.mac ?? 'none'}, not ${was.mac}`]),
    ...(after.mtu === was.mtu ? [] : [`MTU is ${after.mtu}, not ${was.mtu}`]),
    ...(after.up === was.up ? [] : [`it is ${after.up ? 'up' : 'down'}, not ${was.up ? 'up' : 'down'}`]),
    ...(after.promiscuous === true && was.promiscuous !== true ? ['it is promiscuous still'] : []),
  ];
  return problems.length > 0 || left.length === 0 ? problems : [`${was.ifname} is not as it was: ${left.join('; ')}`];
}

/** Runs one step of a restore; the next runs even if it fails. */
export async function step(what: string, work: () => Promise<void>): Promise<string[]> {
  try {
    await work();
    return [];
  } catch (error) {
    return [`${what}: ${toBerthError(error).message}`];
  }
}
