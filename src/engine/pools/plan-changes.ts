/**
 * What a configuration would change against the one that runs: resources that come and go, devices
 * that change pools, and pods that would be concerned. Kubelet learns of all of it at once; a pod
 * keeps the device it has, and the device stays in its pool until the pod is gone.
 */
import type { AttachmentSummary, PodIdentity } from '../attachments/model.ts';
import type { DeviceAllocation } from '../view.ts';
import type { LinkIndex } from './links.ts';
import type { Plan, PoolSpec, PoolState } from './model.ts';
import { type DeviceNames, namesOfFunction } from './plan-names.ts';
import { admitsNamespace } from './tenancy.ts';

export interface PlanChanges {
  readonly resources: { readonly appearing: readonly string[]; readonly disappearing: readonly string[] };
  readonly devices: readonly DeviceMove[];
  readonly pods: readonly PodConcern[];
}

/** A device that another pool would offer, one that would be offered by none, or one that is new. */
export interface DeviceMove extends DeviceNames {
  /** PCI address, or the interface name of an uplink. */
  readonly device: string;
  /** Absent when no pool offers it now. */
  readonly from?: string;
  /** Absent when no pool would offer it. */
  readonly to?: string;
  /** Of an uplink. */
  readonly slots?: { readonly before: number; readonly after: number };
}

/** A pod whose device would leave the pool it was given from, or which could not get it again. */
export interface PodConcern extends DeviceNames {
  /** `namespace/name`, when the runtime told. */
  readonly pod?: string;
  /** Absent for a device that kubelet gave to the pod and that is not attached. */
  readonly containerId?: string;
  /** Interface name in the sandbox, when it is attached; of `ifname` there is only the host's. */
  readonly interface?: string;
  /** PCI address, or the slot or interface name of an uplink. */
  readonly device: string;
  readonly from: string;
  /** Pool that gets the device when the pod is gone; absent when none does. */
  readonly to?: string;
  /** One sentence of what becomes of it. */
  readonly note: string;
}

export interface Comparison {
  readonly running: Plan;
  /** What the new configuration gives at once, while pods have what they have. */
  readonly wanted: Plan;
  /** What it gives when all pods are gone. */
  readonly settled: Plan;
  readonly attachments: readonly AttachmentSummary[];
  readonly allocations: readonly DeviceAllocation[];
}

export function comparePlans(comparison: Comparison, index: LinkIndex): PlanChanges {
  const { running, wanted } = comparison;
  const now = new Set(running.pools.map(({ spec }) => spec.resource));
  const then = new Set(wanted.pools.map(({ spec }) => spec.resource));
  return {
    resources: {
      appearing: [...then].filter((resource) => !now.has(resource)),
      disappearing: [...now].filter((resource) => !then.has(resource)),
    },
    devices: movesOf(placesOf(running), placesOf(wanted), index),
    pods: usesOf(comparison).flatMap((use) => concernOf(use, comparison, index)),
  };
}

/** A device's place in a plan; an uplink has one in the pools of each kind, or in each pool that shares it. */
interface Place {
  readonly device: string;
  readonly resource: string;
  readonly slots: number;
}

function placesOf(plan: Plan): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>();
  for (const { spec, devices } of plan.pools) {
    for (const { id, uplink } of devices) {
      const key = uplink === undefined ? id : `${sharesUplinks(spec) ? spec.resource : spec.kind} ${uplink}`;
      const slots = uplink === undefined ? 0 : (places.get(key)?.slots ?? 0) + 1;
      places.set(key, { device: uplink ?? id, resource: spec.resource, slots });
    }
  }
  return places;
}

/** Several pools of the kind can offer one uplink, since their slots have names of their own. */
function sharesUplinks(spec: PoolSpec): boolean {
  return spec.kind === 'uplink' || (spec.kind === 'macvtap' && spec.slotIds === 'macvtap-cni');
}

