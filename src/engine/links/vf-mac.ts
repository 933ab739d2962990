/**
 * The two MACs of a VF, its own (the netdev's) and the administrative one (the PF's). Spoof checking
 * drops everything when they differ. Own first, then administrative: igb refuses the other order on
 * a used VF; a VF whose administrative MAC is set is freed by zero first; where that is refused too,
 * administrative first.
 */
import { toBerthError } from '../errors.ts';
import type { MacAddress } from '../values.ts';
import type { LinkContext } from './link-driver.ts';
import { ZERO_MAC } from './mac.ts';
import type { VfPlace } from './vf-settings.ts';
import { refusal } from './vf-settings.ts';

export interface MacGoal {
  /** The VF's netdev on the node and the address it is to have; absent where there is no netdev. */
  readonly own?: { readonly index: number; readonly mac: MacAddress };
  /** Absent where the driver has no PF-side settings. */
  readonly admin?: MacAddress;
  /** Take the administrative MAC away before anything else: what a restore does. */
  readonly freeFirst: boolean;
}

const TRIES = 20;
const RETRY_MS = 50;

/** Sets both MACs; throws the driver's refusal. The caller reads the administrative one back. */
export async function setMacs(context: LinkContext, place: VfPlace, goal: MacGoal, signal: AbortSignal): Promise<void> {
  const { own, admin } = goal;
  if (own !== undefined) {
    if (goal.freeFirst) await attempt(() => setAdmin(context, place, ZERO_MAC));
    let refused = await attempt(() => setOwn(context, own));
    if (refused !== undefined && admin !== undefined && !goal.freeFirst) {
      await attempt(() => setAdmin(context, place, ZERO_MAC));
      refused = await attempt(() => setOwn(context, own));
    }
    if (refused !== undefined && admin !== undefined && admin !== ZERO_MAC) {
      await setAdmin(context, place, admin);
      refused = await attempt(() => setOwn(context, own));
    }
    if (refused !== undefined) throw refusal(refused, place, `the hardware address ${own.mac}`);
  }
  if (admin !== undefined) await setAdmin(context, place, admin);
  if (own !== undefined) await ensureOwn(context, own, signal);
}

/** Some drivers reset the VF when the PF sets its MAC, and its own MAC follows late. */
async function ensureOwn(
  context: LinkContext,
  own: { index: number; mac: MacAddress },
  signal: AbortSignal,
): Promise<void> {
  for (let tries = 1; tries <= TRIES; tries += 1) {
    const link = await context.kernel.host.link({ index: own.index });
    if (link === undefined || link.mac === own.mac || link.mac === undefined) return;
    if (signal.aborted) break;
    await context.clock.delay(RETRY_MS, signal);
    // The last word is a refusal's own text, so the error of the final try is not caught.
    if (tries === TRIES) await setOwn(context, own);
  }
}

async function setAdmin(context: LinkContext, place: VfPlace, mac: MacAddress): Promise<void> {
  try {
    await context.kernel.host.apply([{ op: 'vf.set', index: place.pfIndex, vf: place.vf, set: { mac } }]);
  } catch (error) {
    throw refusal(error, place, `the administrative MAC ${mac}`);
  }
}

async function setOwn(context: LinkContext, own: { index: number; mac: MacAddress }): Promise<void> {
  await context.kernel.host.apply([{ op: 'link.set', index: own.index, mac: own.mac }]);
}

/** Runs it and hands back its error: the next order is tried, and the last error is thrown by the caller. */
async function attempt(work: () => Promise<void>): Promise<Error | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return toBerthError(error);
  }
}
