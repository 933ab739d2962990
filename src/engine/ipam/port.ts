/**
 * What addressing needs from outside: host-local's folders, notes of our own reservations, and a
 * place where IPAM programs can be executed.
 *
 * host-local's folder on disk, shared live with the Go plugin: `<dataDir>/<network>/<ip>` holds
 * `<containerID>\r\n<ifname>`, `last_reserved_ip.<set>` the last address, `lock` is flocked.
 * Implemented by `src/linux/files`.
 */
import type { NetworkName } from '../values.ts';
import type { AddressPlace, IpamOwner } from './model.ts';

export interface ReservationStore {
  /** False when nobody ever reserved anything there, so that nothing has to be looked for. */
  isThere(dataDir: string, network: NetworkName): boolean;
  /**
   * Runs `work` while the network's lock is held: first a mutex in the process, then LOCK_EX|LOCK_NB
   * with back-off until the signal aborts (at its deadline `Busy`, reason `ipam-lock-timeout`, else `Interrupted`). `work` is given the
   * opened folder, which is made when there is none, and must not keep it.
   */
  locked<T>(
    dataDir: string,
    network: NetworkName,
    signal: AbortSignal,
    work: (folder: ReservationFolder) => Promise<T> | T,
  ): Promise<T>;
}

/** Synchronous on purpose: a few small files on a local disk, and the lock is held meanwhile. */
export interface ReservationFolder {
  /** Reserved addresses with their files' content (`undefined` content: the file is empty or unreadable). */
  list(): ReadonlyMap<string, string | undefined>;
  /** Names of the reserved addresses' files; cheap, reads no content. */
  names(): ReadonlySet<string>;
  /** Addresses whose file holds exactly `content`. Cheap after the first time: contents seen before are remembered, and hits are read again. */
  find(content: string): readonly string[];
  /** Creates the address's file with its content atomically (written under a temporary name, then renamed). False when it exists. */
  reserve(ip: string, content: string): boolean;
  /** Removes the file if its content is still `content`. False when it is not. */
  release(ip: string, content: string): boolean;
  /**
   * Removes the address's file if it is empty: whoever makes one writes it while it holds the lock, so
   * that an empty one is of a plugin that was killed in between and nobody's. False for all others.
   */
  removeEmpty(ip: string): boolean;
  lastReserved(set: number): string | undefined;
  setLastReserved(set: number, ip: string): void;
}

/** A reservation of ours, kept on disk so that it can be collected after a reboot, when the records are gone. */
export interface OwnedAddress extends IpamOwner {
  readonly bootId: string;
  readonly place: AddressPlace;
}

/** Notes of our own reservations below `/var/lib/berth`; only what is noted is ever collected. */
export interface OwnedAddresses {
  note(owned: OwnedAddress): void;
  /** Removes the note; success when there is none. */
  forget(owner: IpamOwner): void;
  /** Every note, and the names of files that are none. */
  list(): { readonly notes: readonly OwnedAddress[]; readonly unreadable: readonly string[] };
}

/** One execution of an IPAM program (CNI specification, "delegation"). */
export interface IpamCall {
  readonly command: 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS';
  /** A name to look up in CNI_PATH. */
  readonly program: string;
  readonly stdin: string;
  /** `CNI_*` variables, which replace the place's own of the same names; `CNI_COMMAND` is set by `command`. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where it was found before; only places outside the runtime look there. */
  readonly foundAt?: string;
  readonly timeoutMs: number;
}

/** How a program ended; whatever it is, it runs no more, nor does what it started. */
export type IpamEnd =
  | { readonly kind: 'exited'; readonly status: number }
  | { readonly kind: 'signalled'; readonly signal: number }
  | { readonly kind: 'not-found' }
  /** It could not be started. */
  | { readonly kind: 'refused'; readonly errno: number }
  | { readonly kind: 'timed-out' }
  /** It wrote more than a mebibyte. */
  | { readonly kind: 'too-long' }
  | { readonly kind: 'cancelled' };

export interface IpamOutcome {
  readonly end: IpamEnd;
  /** Where the program was found; empty when it was not. */
  readonly path: string;
  readonly stdout: string;
  /** The first 4 KiB. */
  readonly stderr: string;
}

/**
 * A place to execute IPAM programs in: the runtime's own, through the connected shim, or the agent's.
 * `execute` resolves however the program ended, and throws `Interrupted` (`ipam-place-gone`) when the
 * place itself is not there any more; a program that ran there was killed with it. When the signal
 * aborts the program is killed, and the outcome says so.
 */
export interface IpamPrograms {
  execute(call: IpamCall, signal: AbortSignal): Promise<IpamOutcome>;
}
