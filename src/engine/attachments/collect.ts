/**
 * Own garbage collection: runtimes send secondary plugins none. A namespace that is gone and a VF
 * that came home without DEL are restored at once; a sandbox that cannot be judged is left alone.
 */
import { toBerthError } from '../errors.ts';
import type { PciAddress } from '../values.ts';
import type { AttachmentContext } from './context.ts';
import type { AttachmentRecord } from './record.ts';
import { keyText } from './record-book.ts';
import { restoreAttachment } from './restore.ts';
import { locateSandbox } from './sandbox.ts';

const COLLECT_MS = 30_000;
const AT_ONCE = 4;

/**
 * RTM_DELNSID came for that nsid. nsids are reused, and the message may be older than an attachment
 * in the next namespace with the number, so each sandbox is judged anew.
 */
export async function collectNamespace(context: AttachmentContext, nsid: number): Promise<void> {
  const affected = context.records.all().filter((record) => record.sandbox.nsid === nsid);
  await Promise.all(
    affected.map((record) => collect(context, record, 'namespace-gone', () => sandboxIsDead(context, record))),
  );
}

/** Notifications may have been lost, so each sandbox is judged; a few at a time, because there are others to serve. */
export async function collectDeadSandboxes(context: AttachmentContext): Promise<void> {
  const queue = context.records.all().filter(({ phase }) => phase === 'attached');
  const worker = async (): Promise<void> => {
    for (let record = queue.shift(); record !== undefined; record = queue.shift()) {
      const current = record;
      await collect(context, current, 'namespace-gone', () => sandboxIsDead(context, current));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** A device was seen on the node. If a complete attachment has it in a sandbox, it left without DEL. */
export async function collectDevice(context: AttachmentContext, device: PciAddress): Promise<void> {
  const record = context.records.holderOf(device);
  if (record === undefined || record.phase !== 'attached' || record.result?.hasNetdev !== true) return;
  await collect(
    context,
    record,
    'device-home',
    async () => (await context.kernel.pciFunction(device))?.ifname !== undefined,
  );
}

async function collect(
  context: AttachmentContext,
  record: AttachmentRecord,
  cause: string,
  stillTrue: () => Promise<boolean>,
): Promise<void> {
  const signal = AbortSignal.timeout(COLLECT_MS);
  try {
    await context.attachmentLocks.run(keyText(record.key), signal, async () => {
      // While waiting, a DEL may have ended it and another ADD begun.
      const current = context.records.get(record.key);
      if (current?.createdAt !== record.createdAt || !(await stillTrue())) return;
      await restoreAttachment(context, record.key, { authority: 'proof', signal, cause });
    });
  } catch (error) {
    context.log.warn(
      { attachment: keyText(record.key), cause, problem: toBerthError(error).message },
      'collecting is incomplete',
    );
    context.retryLater(record.key);
  }
}

async function sandboxIsDead(context: AttachmentContext, record: AttachmentRecord): Promise<boolean> {
  const { view, close } = await locateSandbox(context.kernel, record.sandbox);
  close();
  return view.state === 'dead';
}
