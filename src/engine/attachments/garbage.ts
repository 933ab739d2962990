/**
 * `berth gc`: looks at every attachment once more and says, or does, what is to be done about those
 * that nobody will send a DEL for. The agent does the same by itself as things happen; this is for
 * people who want to see it, or do not want to wait for the next pause of a retry.
 */
import { toBerthError } from '../errors.ts';
import { release } from '../ipam/index.ts';
import type { AttachmentContext } from './context.ts';
import { foreignAddresses } from './foreign-addresses.ts';
import type { PodIdentity } from './model.ts';
import { adoptSriovCni } from './peers/sriov-cni.ts';
import type { AttachmentRecord } from './record.ts';
import { keyText } from './record-book.ts';
import { restoreAttachment } from './restore.ts';
import { locateSandbox } from './sandbox.ts';

const EACH_MS = 30_000;

/** One finding; attachments that are as they should be are only counted. */
export interface GarbageItem {
  /** `<container id>@<interface>`, or a record's file. */
  readonly attachment: string;
  readonly device?: string;
  readonly pod?: PodIdentity;
  /** `restore`: bring the device or link back; `release`: addresses only; `keep`: nothing proves that it may go. */
  readonly action: 'restore' | 'release' | 'keep';
  readonly why: string;
  /** Absent in a dry run, and for what is kept. */
  readonly outcome?: 'done' | 'failed';
  /** What failed. */
  readonly problem?: string;
}

export interface GarbageReport {
  readonly dryRun: boolean;
  /** Attachments in order. */
  readonly living: number;
  readonly items: readonly GarbageItem[];
}

/** Judges everything; without `dryRun` also does it. Never throws for one item. */
export async function collectGarbage(context: AttachmentContext, dryRun: boolean): Promise<GarbageReport> {
  // Records of what another plugin left change nothing; whatever of it is garbage is found below.
  if (!dryRun) await adoptSriovCni(context);
  // Before anything is collected: they are looked for where Berth has attachments.
  const foreign = await foreignAddresses(context);
  const records = context.records.all();
  const found = await Promise.all(records.map((record) => lookAt(context, record, dryRun)));
  const items = [
    ...found.filter((item) => item !== undefined),
    ...context.records.unreadable().map(({ name, problem }) => keep(name, `its record cannot be used: ${problem}`)),
    ...(await earlierBoots(context, dryRun)),
    ...foreign,
  ];
  return { dryRun, living: found.length - found.filter((item) => item !== undefined).length, items };
}

async function lookAt(
  context: AttachmentContext,
  record: AttachmentRecord,
  dryRun: boolean,
): Promise<GarbageItem | undefined> {
  const attachment = keyText(record.key);
  const about = { attachment, device: record.device, ...(record.pod === undefined ? {} : { pod: record.pod }) };
  try {
    const verdict = await judge(context, record);
    if (verdict === undefined) return undefined;
    const item = { ...about, ...verdict };
    if (dryRun || verdict.action === 'keep') return item;
    return { ...item, ...(await attempt(() => restore(context, record))) };
  } catch (error) {
    return { ...about, action: 'keep', why: `it could not be looked at: ${toBerthError(error).message}` };
  }
}

/** `undefined` for what is as it should be, or is being worked on. */
async function judge(
  context: AttachmentContext,
  record: AttachmentRecord,
): Promise<Pick<GarbageItem, 'action' | 'why'> | undefined> {
  if (record.phase === 'adding') return undefined;
  if (record.phase === 'restoring') {
    if (record.problem === undefined) return undefined;
    const why = `not complete after ${record.problem.attempts} tries: ${record.problem.message}`;
    return { action: record.addressesOnly === true ? 'release' : 'restore', why };
  }
  if (await isHome(context, record)) return { action: 'restore', why: `${record.device} has come home without DEL` };
  const { view, close } = await locateSandbox(context.kernel, record.sandbox);
  close();
  if (view.state === 'dead') return { action: 'restore', why: `its sandbox is gone: ${view.proof}` };
  return view.state === 'unknown' ? { action: 'keep', why: `its sandbox cannot be judged: ${view.why}` } : undefined;
}

async function isHome(context: AttachmentContext, { link, result }: AttachmentRecord): Promise<boolean> {
  const device = link.kind === 'vf' ? link.device : link.kind === 'host-device' ? link.pci : undefined;
  if (device === undefined || result?.hasNetdev !== true) return false;
  return (await context.kernel.pciFunction(device))?.ifname !== undefined;
}

async function restore(context: AttachmentContext, record: AttachmentRecord): Promise<void> {
  const signal = AbortSignal.timeout(EACH_MS);
  await context.attachmentLocks.run(keyText(record.key), signal, async () => {
    // While waiting, a DEL may have ended it and another ADD begun.
    const current = context.records.get(record.key);
    if (current?.createdAt !== record.createdAt || (await judge(context, current)) === undefined) return;
    await restoreAttachment(context, record.key, { authority: 'proof', signal, cause: 'gc' });
  });
}

/** Addresses whose container ended with an earlier boot. */
async function earlierBoots(context: AttachmentContext, dryRun: boolean): Promise<readonly GarbageItem[]> {
  const { notes, unreadable } = context.ownedAddresses.list();
  const items = unreadable.map((name) => keep(name, 'it is no note of reserved addresses'));
  for (const { bootId, place, ...owner } of notes) {
    if (bootId === context.bootId) continue;
    const item = {
      attachment: keyText(owner),
      action: 'release',
      why: `it is of an earlier boot (${bootId})`,
    } as const;
    const outcome = dryRun ? {} : await attempt(() => release(context, place, owner, AbortSignal.timeout(EACH_MS)));
    items.push({ ...item, ...outcome });
  }
  return items;
}

async function attempt(work: () => Promise<void>): Promise<Pick<GarbageItem, 'outcome' | 'problem'>> {
  try {
    await work();
    return { outcome: 'done' };
  } catch (error) {
    return { outcome: 'failed', problem: toBerthError(error).message };
  }
}

function keep(attachment: string, why: string): GarbageItem {
  return { attachment, action: 'keep', why };
}
