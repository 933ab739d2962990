/**
 * What every kind of link does, in the order in which it happens. A kind is one file with these
 * exports in this order; `index.ts` is the list of them. Drivers change the kernel and nothing
 * else: records, addresses and locks belong to `src/engine/attachments`.
 */
import type { z } from 'zod';
import type { AttachmentKey, AttachResult, LinkKind, LinkSpec } from '../attachments/model.ts';
import type { Kernel, Link, MacvlanMode, Namespace, PciFunction } from '../attachments/port.ts';
import type { Clock } from '../clock.ts';
import type { Inventory } from '../inventory/model.ts';
import type { IpamResult } from '../ipam/model.ts';
import type { Logger } from '../logger.ts';
import type { IfName, MacAddress, PciAddress } from '../values.ts';
import type { HostDeviceState } from './host-device.ts';
import type { IpvlanState } from './ipvlan.ts';
import type { MacvlanState } from './macvlan.ts';
import type { MacvtapState } from './macvtap.ts';
import type { VfState } from './vf-state.ts';
import type { VlanState } from './vlan.ts';

export interface LinkContext {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly log: Logger;
  /** What the node has, for uplinks that are chosen by what they are; absent where nobody keeps one. */
  readonly inventory?: (() => Inventory) | undefined;
  /** A slot by an id that does not tell its uplink (`<name>Mvp<n>`), as the pools know it. */
  readonly slotNamed?:
    | ((id: string) => { readonly uplink: string; readonly mode?: MacvlanMode } | undefined)
    | undefined;
  /** The device of the record whose configuration called it so: while it is in a sandbox, nobody else can tell. */
  readonly deviceNamed?: ((named: string) => string | undefined) | undefined;
}

/** The device an attachment is about, found but not looked at closely. */
export interface LinkTarget {
  /** PCI address of a VF, or the uplink's interface name. */
  readonly device: string;
  /** Operations with the same key exclude each other; absent when they need not. */
  readonly lockKey?: string;
  /** True when only one attachment can have the device: its baseline is one record's. */
  readonly exclusive: boolean;
  readonly uplink?: Link;
  readonly pci?: PciFunction;
}

/** Another attachment's link, for what excludes what on one uplink. */
export interface OtherLink {
  readonly key: AttachmentKey;
  readonly state: LinkState;
}

export interface PrepareInput<Spec> {
  readonly spec: Spec;
  readonly target: LinkTarget;
  readonly sandbox: Namespace;
  readonly ifname: IfName;
  readonly marks: OwnershipMarks;
  readonly others: readonly OtherLink[];
  readonly signal: AbortSignal;
}

/** How a link of ours is told from anybody else's; derived from the attachment's key, so known before the link exists. */
export interface OwnershipMarks {
  readonly tempName: IfName;
  readonly alias: string;
}

export interface AttachInput<Spec, State> {
  readonly spec: Spec;
  readonly state: State;
  readonly sandbox: Namespace;
  readonly ifname: IfName;
  /** Reserves the addresses, when first asked; whoever asks waits for the answer, whatever else fails. */
  readonly addressing: () => Promise<IpamResult>;
  readonly signal: AbortSignal;
}

/** What became of the link. `index` is the sandbox's, absent without a netdev. */
export interface LinkOutcome {
  readonly hasNetdev: boolean;
  readonly index?: number;
  readonly mac?: MacAddress;
  readonly mtu?: number;
  readonly pci?: PciAddress;
  /** The kernel was told to announce IPv6 addresses by itself; absent where /proc/sys is read-only, or there are none. */
  readonly ndiscNotify?: true;
}

export interface LinkCheckInput<State> {
  readonly state: State;
  readonly sandbox: Namespace;
  readonly ifname: IfName;
  readonly expected: Pick<AttachResult, 'mac' | 'mtu' | 'addresses' | 'routes'> & Pick<LinkOutcome, 'ndiscNotify'>;
}

/** What is known about an attachment's sandbox at the time of a restore. */
export type SandboxView =
  | { readonly state: 'open'; readonly namespace: Namespace }
  /** Proven: its nsid is free, or its path is another namespace now. */
  | { readonly state: 'dead'; readonly proof: string }
  | { readonly state: 'unknown'; readonly why: string };

export interface RestoreInput<State> {
  readonly state: State;
  /** What the link was called in the sandbox; somebody may have renamed it. */
  readonly ifname: IfName;
  readonly sandbox: SandboxView;
  /**
   * `runtime`: the runtime asked (DEL), its word that the sandbox is gone counts for links that die
   * with it. `proof`: collection and recovery, which must be certain.
   */
  readonly authority: 'runtime' | 'proof';
  /** The links of all other attachments, for what is shared with them. */
  others(): readonly OtherLink[];
  readonly signal: AbortSignal;
}

export interface RestoreOutcome {
  /** The sandbox certainly has no link of this attachment any more, so its addresses are free. */
  readonly detached: boolean;
  /** What does not hold yet, one sentence each; empty when everything is as it was. */
  readonly problems: readonly string[];
}

export interface LinkDriver<Spec, State> {
  /** The part of a record that belongs to this kind; parsed when records are loaded. */
  readonly state: z.ZodType<State>;
  /** Finds the device. Reads only. Throws `NotFound`, `Invalid`. */
  resolve(context: LinkContext, spec: Spec, sandbox: Namespace): Promise<LinkTarget>;
  /** Checks everything that can be checked and takes the baseline, under the device's lock. Reads only. */
  prepare(context: LinkContext, input: PrepareInput<Spec>): Promise<State>;
  /** Puts the link into the sandbox, addressed and up. On an error the caller runs `restore`. */
  attach(context: LinkContext, input: AttachInput<Spec, State>): Promise<LinkOutcome>;
  /** What differs from what ADD promised, one sentence each; empty when all holds. Reads only. */
  check(context: LinkContext, input: LinkCheckInput<State>): Promise<readonly string[]>;
  /** Brings everything back to how it was, from any state, as often as wanted. Throws only on bugs. */
  restore(context: LinkContext, input: RestoreInput<State>): Promise<RestoreOutcome>;
}

/** Spec and recorded state of each kind. */
export interface LinkKinds {
  vf: { spec: Extract<LinkSpec, { kind: 'vf' }>; state: VfState };
  macvlan: { spec: Extract<LinkSpec, { kind: 'macvlan' }>; state: MacvlanState };
  ipvlan: { spec: Extract<LinkSpec, { kind: 'ipvlan' }>; state: IpvlanState };
  'host-device': { spec: Extract<LinkSpec, { kind: 'host-device' }>; state: HostDeviceState };
  macvtap: { spec: Extract<LinkSpec, { kind: 'macvtap' }>; state: MacvtapState };
  vlan: { spec: Extract<LinkSpec, { kind: 'vlan' }>; state: VlanState };
}

export type LinkState = LinkKinds[LinkKind]['state'];
