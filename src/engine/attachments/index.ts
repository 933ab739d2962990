/** The attachment engine, put together. */
import type { Clock } from '../clock.ts';
import type { Inventory } from '../inventory/model.ts';
import { noIpamPrograms } from '../ipam/index.ts';
import type { IpamPrograms, OwnedAddresses, ReservationStore } from '../ipam/port.ts';
import { driverOf } from '../links/index.ts';
import type { Logger } from '../logger.ts';
import type { PciAddress } from '../values.ts';
import type { AllocationMode } from './allocation.ts';
import { collectDeadSandboxes, collectDevice, collectNamespace } from './collect.ts';
import type { AttachmentContext } from './context.ts';
import type { DevicePolicy } from './device-policy.ts';
import { collectGarbage, type GarbageReport } from './garbage.ts';
import { KeyedMutex } from './locks.ts';
import { AttachmentManager } from './manager.ts';
import type { Attachments, LinkSpec } from './model.ts';
import type { OperationObserver } from './observer.ts';
import { noSriovCniFiles, type SriovCniFiles } from './peers/port.ts';
import type { PodDevices } from './pod-devices.ts';
import type { Kernel } from './port.ts';
import { RecordBook, type UnreadableRecord } from './record-book.ts';
import type { RecordStore } from './record-store.ts';
import { type RecoveryReport, recoverAttachments, releaseOldDelegations } from './recovery.ts';
import { RestoreRetries } from './retries.ts';
import { keepValidAttachments } from './valid-attachments.ts';

export interface AttachmentOptions {
  readonly kernel: Kernel;
  readonly records: RecordStore;
  readonly reservations: ReservationStore;
  readonly ownedAddresses: OwnedAddresses;
  /** Where IPAM programs are executed when no runtime waits; without it they cannot be. */
  readonly ipamPrograms?: IpamPrograms;
  /** What sriov-cni left on this node, where it was used. */
  readonly sriovCni?: SriovCniFiles;
  /** Absent where there is no kubelet. */
  readonly podDevices?: PodDevices;
  /** Asked before a device is given to a pod. */
  readonly policy?: DevicePolicy;
  /** Told where time goes and what is taken back. */
  readonly observer?: OperationObserver;
  /** Whether a pool of ours offers the device to pods; none does when absent. */
  readonly offers?: (device: string) => boolean;
  /** Asked once for each ADD, after its record is written: the shim is being taken away, so nothing may begin. */
  readonly isShimBeingRemoved?: () => boolean;
  /** What happens to an ADD whose device kubelet did not give to the pod; `enforce` when absent. */
  readonly allocation?: () => AllocationMode;
  /** The inventory as it is now, for uplinks that are chosen by what they are. */
  readonly inventory?: () => Inventory;
  /** A slot by an id that does not tell its uplink; see `LinkContext`. */
  readonly slotNamed?: NonNullable<AttachmentContext['slotNamed']>;
  readonly clock: Clock;
  readonly log: Logger;
  /** `/proc/sys/kernel/random/boot_id` */
  readonly bootId: string;
}

export interface AttachmentEngine extends Attachments {
  /** Brings records and kernel together; call it before serving. */
  recover(): Promise<RecoveryReport>;
  /** To be called for every RTM_DELNSID. Never throws. */
  onNamespaceGone(nsid: number): Promise<void>;
  /** To be called when notifications of either kind may have been lost. Never throws. */
  onMissed(): Promise<void>;
  /** To be called for every VF whose netdev appears on the node. Never throws. */
  onDeviceHome(address: PciAddress): Promise<void>;
  /** Whether the device is being given to a pod or taken back just now. */
  isMoving(device: PciAddress): boolean;
  /** Finds the device or uplink of a link as ADD would, and changes nothing. Throws `NotFound`, `Invalid`. */
  resolve(link: LinkSpec): Promise<unknown>;
  /** What nobody will send a DEL for; without `dryRun` it is done. */
  collectGarbage(dryRun: boolean): Promise<GarbageReport>;
  /** Called after each change of `list()`; answers a function that ends it. */
  subscribe(listener: () => void): () => void;
  /** Record files that this version cannot use. */
  unreadable(): readonly UnreadableRecord[];
  /** Aborts running ADDs, waits for their undo and for collections, ends retries. */
  stop(): Promise<void>;
}

/** Reads the records (throws `Io` when the folder cannot be read); changes nothing until asked to. */
export function createAttachments(options: AttachmentOptions): AttachmentEngine {
  const context: AttachmentContext = {
    kernel: options.kernel,
    reservations: options.reservations,
    ownedAddresses: options.ownedAddresses,
    ipamPrograms: options.ipamPrograms ?? noIpamPrograms,
    sriovCni: options.sriovCni ?? noSriovCniFiles,
    podDevices: options.podDevices,
    policy: options.policy,
    observer: options.observer,
    offers: options.offers ?? (() => false),
    isShimBeingRemoved: options.isShimBeingRemoved ?? (() => false),
    allocation: options.allocation ?? (() => 'enforce'),
    inventory: options.inventory,
    slotNamed: options.slotNamed,
    deviceNamed: (named) => context.records.deviceNamed(named),
    clock: options.clock,
    log: options.log,
    bootId: options.bootId,
    records: new RecordBook(options.records, options.log),
    attachmentLocks: new KeyedMutex('attachment'),
    deviceLocks: new KeyedMutex('device'),
    retryLater: (key) => retries.schedule(key),
  };
  const retries = new RestoreRetries(context);
  const manager = new AttachmentManager(context);
  const collecting = new Set<Promise<void>>();
  const stopping = new AbortController();
  const logUnexpected = (error: unknown): void => options.log.error({ err: error }, 'collecting ended with a bug');
  const tracked = (work: Promise<void>): Promise<void> => {
    const ended = work.finally(() => collecting.delete(ended));
    collecting.add(ended);
    return ended;
  };
  return {
    attach: (request, operation) => manager.attach(request, operation),
    detach: (key, sandbox, operation) => manager.detach(key, sandbox, operation),
    check: (request, operation) => manager.check(request, operation),
    keepValid: (network, valid, operation) => keepValidAttachments(context, network, valid, operation),
    resolve: (link) => driverOf(link.kind).resolve(context, link, context.kernel.host),
    isMoving: (device) => context.deviceLocks.isHeld(device),
    releaseAddresses: (key, operation) => manager.releaseAddresses(key, operation),
    list: () => manager.list(),
    recover: async () => {
      const report = await recoverAttachments(context);
      tracked(releaseOldDelegations(context, stopping.signal).then(() => undefined)).catch(logUnexpected);
      return report;
    },
    collectGarbage: (dryRun) => collectGarbage(context, dryRun),
    onNamespaceGone: (nsid) => tracked(collectNamespace(context, nsid)),
    onMissed: () => tracked(collectDeadSandboxes(context)),
    onDeviceHome: (address) => tracked(collectDevice(context, address)),
    subscribe: (listener) => context.records.subscribe(listener),
    unreadable: () => context.records.unreadable(),
    stop: async () => {
      stopping.abort();
      await manager.stop();
      await Promise.all(collecting);
      await retries.stop();
    },
  };
}

export type { AllocationMode } from './allocation.ts';
export type { RecordStore } from './record-store.ts';
export type { RecoveryReport } from './recovery.ts';
