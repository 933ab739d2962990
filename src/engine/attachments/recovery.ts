/**
 * At start: every record is looked at once. A complete attachment in a living sandbox is kept, an
 * unfinished one or one in a dead sandbox is restored, one whose sandbox cannot be judged is kept
 * and reported. Addresses noted in an earlier boot are released: no sandbox survives a reboot.
 */
import { toBerthError } from '../errors.ts';
import { release } from '../ipam/index.ts';
import type { AddressPlace } from '../ipam/model.ts';
import type { AttachmentContext } from './context.ts';
import type { AttachmentKey } from './model.ts';
import { adoptSriovCni } from './peers/sriov-cni.ts';
import type { AttachmentRecord } from './record.ts';
import { keyText, type UnreadableRecord } from './record-book.ts';
import { restoreAttachment } from './restore.ts';
import { locateSandbox } from './sandbox.ts';

export interface RecoveryReport {
  readonly kept: readonly string[];
  readonly restored: readonly string[];
  /** Kept because nothing proves that its sandbox is dead. */
  readonly unknown: readonly { readonly attachment: string; readonly why: string }[];
  /** Taken over from another plugin just now; they are among the others too. */
  readonly adopted: readonly string[];
  /** Could not be restored yet; tried again. */
  readonly stuck: readonly { readonly attachment: string; readonly problem: string }[];
  /** Files that this version cannot use; kept. */
  readonly unreadable: readonly UnreadableRecord[];
  /** Attachments of an earlier boot whose addresses were released. */
  readonly released: readonly string[];
  /** Notes of reserved addresses that could not be read or released; kept. */
  readonly addressProblems: readonly string[];
}

const AT_ONCE = 16;
const EACH_MS = 30_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 300_000;

/** Brings records and kernel together. Run it before serving; running it again does no harm. */
export async function recoverAttachments(context: AttachmentContext): Promise<RecoveryReport> {
  const kept: string[] = [];
  const restored: string[] = [];
  const unknown: { attachment: string; why: string }[] = [];
  const stuck: { attachment: string; problem: string }[] = [];

  const recoverOne = async (record: AttachmentRecord): Promise<void> => {
    const attachment = keyText(record.key);
    const signal = AbortSignal.timeout(EACH_MS);
    try {
      await context.attachmentLocks.run(attachment, signal, async () => {
        // Another operation may have completed or ended it while we waited.
        const current = context.records.get(record.key);
        if (current === undefined) return;
        const verdict = await judge(context, current);
        if (verdict.keep) {
          kept.push(attachment);
          if (verdict.unknown !== undefined) unknown.push({ attachment, why: verdict.unknown });
          return;
        }
        await restoreAttachment(context, record.key, { authority: 'proof', signal, cause: 'recovery' });
        restored.push(attachment);
      });
    } catch (error) {
      stuck.push({ attachment, problem: toBerthError(error).message });
      context.retryLater(record.key);
    }
  };

  const adopted = await adoptSriovCni(context);
  const queue = [...context.records.all()];
  const worker = async (): Promise<void> => {
    for (let record = queue.shift(); record !== undefined; record = queue.shift()) await recoverOne(record);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const addresses = await releaseEarlierBoots(context);
  const report: RecoveryReport = {
    kept,
    restored,
    unknown,
    stuck,
    adopted,
    unreadable: context.records.unreadable(),
    ...addresses,
  };
  context.log.info(
    {
      kept: kept.length,
      restored,
      unknown,
      stuck,
      adopted,
      released: addresses.released,
      addressProblems: addresses.addressProblems,
    },
    'recovered',
  );
  return report;
}

async function judge(
  context: AttachmentContext,
  record: AttachmentRecord,
): Promise<{ keep: true; unknown?: string } | { keep: false }> {
  if (record.phase !== 'attached') return { keep: false };
  const { view, close } = await locateSandbox(context.kernel, record.sandbox);
  close();
  if (view.state === 'dead') return { keep: false };
  return view.state === 'unknown' ? { keep: true, unknown: view.why } : { keep: true };
}

/** Releases what was noted for the key in an earlier boot; a note of this boot belongs to a living attachment. */
export async function releaseNotedAddresses(
  context: AttachmentContext,
  key: AttachmentKey,
  signal: AbortSignal,
): Promise<void> {
  for (const { bootId, place, ...owner } of context.ownedAddresses.list().notes) {
    // A program's may take long, and is under way already (see below).
    if (bootId === context.bootId || place.type === 'delegated' || keyText(owner) !== keyText(key)) continue;
    await release(context, place, owner, signal);
  }
}

async function releaseEarlierBoots(
  context: AttachmentContext,
): Promise<Pick<RecoveryReport, 'released' | 'addressProblems'>> {
  const released: string[] = [];
  const { notes, unreadable } = context.ownedAddresses.list();
  const addressProblems = unreadable.map((name) => `${name} is no note of reserved addresses; kept`);
  for (const { bootId, place, ...owner } of notes) {
    if (bootId === context.bootId || place.type === 'delegated') continue;
    try {
      await release(context, place, owner, AbortSignal.timeout(EACH_MS));
      released.push(keyText(owner));
    } catch (error) {
      addressProblems.push(
        `addresses of ${keyText(owner)} in ${describePlace(place, owner.network)}: ${toBerthError(error).message}`,
      );
    }
  }
  return { released, addressProblems };
}

/**
 * Releases what IPAM programs gave in an earlier boot, with growing pauses until all of it is or the
 * agent stops: their servers are often away just after a boot, and nobody must wait for them.
 * Answers what was released. Never throws.
 */
export async function releaseOldDelegations(context: AttachmentContext, stop: AbortSignal): Promise<readonly string[]> {
  const released: string[] = [];
  for (let pauseMs = FIRST_PAUSE_MS; !stop.aborted; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    let failed = false;
    try {
      for (const { bootId, place, ...owner } of context.ownedAddresses.list().notes) {
        if (bootId === context.bootId || place.type !== 'delegated' || stop.aborted) continue;
        const problem = await problemOf(() => release(context, place, owner, stop));
        if (problem === undefined) released.push(keyText(owner));
        else failed = true;
        context.log.info({ attachment: keyText(owner), program: place.program, problem }, 'address of an earlier boot');
      }
    } catch (error) {
      failed = true;
      context.log.warn({ problem: toBerthError(error).message }, 'notes of earlier boots cannot be read');
    }
    if (!failed) break;
    await context.clock.delay(pauseMs, stop);
  }
  return released;
}

async function problemOf(work: () => Promise<void>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return toBerthError(error).message;
  }
}

function describePlace(place: AddressPlace, network: string): string {
  return place.type === 'host-local' ? `${place.dataDir}/${network}` : `${place.program}, network ${network}`;
}
