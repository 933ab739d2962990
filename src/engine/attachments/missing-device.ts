/**
 * Why an ADD may have come without a device: Multus calls a plugin without one when the pod has none
 * left, and says nothing. Kubelet's list and Berth's own attachments together usually tell.
 */
import type { Plan, PoolKind } from '../pools/model.ts';
import type { AttachmentSummary, PodIdentity } from './model.ts';
import type { PodDevices } from './pod-devices.ts';

export interface MissingDeviceSources {
  readonly podDevices: PodDevices;
  attachments(): readonly AttachmentSummary[];
  plan(): Plan;
}

/** A clause for a message: what the pod has instead, and what it could ask for. `undefined` when kubelet says nothing of it. */
export async function explainMissingDevice(
  pod: PodIdentity,
  kind: PoolKind,
  { podDevices, attachments, plan }: MissingDeviceSources,
): Promise<string | undefined> {
  const holders = await podDevices.holders();
  if (holders === undefined || !(await podDevices.lists(pod))) return undefined;
  const own = [...holders].flatMap(([id, list]) => {
    const holder = list.find((entry) => entry.pod.namespace === pod.namespace && entry.pod.name === pod.name);
    return holder === undefined ? [] : [{ id, resource: holder.resource }];
  });
  const offered = plan()
    .pools.filter(({ spec, devices }) => spec.kind === kind && devices.length > 0)
    .map(({ spec }) => spec.resource);
  const couldAsk =
    offered.length === 0 ? `this node offers no ${kind} devices` : `this node offers ${offered.join(', ')}`;
  if (own.length === 0) return `kubelet gave the pod no device, so none of its containers requests one; ${couldAsk}`;
  const held = own.map(({ id, resource }) => {
    const user = attachments().find(({ device, slot }) => device === id || slot === id);
    return user === undefined ? `${resource} ${id}` : `${resource} ${id} (in use as ${user.ifname})`;
  });
  return `kubelet gave the pod ${held.join(', ')}; ${couldAsk}`;
}
