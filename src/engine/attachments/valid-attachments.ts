/**
 * GC of the CNI: a runtime says which attachments of a network it still has. Its list is one
 * runtime's memory and not the node's truth (Multus hands over its own cache), so an attachment goes
 * only when nothing contradicts it: not a list that is older than the attachment, and not kubelet,
 * which knows pods better than any cache. Collection on proof of death is in collect.ts and needs no list.
 */
import { BerthError, toBerthError } from '../errors.ts';
import type { NetworkName } from '../values.ts';
import type { AttachmentContext } from './context.ts';
import type { AttachmentKey, OperationContext } from './model.ts';
import type { AttachmentRecord } from './record.ts';
import { keyText } from './record-book.ts';
import { restoreAttachment } from './restore.ts';

/**
 * Takes away every attachment of the network that is not in the list. All are tried; throws `Busy`
 * (`restore-incomplete`) with everything that failed, which is then tried again by itself.
 */
export async function keepValidAttachments(
  context: AttachmentContext,
  network: NetworkName,
  valid: readonly AttachmentKey[],
  operation: OperationContext,
): Promise<void> {
  const listed = new Set(valid.map(keyText));
  const candidates = context.records
    .all()
    .filter((record) => record.network === network && record.phase === 'attached' && !listed.has(keyText(record.key)));
  const failures: string[] = [];
  await Promise.all(
    candidates.map(async (record) => {
      try {
        await removeOne(context, record, operation);
      } catch (error) {
        failures.push(`${keyText(record.key)}: ${toBerthError(error).message}`);
      }
    }),
  );
  if (failures.length === 0) return;
  throw new BerthError({
    code: 'Busy',
    reason: 'restore-incomplete',
    message: `collecting network ${network} is incomplete: ${failures.join('; ')}`,
    remedy: 'It is tried again with growing pauses; `berth attachments` shows what still fails.',
  });
}

async function removeOne(
  context: AttachmentContext,
  record: AttachmentRecord,
  { requestId, signal, ipamPrograms }: OperationContext,
): Promise<void> {
  const attachment = keyText(record.key);
  await context.attachmentLocks.run(attachment, signal, async () => {
    // While waiting, a DEL may have ended it and another ADD begun, which no list can know of.
    if (context.records.get(record.key)?.createdAt !== record.createdAt) return;
    const why = await whyKept(context, record);
    if (why !== undefined) {
      context.log.info({ attachment, requestId, why }, 'a runtime does not list an attachment; it is kept');
      return;
    }
    await restoreAttachment(context, record.key, {
      authority: 'runtime',
      signal,
      cause: 'gc',
      ...(ipamPrograms === undefined ? {} : { ipamPrograms }),
    });
  });
}

/** Kubelet's word counts more than a runtime's cache; where there is a kubelet it has to agree. */
async function whyKept({ podDevices }: AttachmentContext, { pod }: AttachmentRecord): Promise<string | undefined> {
  if (pod === undefined || podDevices === undefined || !podDevices.isThere()) return undefined;
  const name = `${pod.namespace}/${pod.name}`;
  if (await podDevices.lists(pod)) return `kubelet lists pod ${name}`;
  return (await podDevices.listsAny()) ? undefined : `kubelet lists no pod at all, which says nothing of ${name}`;
}
