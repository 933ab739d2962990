/**
 * What the agent shows of itself: plain data, served by the HTTP front end, read by the command
 * line. Stable: `-o json` prints these shapes as they are.
 */
import type { GarbageReport } from './attachments/garbage.ts';
import type { AttachmentSummary, PodIdentity } from './attachments/model.ts';
import { BerthError } from './errors.ts';
import type { Inventory, VfCounters } from './inventory/model.ts';
import type { DeviceExplanation } from './pools/explain.ts';
import type { Plan } from './pools/model.ts';
import type { Refusals } from './pools/tenancy.ts';
import type { PciAddress } from './values.ts';

/** `berth status` */
export interface AgentStatus {
  readonly version: string;
  readonly node: string;
  /** RFC 3339 */
  readonly startedAt: string;
  readonly configuration: {
    /** `built-in` when no file is used. */
    readonly source: string;
    /** From the options; it comes before the file's. */
    readonly resourcePrefix?: string;
    /** What runs, which with `problems` is not the newest file; absent in answers of older agents. */
    readonly running?: RunningConfiguration;
    /** RFC 3339; absent while nothing runs, and in answers of older agents. */
    readonly takenAt?: string;
    /** RFC 3339: since when the newest file cannot be used; absent while it can. */
    readonly brokenSince?: string;
    /** Changes of the file since the agent's start. */
    readonly reloads?: { readonly taken: number; readonly refused: number };
    /** Errors of the newest file; when there are any, it is not used. */
    readonly problems: readonly string[];
    /** What the newest file's author should know, though the file is used. */
    readonly warnings: readonly string[];
  };
  readonly resources: readonly ResourceStatus[];
  readonly attachments: {
    readonly total: number;
    /** Restores that still fail. */
    readonly stuck: number;
    /** Record files that this version cannot use. */
    readonly unreadable: number;
  };
  readonly spool: { readonly entries: number; readonly unreadable: number };
  readonly inventory: {
    readonly nics: number;
    readonly vfs: number;
    readonly readAt: string;
    readonly problem?: string;
  };
  /** Absent when the agent does not keep the shim in place. */
  readonly installation?: InstallationStatus;
  /** Absent when nothing of the cluster is switched on. */
  readonly cluster?: ClusterStatus;
  readonly process: { readonly rssBytes: number; readonly eventLoopMaxMs: number };
}

/**
 * - `file`: what the file says, or with problems what it said before.
 * - `built-in`: the zero configuration; there was no file when it was taken.
 * - `nothing`: the file was broken from the agent's start, and nothing is offered.
 */
export type RunningConfiguration = 'file' | 'built-in' | 'nothing';

/** There are no pools, because the file was broken from the agent's start. */
export function offersNothing({ configuration }: Pick<AgentStatus, 'configuration'>): boolean {
  return configuration.running === 'nothing';
}

/** What the agent does in the cluster; a part that is not switched on is absent. */
export interface ClusterStatus {
  readonly inventory?: { readonly writes: number; readonly problem?: string };
  readonly events?: { readonly sent: number; readonly dropped: number; readonly problem?: string };
  readonly startupTaint?: { readonly removed: boolean; readonly problem?: string };
  readonly labels?: { readonly problem?: string };
}

/** The CNI shim in the runtime's plugin folder. */
export interface InstallationStatus {
  readonly folder: string;
  readonly names: readonly string[];
  /** Why the newest attempt failed; it is tried again. */
  readonly problem?: string;
}

export interface ResourceStatus {
  readonly resource: string;
  readonly devices: number;
  readonly healthy: number;
  /** Of the unhealthy ones: pods use them, or their uplink in another way, and nothing is wrong. Absent when none. */
  readonly usedElsewhere?: number;
  /** The first reasons why devices are unhealthy, each once. */
  readonly reasons: readonly string[];
  readonly registered: boolean;
  /** Times that kubelet began to listen to it. */
  readonly registrations?: number;
  readonly mode?: 'watcher' | 'legacy';
  readonly problem?: string;
  /** Pods of other namespaces are refused; absent when every namespace may use it. */
  readonly namespaces?: readonly string[];
  /** Attachments that were refused for their namespace since the agent started. */
  readonly refused?: Refusals;
}

