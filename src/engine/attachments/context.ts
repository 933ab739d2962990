/** What the parts of the attachment engine share. Built once by `createAttachments`. */
import type { AddressingContext } from '../ipam/index.ts';
import type { LinkContext } from '../links/index.ts';
import type { AllocationMode } from './allocation.ts';
import type { DevicePolicy } from './device-policy.ts';
import type { KeyedMutex } from './locks.ts';
import type { AttachmentKey } from './model.ts';
import type { OperationObserver } from './observer.ts';
import type { SriovCniFiles } from './peers/port.ts';
import type { PodDevices } from './pod-devices.ts';
import type { RecordBook } from './record-book.ts';

export interface AttachmentContext extends LinkContext, AddressingContext {
  readonly records: RecordBook;
  readonly sriovCni: SriovCniFiles;
  readonly podDevices: PodDevices | undefined;
  /** Everybody may have everything when there is none. */
  readonly policy: DevicePolicy | undefined;
  readonly observer: OperationObserver | undefined;
  /** Whether a pool of ours offers the device to pods. */
  readonly offers: (device: string) => boolean;
  /** Whether the program that a DEL would come through is being taken away. */
  readonly isShimBeingRemoved: () => boolean;
  /** What happens to an ADD whose device kubelet did not give to the pod; as it is configured now. */
  readonly allocation: () => AllocationMode;
  /** Taken in this order: an attachment's lock, its device's lock, then (inside addressing) the network's. */
  readonly attachmentLocks: KeyedMutex;
  readonly deviceLocks: KeyedMutex;
  /** Has a restore that failed tried again in the background, however often it is asked for. */
  retryLater(key: AttachmentKey): void;
}
