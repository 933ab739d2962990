/** What the engine needs from the node in order to keep an inventory. Implemented by `src/linux`. */
import type { PciAddress } from '../values.ts';
import type { Inventory, LinkCounters, VfCounters, VfSettings } from './model.ts';

/**
 * Reads the node. One implementation serves the live kernel and a captured tree: roots are
 * injected. Reads never hold the event loop for more than a few milliseconds at a time.
 */
export interface NodeReader {
  /** Everything, from nothing. What vanished while being read is left out; what failed is in `unread`. */
  read(signal?: AbortSignal): Promise<Inventory>;
  /**
   * Reads again only what a hint names, on top of `previous`, and answers a new inventory that
   * shares the unchanged parts with it (so that `===` tells what changed).
   */
  reread(previous: Inventory, hints: readonly ChangeHint[], signal?: AbortSignal): Promise<Inventory>;
  /**
   * Whom to tell that something which a read did not wait for can be had now: what to read again.
   * Absent in readers that wait for everything.
   */
  onLate?(listener: (hint: ChangeHint) => void): void;
  /**
   * PF-side settings of a PF's VFs by index, which `reread` leaves as they were: they cost 1 to 2 ms
   * for each VF on some NICs. `none`: the driver lists no VFs; `undefined`: unknown. Absent in
   * readers that read settings with everything else.
   */
  vfSettings?(pf: PfRef): Promise<VfSettingsAnswer>;
  /**
   * What the PF counted of its VFs, by index; only when somebody asks, since drivers ask firmware for
   * it. `undefined`: unknown. Absent in readers that cannot.
   */
  vfCounters?(pf: PfRef): Promise<VfCountersAnswer>;
  /** What interfaces of the node counted themselves, by name; those that are gone are absent. Absent in readers that cannot. */
  linkCounters?(links: readonly PfRef[]): Promise<ReadonlyMap<string, LinkCounters>>;
}

/** By VF index. A driver that does not count answers zeros, which cannot be told from silence. */
export type VfCountersAnswer = ReadonlyMap<number, VfCounters> | undefined;

/** `none`: the driver lists no VFs; `undefined`: unknown. */
export type VfSettingsAnswer = VfSettingsList | 'none' | undefined;

/** PF-side settings as far as the kernel listed them. */
export interface VfSettingsList {
  /** By VF index. */
  readonly settings: ReadonlyMap<number, VfSettings>;
  /** VFs that the kernel has and could not list: a list ends at 64 KiB. */
  readonly missing: readonly number[];
}

/** A netdev of the node; a PF's in most cases. */
export interface PfRef {
  readonly ifindex: number;
  readonly ifname: string;
}

/** What the kernel said has changed; only a hint of what to read again. */
export type ChangeHint =
  | {
      readonly kind: 'pci';
      readonly address: PciAddress;
      readonly action: 'add' | 'remove' | 'bind' | 'unbind' | 'change';
      /** Recovery from a PCI error (AER, EEH): it begins, succeeded, or failed and leaves the function dead. */
      readonly recovery?: 'begun' | 'over' | 'failed';
    }
  | {
      readonly kind: 'link';
      readonly ifindex: number;
      readonly ifname: string;
      readonly action: 'new' | 'del';
      /** The function behind it, where the kernel tells. */
      readonly device?: PciAddress;
    }
  | { readonly kind: 'address'; readonly ifindex: number }
  | { readonly kind: 'route' }
  | { readonly kind: 'module'; readonly subsystem: string; readonly devpath: string }
  /** Events were lost (ENOBUFS) or the slow scan is due: read everything. */
  | { readonly kind: 'all'; readonly why: string };

/** Kernel notifications: uevents (from the kernel, nl_pid 0, only) and rtnetlink groups. */
export interface ChangeSource {
  /** Calls `onHint` for each; never throws into the caller. Returns a function that stops and closes everything. */
  start(onHint: (hint: ChangeHint) => void, onNamespaceGone: (nsid: number) => void): Promise<() => Promise<void>>;
}
