/** Who may have which device, as far as the engine asks: an attachment is refused before anything is done. */
import type { LinkKind, PodIdentity } from './model.ts';

/** A device that is about to be given to a pod. */
export interface DeviceUse {
  readonly kind: LinkKind;
  /** PCI address, or the uplink's interface name. */
  readonly device: string;
  /** The share of the uplink that a device plugin gave. */
  readonly slot?: string;
  /** As far as the runtime told. */
  readonly pod?: PodIdentity;
}

export interface DevicePolicy {
  /** Throws `BerthError` `Denied` when the pod may not have the device. */
  admit(use: DeviceUse): void;
}
