/**
 * host-local's folder on disk, shared live with the Go plugin: `<dataDir>/<network>/<ip>` holds
 * `<containerID>\r\n<ifname>`, `last_reserved_ip.<set>` the last address, `lock` is flocked.
 * Implemented by `src/linux/files`.
 */
import type { NetworkName } from '../values.ts';

export interface ReservationStore {
  /**
   * Runs `work` while the network's lock is held: first a mutex in the process, then LOCK_EX|LOCK_NB
   * with back-off until the signal aborts (`Busy`, reason `ipam-lock-timeout`). `work` is given the
   * opened folder and must not keep it.
   */
  locked<T>(dataDir: string, network: NetworkName, signal: AbortSignal, work: (folder: ReservationFolder) => Promise<T> | T): Promise<T>;
}

/** Synchronous on purpose: a few small files on a local disk, and the lock is held meanwhile. */
export interface ReservationFolder {
  /** Reserved addresses with their files' content (`undefined` content: the file is empty or unreadable). */
  list(): ReadonlyMap<string, string | undefined>;
  /** Creates the address's file with its content atomically (written under a temporary name, then linked). False when it exists. */
  reserve(ip: string, content: string): boolean;
  /** Removes the file if its content is still `content`. False when it is not. */
  release(ip: string, content: string): boolean;
  lastReserved(set: number): string | undefined;
  setLastReserved(set: number, ip: string): void;
}