/** `berth inventory` of a node whose agent runs: who has what. */
export interface InventoryView {
  readonly inventory: Inventory;
  readonly owners: ByDevice<DeviceOwner>;
  /** Resource that offers the device. */
  readonly pools: ByDevice<string>;
  /** Why an offered device is unhealthy; absent in answers of older agents. */
  readonly unhealthy?: ByDevice<string>;
  /**
   * To whom kubelet gave the device, attached or not: a pod on a userspace driver has no attachment.
   * Only where kubelet was asked.
   */
  readonly allocations?: ByDevice<PodContainer>;
}

export interface PodContainer {
  /** `namespace/name` */
  readonly pod: string;
  readonly container: string;
}

/** By PCI address, or by the name of a scalable function (`mlx5_core.sf.4`): as kubelet knows devices. */
export type ByDevice<T> = Readonly<Record<string, T>>;

export interface DeviceOwner {
  /** `namespace/name`, when the runtime told. */
  readonly pod?: string;
  readonly containerId: string;
  /** Interface name inside the sandbox. */
  readonly ifname: string;
  readonly since: string;
}

/** `berth explain` */
export interface Explanation extends DeviceExplanation {
  readonly owner?: DeviceOwner;
  /** To whom kubelet gave it, as it said last. */
  readonly allocation?: PodContainer;
}

/** A device that kubelet gave to a pod, attached or not: pods on userspace drivers have no attachment. */
export interface DeviceAllocation {
  /** As kubelet knows it: PCI address or slot. */
  readonly device: string;
  readonly resource: string;
  readonly pod: PodIdentity;
  readonly container: string;
}

/** `berth inventory --counters`: what PFs counted, by address of the VF; VFs that nobody counted are absent. */
export type CountersView = Readonly<Record<PciAddress, VfCounters>>;

/** How to open the agent's page in a browser. */
export interface PageAccess {
  /** With the token in the part that browsers do not send, `http://127.0.0.1:9474/#token=...`. */
  readonly url: string;
}

/** The agent as its front ends for people see it. */
export interface AgentView {
  /** Asks the drivers. */
  counters(): Promise<CountersView>;
  /** What kubelet says it has given to pods; empty when it cannot be asked. */
  allocations(): Promise<readonly DeviceAllocation[]>;
  /** `undefined` when the page is not served. */
  page(): PageAccess | undefined;
  status(): AgentStatus;
  inventory(): InventoryView;
  plan(): Plan;
  attachments(): readonly AttachmentSummary[];
  /** What a collection would do. */
  garbage(): Promise<GarbageReport>;
  /** Throws `NotFound` when no device has that name. */
  explain(name: string): Explanation;
}

/** What is wrong with a configuration file; the stable shape of `berth lint -o json`. */
export interface ConfigProblem {
  /** Where in the document, `pools[1].capacity`; empty for the whole. */
  readonly path: string;
  /** First line is 1; absent when the file could not be read. */
  readonly line?: number;
  readonly message: string;
  readonly hint?: string;
  /** `error` when absent. Warnings do not keep a file from being used. */
  readonly severity?: 'error' | 'warning';
}

/** The file cannot be used as long as it has the problem; a warning only tells. */
export function isError({ severity = 'error' }: ConfigProblem): boolean {
  return severity === 'error';
}

/** `config.yaml:3: pools[0].nam: unknown key (did you mean "name"?)` */
export function describeProblem(file: string, { path, line, message, hint, severity }: ConfigProblem): string {
  const where = line === undefined ? file : `${file}:${line}`;
  const weight = severity === 'warning' ? 'warning: ' : '';
  return `${where}: ${weight}${path === '' ? '' : `${path}: `}${message}${hint === undefined ? '' : ` (${hint})`}`;
}

/** For `explain` of something that the node does not have. */
export function unknownDevice(name: string): BerthError {
  return new BerthError({
    code: 'NotFound',
    reason: 'device-unknown',
    message: `this node has no device ${JSON.stringify(name)}`,
    remedy: 'Name it by PCI address, interface name, alternative name or slot; `berth inventory` lists them.',
  });
}
