/**
 * A VF's way back: home, down, its name and MTU; trust, spoof check, rates, VLAN; MACs; up if it was; read back. Every
 * step runs even if another fails, and only what differs is set, so that a NIC which refuses a
 * setting is not asked to restore it.
 */

import type { Link, PciFunction } from '../attachments/port.ts';
import { BerthError, toBerthError } from '../errors.ts';
import type { LinkContext, RestoreInput, RestoreOutcome } from './link-driver.ts';
import { ZERO_MAC } from './mac.ts';
import { bringHome } from './netdev-home.ts';
import { type NetdevBaseline, restoreAlias, restoreIdentity, restoreState, step } from './netdev-restore.ts';
import { guidOf, makeNetdevAnew } from './vf-guid.ts';
import { movedVf } from './vf-home.ts';
import { setMacs } from './vf-mac.ts';
import { findPlace } from './vf-place.ts';
import { bringRdmaHome } from './vf-rdma.ts';
import { readBack, restoreSettings, type VfPlace, type VfSettings } from './vf-settings.ts';
import type { VfState } from './vf-state.ts';

/** Only what a cancelled request asked for is cut short, never an undo: its waits are bounded. */
const UNHURRIED = new AbortController().signal;

/** Brings the VF back to its recorded baseline, wherever it is. */
export async function restoreVf(context: LinkContext, input: RestoreInput<VfState>): Promise<RestoreOutcome> {
  const { state: made, sandbox, signal } = input;
  const found = await context.kernel.pciFunction(made.device);
  const fn = found === undefined ? undefined : await withDriver(context, made, found);
  if (fn === undefined || fn.incarnation !== made.incarnation) {
    context.log.info(
      { device: made.device, gone: fn === undefined },
      'the VF is gone or was made anew; its baseline is void',
    );
    return { detached: true, problems: [] };
  }
  const problems: string[] = [...(await bringRdmaHome(context, made.rdma ?? [], sandbox))];
  const netdev = made.baseline.netdev;
  // On another driver than at ADD the netdev of the baseline does not exist any more, and will not come.
  const expectsNetdev = netdev !== undefined && fn.driver === made.driver;
  let detached = true;
  let link: Link | undefined;
  if (expectsNetdev) {
    const home = await bringHome(
      context,
      movedVf(context, fn.address, made, { inside: input.ifname, home: netdev.ifname }),
      sandbox,
      signal,
    );
    ({ detached, link } = home);
    problems.push(...home.problems);
    if (link !== undefined) problems.push(...(await restoreLook(context, link, netdev)));
  }
  // As long as the VF can be in a living pod its VLAN stays: untagged, the pod would be in another network.
  if (!detached) return { detached, problems };
  const hadGuid = link !== undefined && (await hasOurGuid(context, made, fn, link));
  problems.push(...(await restoreSide(context, made, fn, link)));
  if (hadGuid && netdev !== undefined) {
    problems.push(
      ...(await step(`binding VF ${made.device} anew`, async () => {
        link = await makeNetdevAnew(context, made.device, made.driver, UNHURRIED);
        problems.push(...(await restoreLook(context, link, netdev)));
      })),
    );
  }
  if (link !== undefined && netdev !== undefined) problems.push(...(await restoreState(context, link.index, netdev)));
  return { detached, problems: [...new Set(problems)] };
}

async function restoreLook(context: LinkContext, link: Link, was: NetdevBaseline): Promise<string[]> {
  return [...(await restoreIdentity(context, link, was)), ...(await restoreAlias(context, link, was))];
}

/** Killed between unbinding and binding, a VF that was given a GUID is without a driver. */
async function withDriver(context: LinkContext, made: VfState, fn: PciFunction): Promise<PciFunction | undefined> {
  if (made.wanted.nodeGuid === undefined || fn.driver !== undefined || fn.incarnation !== made.incarnation) return fn;
  await makeNetdevAnew(context, made.device, made.driver, UNHURRIED);
  return await context.kernel.pciFunction(made.device);
}

/** Whether the PF still lists the GUID of the attachment, or the netdev still has it. */
async function hasOurGuid(context: LinkContext, made: VfState, fn: PciFunction, link: Link): Promise<boolean> {
  const { nodeGuid, portGuid } = made.wanted;
  if (nodeGuid === undefined) return false;
  if (guidOf(link.mac) === portGuid) return true;
  const place = await findPlace(context, fn);
  const now = place === undefined ? undefined : await context.kernel.host.vfSettings(place.pfIndex, place.vf);
  return now?.nodeGuid === nodeGuid || now?.portGuid === portGuid;
}

/** PF-side settings and both MACs, then read back. */
async function restoreSide(
  context: LinkContext,
  made: VfState,
  fn: PciFunction,
  link: Link | undefined,
): Promise<string[]> {
  const { settings, netdev } = made.baseline;
  const problems: string[] = [];
  const place = await findPlace(context, fn);
  if (place === undefined) return [`the PF of VF ${made.device} has no network interface on the node`];
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
      ...(await step(`restoring the MAC of VF ${made.device}`, () => setMacs(context, place, goal, UNHURRIED))),
    );
  }
  if (settings !== undefined && problems.length === 0) {
    problems.push(
      ...(await step(`reading VF ${made.device} back`, async () => {
        const left = await readBack(context, place, settings, UNHURRIED);
        if (left.length > 0) throw new BerthError({ code: 'Io', reason: 'vf-not-restored', message: left.join('; ') });
      })),
    );
  }
  return problems;
}

async function readSettings(context: LinkContext, place: VfPlace, problems: string[]): Promise<VfSettings | undefined> {
  try {
    return await context.kernel.host.vfSettings(place.pfIndex, place.vf);
  } catch (error) {
    problems.push(`reading the settings of VF ${place.device} failed: ${toBerthError(error).message}`);
    return undefined;
  }
}
