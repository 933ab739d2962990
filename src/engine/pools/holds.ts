/** What attachments mean to the pools: devices that pods have, and uplinks whose kind is decided. */
import type { AttachmentSummary } from '../attachments/model.ts';
import { asPciAddress } from '../values.ts';
import type { DeviceHold, PoolContext } from './model.ts';

/** The parts of a {@link PoolContext} that attachments decide. */
export interface Holds {
  readonly devices: PoolContext['heldDevices'];
  readonly uplinks: PoolContext['uplinkUse'];
}

export const NO_HOLDS: Holds = { devices: new Map(), uplinks: new Map() };

/** {@link holdsOf} what `list` answers, asked when it is first read: many attachments change before that. */
export function laterHoldsOf(list: () => readonly AttachmentSummary[]): Holds {
  let made: Holds | undefined;
  const holds = (): Holds => {
    made ??= holdsOf(list());
    return made;
  };
  return {
    get devices() {
      return holds().devices;
    },
    get uplinks() {
      return holds().uplinks;
    },
  };
}

/**
 * Every attachment holds its device, whatever its state: an unfinished restore as well, unless only
 * its addresses are left to release.
 * `resourceOf` tells the pool that a device was given from, where that is known.
 */
export function holdsOf(
  attachments: readonly AttachmentSummary[],
  resourceOf: (id: string) => string | undefined = () => undefined,
): Holds {
  const devices = new Map<string, DeviceHold>();
  const uplinks = new Map<string, 'macvlan' | 'ipvlan'>();
  for (const attachment of attachments) {
    const { kind, device, addressesOnly } = attachment;
    if (addressesOnly === true) continue;
    if (kind === 'macvlan' || kind === 'ipvlan') uplinks.set(device, kind);
    // Both are ports of macvlan on their uplink (drivers/net/macvtap.c).
    if (kind === 'macvtap') uplinks.set(device, 'macvlan');
    const id = exclusiveDevice(device);
    if (id === undefined) continue;
    const resource = resourceOf(id);
    devices.set(id, { ...(resource === undefined ? {} : { resource }), ...attachedTo(attachment) });
  }
  return { devices, uplinks };
}

/** A device that one pod has for itself, as kubelet knows it; `undefined` for an uplink, a slot and other names. */
export function exclusiveDevice(device: string): string | undefined {
  return asPciAddress(device) ?? (isScalableName(device) ? device : undefined);
}

/** A scalable function goes by its name on the auxiliary bus; all else that is no PCI address is a name of links. */
export function isScalableName(device: string): boolean {
  return /^[A-Za-z0-9_-]+\.sf\.[0-9]+$/.test(device);
}

function attachedTo({ containerId, pod, state }: AttachmentSummary): Pick<DeviceHold, 'attachedTo'> {
  if (state !== 'attached') return {};
  return { attachedTo: pod === undefined ? `container ${containerId}` : `pod ${pod.namespace}/${pod.name}` };
}
