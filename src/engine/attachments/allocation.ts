/**
 * Whether the device of an ADD is the pod's own: the agent may do everything, and the author of a
 * network definition may not, so naming a device is not enough to have it. Kubelet's pod-resources
 * say who was given what. Only what they say counts: a pod that they do not list proves nothing
 * (after a restart kubelet lists none for a while), a kubelet that does not answer fails no ADD, and a
 * device that no device plugin offers is the administrator's to give, by naming it.
 * To debug: `device-not-allocated` in the log, and kubelet's list by `crictl` or `berth explain`.
 */
import { BerthError } from '../errors.ts';
import type { LinkTarget } from '../links/index.ts';
import { asPciAddress } from '../values.ts';
import type { AttachmentContext } from './context.ts';
import type { AttachRequest, LinkSpec, PodIdentity } from './model.ts';
import type { DeviceHolder, PodDevices } from './pod-devices.ts';

/** `warn` only writes a line into the log. */
export type AllocationMode = 'enforce' | 'warn' | 'off';

/** Kubelet lists a device some milliseconds after it gave it, and answers here are up to 75 ms old. */
const ASK_AGAIN_MS = [80, 90, 90];

/** Has kubelet asked while other things are done, for those ADDs that will need the answer. */
export function askEarly(context: AttachmentContext, request: AttachRequest): void {
  if (mustAsk(context, request) && namesDevice(request)) void context.podDevices?.holders();
}

/** Throws `Denied`, `device-not-allocated`, when kubelet lists the pod, and the device not as the pod's. Changes nothing. */
export async function requireAllocated(
  context: AttachmentContext,
  request: AttachRequest,
  target: LinkTarget,
  signal: AbortSignal,
): Promise<void> {
  const { podDevices } = context;
  const { pod } = request;
  const device = deviceId(request, target);
  if (device === undefined || pod === undefined || podDevices === undefined || !mustAsk(context, request)) return;
  let verdict = await judge(context, podDevices, pod, device);
  for (const pauseMs of ASK_AGAIN_MS) {
    if (verdict === undefined) return;
    await context.clock.delay(pauseMs, signal);
    verdict = await judge(context, podDevices, pod, device);
  }
  if (verdict === undefined) return;
  const refusal = notAllocated(pod, device, verdict);
  if (context.allocation() === 'enforce') throw refusal;
  context.log.warn({ device, pod: `${pod.namespace}/${pod.name}`, reason: refusal.reason }, refusal.message);
}

function mustAsk(context: AttachmentContext, { pod }: AttachRequest): boolean {
  return pod !== undefined && context.podDevices !== undefined && context.allocation() !== 'off';
}

function namesDevice({ link }: AttachRequest): boolean {
  return 'device' in link || 'given' in link || ('slot' in link && link.slot !== undefined);
}

/** What kubelet would have given: a slot, a device plugin's own id, or a PCI function. Uplinks are nobody's. */
function deviceId({ link }: AttachRequest, target: LinkTarget): string | undefined {
  const named = ('slot' in link ? link.slot : undefined) ?? ('given' in link ? link.given : undefined);
  const address = target.exclusive ? (asPciAddress(target.device) ?? target.pci?.address) : undefined;
  return named ?? address ?? auxiliary(link);
}

/** A scalable function, which kubelet gives by its name on the auxiliary bus. */
function auxiliary(link: LinkSpec): string | undefined {
  return link.kind === 'host-device' && link.device.by === 'auxiliary' ? link.device.id : undefined;
}

/** Who has the device instead; `undefined` when it is the pod's, or when nothing is known. */
async function judge(
  context: AttachmentContext,
  podDevices: PodDevices,
  pod: PodIdentity,
  device: string,
): Promise<readonly DeviceHolder[] | undefined> {
  const holders = await podDevices.holders();
  if (holders === undefined) return undefined;
  const ofDevice = holders.get(device) ?? [];
  if (ofDevice.some((holder) => isSame(holder.pod, pod))) return undefined;
  // Somebody else's entry is proof by itself. Without one the pod must be listed, and the device one that pods can be given.
  if (ofDevice.length > 0) return ofDevice;
  if (!(await podDevices.lists(pod))) return undefined;
  return context.offers(device) || (await podDevices.manages(device)) ? ofDevice : undefined;
}

/** By name: pod-resources know no uid, and that of a static pod is another one in the runtime than in the API. */
function isSame(a: PodIdentity, b: PodIdentity): boolean {
  return a.namespace === b.namespace && a.name === b.name;
}

function notAllocated(pod: PodIdentity, device: string, holders: readonly DeviceHolder[]): BerthError {
  const [holder] = holders;
  const why =
    holder === undefined
      ? 'kubelet has given it to no pod'
      : `kubelet gave it to ${holder.pod.namespace}/${holder.pod.name} (${holder.resource})`;
  return new BerthError({
    code: 'Denied',
    reason: 'device-not-allocated',
    message: `pod ${pod.namespace}/${pod.name} may not have ${device}: ${why}`,
    remedy:
      'Remove the device from the NetworkAttachmentDefinition, and let its resourceName and the request of the pod bring it; or set `cni: {allocation: off}` where devices are not given by kubelet.',
  });
}
