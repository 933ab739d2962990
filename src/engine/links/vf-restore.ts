/**
 * A VF's way back: home, down, its name and MTU; trust, spoof check, rates, VLAN; MACs; up if it was; read back. Every
 * step runs even if another fails, and only what differs is set, so that a NIC which refuses a
 * setting is not asked to restore it.
 */

import type { Link } from '../attachments/port.ts';
import { BerthError, toBerthError } from '../errors.ts';
import type { IfName } from '../values.ts';
import type { LinkContext, RestoreInput, RestoreOutcome } from './link-driver.ts';
import { ZERO_MAC } from './mac.ts';
import { bringHome } from './vf-home.ts';
import { setMacs } from './vf-mac.ts';
import { findPlace } from './vf-place.ts';
import { readBack, restoreSettings, type VfPlace, type VfSettings } from './vf-settings.ts';
import type { VfState } from './vf-state.ts';

/** Brings the VF back to its recorded baseline, wherever it is. */
export async function restoreVf(context: LinkContext, input: RestoreInput<VfState>): Promise<RestoreOutcome> {
  const { state: made, sandbox, signal } = input;
  const fn = await context.kernel.pciFunction(made.device);
  if (fn === undefined || fn.incarnation !== made.incarnation) {
    context.log.info(
      { device: made.device, gone: fn === undefined },
      'the VF is gone or was made anew; its baseline is void',
    );
    return { detached: true, problems: [] };
  }
  const problems: string[] = [];
  const netdev = made.baseline.netdev;
  // On another driver than at ADD the netdev of the baseline does not exist any more, and will not come.
  const expectsNetdev = netdev !== undefined && fn.driver === made.driver;
  let detached = true;
  let link: Link | undefined;
  if (expectsNetdev) {
    const home = await bringHome(context, fn, made, sandbox, signal);
    ({ detached, link } = home);
    problems.push(...home.problems);
    if (link !== undefined) {
      const nameIsTaken = await isNameTaken(context, link, netdev.ifname);
      problems.push(...(await restoreIdentity(context, link, netdev, nameIsTaken)));
    }
  }
  // As long as the VF can be in a living pod its VLAN stays: untagged, the pod would be in another network.
  if (!detached) return { detached, problems };
  problems.push(...(await restoreSide(context, made, link)));
  if (link !== undefined && netdev !== undefined) problems.push(...(await restoreNetdev(context, link.index, netdev)));
  return { detached, problems: [...new Set(problems)] };
}

/**
 * While the VF was in a pod the kernel may have given its name to a link that was made meanwhile: it
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

/** Down, its own name, alias and MTU again. Before the MACs: igbvf resets the VF for a new MTU, and tells the PF its MAC anew. */
async function restoreIdentity(
  context: LinkContext,
  link: Link,
  was: NonNullable<VfState['baseline']['netdev']>,
  nameIsTaken: boolean,
): Promise<string[]> {
  const { host } = context.kernel;
  const problems: string[] = [];
  const touched = link.name !== was.ifname || link.mtu !== was.mtu;
  if (link.up && (touched || link.mac !== was.mac)) {
    problems.push(
      ...(await step(`taking ${link.name} down`, () => host.apply([{ op: 'link.set', index: link.index, up: false }]))),
    );
  }
  if (link.name !== was.ifname) {
    problems.push(
      ...(await step(`naming ${link.name} ${was.ifname} again`, () =>
        host.apply([{ op: 'link.set', index: link.index, name: nameIsTaken ? anotherName(was.ifname) : was.ifname }]),
      )),
    );
    if (nameIsTaken)
      context.log.warn({ was: was.ifname }, 'the name of a VF belongs to another link now; it gets a new one');
  }
  if ((link.alias ?? '') !== (was.alias ?? '')) {
    problems.push(
      ...(await step(`restoring the alias of ${was.ifname}`, () =>
        host.apply([{ op: 'link.set', index: link.index, alias: was.alias ?? '' }]),
      )),
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

/** PF-side settings and both MACs, then read back. */
async function restoreSide(context: LinkContext, made: VfState, link: Link | undefined): Promise<string[]> {
  const { settings, netdev } = made.baseline;
  const problems: string[] = [];
  const fn = await context.kernel.pciFunction(made.device);
  if (fn === undefined) return problems;
  const place = await findPlace(context, fn);
  if (place === undefined) return [`the PF of VF ${made.device} has no network interface on the node`];
  // Only what a cancelled request asked for is cut short, never an undo: its waits are bounded.
  const unhurried = new AbortController().signal;
  const current = settings === undefined ? undefined : await readSettings(context, place, problems);
  if (settings !== undefined) problems.push(...(await restoreSettings(context, place, settings, current)));
  const ownDiffers = link !== undefined && netdev?.mac !== undefined && link.mac !== netdev.mac;
  const adminDiffers = settings?.mac !== undefined && current?.mac !== settings.mac;
  if (ownDiffers || adminDiffers) {
    const goal = {
      freeFirst: settings?.mac !== undefined && current?.mac !== ZERO_MAC,
      ...(link === undefined || netdev?.mac === undefined ? {} : { own: { index: link.index, mac: netdev.mac } }),
      ...(settings?.mac === undefined ? {} : { admin: settings.mac }),
    };
    problems.push(
      ...(await step(`restoring the MAC of VF ${made.device}`, () => setMacs(context, place, goal, unhurried))),
    );
  }
  if (settings !== undefined && problems.length === 0) {
    problems.push(
      ...(await step(`reading VF ${made.device} back`, async () => {
        const left = await readBack(context, place, settings, unhurried);
        if (left.length > 0) throw new BerthError({ code: 'Io', reason: 'vf-not-restored', message: left.join('; ') });
      })),
    );
  }
  return problems;
}

/** The administrative state last, then everything about the netdev is read back. */
async function restoreNetdev(
  context: LinkContext,
  index: number,
  was: NonNullable<VfState['baseline']['netdev']>,
): Promise<string[]> {
  const { host } = context.kernel;
  const problems: string[] = [];
  const now = await host.link({ index });
  if (now === undefined) return [`${was.ifname} vanished while it was restored`];
  if (now.up !== was.up)
    problems.push(
      ...(await step(`restoring the state of ${was.ifname}`, () =>
        host.apply([{ op: 'link.set', index, up: was.up }]),
      )),
    );
  const after = await host.link({ index });
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
  ];
  return problems.length > 0 || left.length === 0 ? problems : [`${was.ifname} is not as it was: ${left.join('; ')}`];
}

async function readSettings(context: LinkContext, place: VfPlace, problems: string[]): Promise<VfSettings | undefined> {
  try {
    return await context.kernel.host.vfSettings(place.pfIndex, place.vf);
  } catch (error) {
    problems.push(`reading the settings of VF ${place.device} failed: ${toBerthError(error).message}`);
    return undefined;
  }
}

/** Runs one step of a restore; the next runs even if it fails. */
async function step(what: string, work: () => Promise<void>): Promise<string[]> {
  try {
    await work();
    return [];
  } catch (error) {
    return [`${what}: ${toBerthError(error).message}`];
  }
}