function movesOf(
  now: ReadonlyMap<string, Place>,
  then: ReadonlyMap<string, Place>,
  index: LinkIndex,
): readonly DeviceMove[] {
  return [...new Set([...now.keys(), ...then.keys()])].flatMap((key): readonly DeviceMove[] => {
    const before = now.get(key);
    const after = then.get(key);
    const place = before ?? after;
    if (place === undefined || (before?.resource === after?.resource && before?.slots === after?.slots)) return [];
    return [
      {
        device: place.device,
        ...(place.slots === 0 ? namesOfFunction(place.device, index) : {}),
        ...(before === undefined ? {} : { from: before.resource }),
        ...(after === undefined ? {} : { to: after.resource }),
        ...(place.slots === 0 ? {} : { slots: { before: before?.slots ?? 0, after: after?.slots ?? 0 } }),
      },
    ];
  });
}

/** A device and the pod that has it. */
interface DeviceUse extends Pick<PodConcern, 'containerId' | 'interface'> {
  /** Absent when nobody told. */
  readonly pod?: PodIdentity;
  /** PCI address, slot, or the uplink's name. */
  readonly device: string;
  /** Of an attachment: two kinds of slots on one uplink have the same ids. */
  readonly kind?: string;
  /** Of an allocation. */
  readonly resource?: string;
}

/** Attachments, and what kubelet gave to pods besides: those on userspace drivers may have no network. */
function usesOf({ allocations, attachments }: Comparison): readonly DeviceUse[] {
  const attached = attachments.map(({ containerId, device, ifname, kind, pod, slot }) => ({
    containerId,
    interface: ifname,
    device: slot ?? device,
    kind,
    ...(pod === undefined ? {} : { pod }),
  }));
  const known = new Set(attached.map(({ device, pod }) => `${device} ${pod?.namespace}/${pod?.name}`));
  const others = allocations.filter(({ device, pod }) => !known.has(`${device} ${pod.namespace}/${pod.name}`));
  return [...attached, ...others.map(({ device, pod, resource }) => ({ device, pod, resource }))];
}

function concernOf(use: DeviceUse, { running, settled }: Comparison, index: LinkIndex): readonly PodConcern[] {
  const before = poolOf(use, running);
  if (before === undefined) return [];
  const after = poolOf({ ...use, kind: before.spec.kind }, settled);
  const note = noteOn(use, before.spec, after?.spec, settled);
  if (note === undefined) return [];
  const { containerId, device, pod } = use;
  return [
    {
      ...(pod === undefined ? {} : { pod: `${pod.namespace}/${pod.name}` }),
      ...(containerId === undefined ? {} : { containerId }),
      ...(use.interface === undefined ? {} : { interface: use.interface }),
      device,
      ...namesOfFunction(device, index),
      from: before.spec.resource,
      ...(after === undefined ? {} : { to: after.spec.resource }),
      note,
    },
  ];
}

function noteOn({ pod }: DeviceUse, before: PoolSpec, after: PoolSpec | undefined, settled: Plan): string | undefined {
  if (after?.resource === before.resource) {
    if (admitsNamespace(after, pod?.namespace)) return undefined;
    return `it keeps the device, and could not get it again: ${after.resource} would be for ${after.namespaces?.join(', ')}`;
  }
  const next = after === undefined ? 'is in no pool afterwards' : `goes to ${after.resource} afterwards`;
  const stays = settled.pools.some(({ spec }) => spec.resource === before.resource);
  return stays
    ? `the device stays in ${before.resource} until the pod is gone, and ${next}`
    : `the pod keeps the device of a resource that kubelet does not have any more; the device ${next}`;
}

/** The pool that offers the device; of an uplink without a slot, the pool of the attachment's kind. */
function poolOf({ device, kind, resource }: DeviceUse, plan: Plan): PoolState | undefined {
  return plan.pools.find(({ spec, devices }) => {
    if (resource !== undefined && kind === undefined && spec.resource !== resource) return false;
    const isKind = kind === undefined || spec.kind === kind;
    return devices.some(({ id, uplink }) =>
      uplink === undefined ? id === device : isKind && (id === device || uplink === device),
    );
  });
}
