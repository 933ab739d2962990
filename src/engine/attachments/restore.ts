/**
 * The one way back: rollback, DEL, recovery after a crash and collection all come here. Idempotent;
 * every step runs even if another fails; the record stays until all hold. Debug: the record's
 * `problem` and the log line of the attempt say what does not hold yet.
 */
import { BerthError, toBerthError } from '../errors.ts';
import { release } from '../ipam/index.ts';
import type { IpamPrograms } from '../ipam/port.ts';
import { driverOf } from '../links/index.ts';
import type { AttachmentContext } from './context.ts';
import type { AttachmentKey } from './model.ts';
import { lapsOf } from './observer.ts';
import { forgetSriovCni } from './peers/sriov-cni.ts';
import type { Namespace } from './port.ts';
import type { AttachmentRecord } from './record.ts';
import { keyText } from './record-book.ts';
import { locateSandbox } from './sandbox.ts';

export interface RestoreOptions {
  /** The sandbox as the front end opened it, when it did. */
  readonly given?: Namespace;
  /** Who says that the sandbox is gone; see {@link import('../links/link-driver.ts').RestoreInput}. */
  readonly authority: 'runtime' | 'proof';
  readonly signal: AbortSignal;
  /** The runtime's own place, when it waits for this. */
  readonly ipamPrograms?: IpamPrograms;
  /** For the log: `rollback`, `del`, `recovery`, `namespace-gone` ... */
  readonly cause: string;
}

/**
 * Restores the attachment of that key, if it still has a record, and removes the record. The caller
 * holds the attachment's lock; the device's is taken here. Throws `Busy` (`restore-incomplete`) with
 * everything that does not hold yet; the record then says so too, and it is tried again by itself.
 */
export async function restoreAttachment(
  context: AttachmentContext,
  key: AttachmentKey,
  options: RestoreOptions,
): Promise<void> {
  const found = context.records.get(key);
  if (found === undefined) return;
  // Marked before any waiting: a restore once decided on is not forgotten.
  const record = markRestoring(context, found);
  const lap = lapsOf(context.observer, 'del', record.link.kind);
  const work = async (): Promise<void> => {
    lap('device');
    await restoreRecord(context, record, options);
    lap('restore');
  };
  let complete = false;
  try {
    await (record.lockKey === undefined ? work() : context.deviceLocks.run(record.lockKey, options.signal, work));
    complete = true;
  } finally {
    context.observer?.restored(options.cause, complete);
  }
}

async function restoreRecord(
  context: AttachmentContext,
  record: AttachmentRecord,
  options: RestoreOptions,
): Promise<void> {
  const problems: string[] = [];
  const attempted = async (what: string, work: () => Promise<void> | void): Promise<void> => {
    try {
      await work();
    } catch (error) {
      problems.push(`${what}: ${toBerthError(error).message}`);
    }
  };

  const { addresses } = record;
  const owner = { network: record.network, ...record.key };
  let released = false;
  const releaseAddresses = (place: NonNullable<typeof addresses>): Promise<void> =>
    attempted('releasing its addresses', async () => {
      await release(context, place, owner, options.signal, options.ipamPrograms);
      released = true;
    });

  let detached = record.addressesOnly === true;
  const restoreLink = async (): Promise<void> => {
    const sandbox = await locateSandbox(context.kernel, record.sandbox, options.given);
    try {
      // dhcp's daemon hands a lease back over the link. Where that fails the release behind it counts.
      if (addresses?.type === 'delegated' && addresses.program === 'dhcp' && sandbox.view.state === 'open') {
        await releaseAddresses(addresses);
        problems.length = 0;
      }
      const outcome = await driverOf(record.link.kind).restore(context, {
        state: record.link,
        ifname: record.key.ifname,
        sandbox: sandbox.view,
        authority: options.authority,
        others: () => context.records.others(record.key),
        signal: options.signal,
      });
      detached = outcome.detached;
      problems.push(...outcome.problems);
    } finally {
      sandbox.close();
    }
  };
  if (!detached) await attempted(`restoring ${record.device}`, restoreLink);
  const linkHolds = detached && problems.length === 0;
  // An address is free only when no link in the sandbox can still answer for it.
  if (detached && addresses !== undefined && !released) await releaseAddresses(addresses);
  if (problems.length === 0) await attempted('removing the files of sriov-cni', () => forgetSriovCni(context, record));
  if (problems.length === 0) await attempted('removing its record', () => context.records.remove(record.key));
  if (problems.length === 0) {
    context.log.info(
      { attachment: keyText(record.key), device: record.device, requestId: record.requestId, cause: options.cause },
      'restored',
    );
    return;
  }
  throw incomplete(context, linkHolds ? addressesOnly(record) : record, problems, options.cause);
}

/** A server of addresses that is away must not keep a device from its next pod. */
function addressesOnly({ lockKey: _device, ...record }: AttachmentRecord): AttachmentRecord {
  return { ...record, exclusive: false, addressesOnly: true };
}

/** The phase is for people and for recovery; restoring goes on when it cannot be written. */
function markRestoring(context: AttachmentContext, record: AttachmentRecord): AttachmentRecord {
  if (record.phase === 'restoring') return record;
  const marked: AttachmentRecord = { ...record, phase: 'restoring', since: context.clock.now().toISOString() };
  try {
    context.records.put(marked);
  } catch (error) {
    context.log.warn({ err: error, attachment: keyText(record.key) }, 'the record could not be marked as restoring');
  }
  return marked;
}

function incomplete(
  context: AttachmentContext,
  record: AttachmentRecord,
  problems: readonly string[],
  cause: string,
): BerthError {
  const message = problems.join('; ');
  const attempts = (record.problem?.attempts ?? 0) + 1;
  context.log.warn(
    { attachment: keyText(record.key), device: record.device, requestId: record.requestId, cause, attempts, problems },
    'restoring is incomplete',
  );
  try {
    context.records.put({ ...record, problem: { message, attempts } });
  } catch (error) {
    context.log.error({ err: error, attachment: keyText(record.key) }, 'the problem could not be recorded');
  }
  context.retryLater(record.key);
  return new BerthError({
    code: 'Busy',
    reason: 'restore-incomplete',
    message: `${record.device} of container ${record.key.containerId} ${record.key.ifname} is not as it was yet: ${message}`,
    remedy: 'It is tried again with growing pauses; `berth attachments` shows what still fails.',
  });
}
