/**
 * A device that a record still holds when it is to be given again (docs/architecture.md, Same pod, new sandbox).
 * Kubelet frees devices before their DEL and keeps them over a new sandbox, so an old holder is
 * restored first and then the device given; only a live other holder is refused. Proof is positive.
 */
import { BerthError, toBerthError } from '../errors.ts';
import type { LinkTarget } from '../links/index.ts';
import type { AttachmentContext } from './context.ts';
import type { Release } from './locks.ts';
import type { AttachRequest, PodIdentity } from './model.ts';
import type { AttachmentRecord } from './record.ts';
import { keyText } from './record-book.ts';
import { restoreAttachment } from './restore.ts';
import { locateSandbox } from './sandbox.ts';

const nothingHeld: Release = () => undefined;

/**
 * Takes the device's lock with nobody else holding the device. The caller holds the request's
 * attachment lock. While it waits for an old holder's lock it has no record of its own, so no circle
 * can form: who has a record never waits here. Throws `Busy` (`device-held`, `device-unfinished`).
 */
export async function takeDevice(
  context: AttachmentContext,
  target: LinkTarget,
  request: AttachRequest,
  signal: AbortSignal,
): Promise<Release> {
  if (target.lockKey === undefined) return nothingHeld;
  for (;;) {
    if (target.exclusive) {
      const holder = context.records.holderOf(target.device);
      if (holder !== undefined) {
        await displace(context, holder, request, signal);
        continue;
      }
    }
    const release = await context.deviceLocks.acquire(target.lockKey, signal);
    if (!target.exclusive || context.records.holderOf(target.device) === undefined) return release;
    release();
  }
}

async function displace(
  context: AttachmentContext,
  holder: AttachmentRecord,
  request: AttachRequest,
  signal: AbortSignal,
): Promise<void> {
  const why = await mayDisplace(context, holder, request);
  await context.attachmentLocks.run(keyText(holder.key), signal, async () => {
    const current = context.records.get(holder.key);
    // Restored meanwhile, or another ADD of the same key: look again.
    if (current === undefined || current.createdAt !== holder.createdAt) return;
    context.log.info(
      { device: holder.device, from: keyText(holder.key), to: keyText(request.key), why },
      'restoring a device before it is given again',
    );
    try {
      await restoreAttachment(context, holder.key, { authority: 'proof', signal, cause: 'next-owner' });
    } catch (error) {
      const failure = toBerthError(error);
      if (failure.code === 'Interrupted') throw failure;
      throw new BerthError({
        code: 'Busy',
        reason: 'device-unfinished',
        message: `${holder.device} is not back from container ${holder.key.containerId} ${holder.key.ifname}: ${failure.message}`,
        remedy: 'The runtime tries again; `berth attachments` shows what still fails.',
        cause: failure,
      });
    }
  });
}

/** Why the old holder's device may be taken; throws `Busy`, `device-held`, when it may not. */
async function mayDisplace(
  context: AttachmentContext,
  holder: AttachmentRecord,
  request: AttachRequest,
): Promise<string> {
  if (holder.phase === 'restoring') return 'its restore was not finished';
  if (holder.key.containerId !== request.key.containerId) {
    if (samePod(holder.pod, request.pod)) return 'the same pod has a new sandbox';
    const sandbox = await locateSandbox(context.kernel, holder.sandbox);
    sandbox.close();
    if (sandbox.view.state === 'dead') return `the old sandbox is dead: ${sandbox.view.proof}`;
    if (await kubeletGaveIt(context, holder, request.pod)) return 'kubelet lists the device under the new pod';
  }
  const who =
    holder.pod === undefined
      ? `container ${holder.key.containerId}`
      : `pod ${holder.pod.namespace}/${holder.pod.name} (container ${holder.key.containerId})`;
  throw new BerthError({
    code: 'Busy',
    reason: 'device-held',
    message: `${holder.device} is held by ${who} as ${holder.key.ifname}`,
    remedy:
      'The runtime tries again; if it lasts, two pods were given the same device: compare `berth attachments` with their network annotations.',
  });
}

/** Listed under the new pod and not under the holder's any more. An empty list says nothing. */
async function kubeletGaveIt(
  context: AttachmentContext,
  holder: AttachmentRecord,
  pod: PodIdentity | undefined,
): Promise<boolean> {
  if (pod === undefined || context.podDevices === undefined) return false;
  const holders = (await context.podDevices.holders())?.get(holder.device) ?? [];
  return holders.some((entry) => samePod(entry.pod, pod)) && !holders.some((entry) => samePod(entry.pod, holder.pod));
}

/** Pod-resources and some runtimes give no uid; names are unique among the pods a node runs at one time. */
function samePod(a: PodIdentity | undefined, b: PodIdentity | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  if (a.namespace !== b.namespace || a.name !== b.name) return false;
  return a.uid === undefined || b.uid === undefined || a.uid === b.uid;
}
