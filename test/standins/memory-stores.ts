/** The engine's stores in memory: records, host-local folders, notes of own addresses. They outlive an engine, as files do. */

import { KeyedMutex } from '../../src/engine/attachments/locks.ts';
import type { AttachmentKey } from '../../src/engine/attachments/model.ts';
import type { RecordStore, StoredRecord } from '../../src/engine/attachments/record-store.ts';
import { BerthError } from '../../src/engine/errors.ts';
import type { IpamOwner } from '../../src/engine/ipam/model.ts';
import type { OwnedAddress, OwnedAddresses, ReservationFolder, ReservationStore } from '../../src/engine/ipam/port.ts';
import type { NetworkName } from '../../src/engine/values.ts';

export class MemoryRecordStore implements RecordStore {
  readonly files = new Map<string, { readonly key: AttachmentKey; readonly text: string }>();
  /** Numbers of the writes (and removals) that fail, from 1. */
  readonly failing = new Set<number>();
  #changes = 0;

  list(): readonly StoredRecord[] {
    return [...this.files].map(([name, file]) => ({ name, ...file }));
  }

  write(key: AttachmentKey, text: string): void {
    this.#count();
    this.files.set(`${key.containerId}@${key.ifname}.json`, { key, text });
  }

  remove(key: AttachmentKey): void {
    this.#count();
    this.files.delete(`${key.containerId}@${key.ifname}.json`);
  }

  #count(): void {
    this.#changes += 1;
    if (this.failing.has(this.#changes))
      throw new BerthError({ code: 'Io', reason: 'record-write-failed', message: 'no space left', errno: 'ENOSPC' });
  }
}

export class MemoryReservations implements ReservationStore {
  readonly folders = new Map<string, MemoryFolder>();
  readonly #mutex = new KeyedMutex('IPAM network');

  isThere(dataDir: string, network: NetworkName): boolean {
    return this.folders.has(`${dataDir}/${network}`);
  }

  async locked<T>(
    dataDir: string,
    network: NetworkName,
    signal: AbortSignal,
    work: (folder: ReservationFolder) => Promise<T> | T,
  ): Promise<T> {
    const folder = this.folder(`${dataDir}/${network}`);
    return this.#mutex.run(`${dataDir}/${network}`, signal, async () => work(folder));
  }

  folder(path: string): MemoryFolder {
    const folder = this.folders.get(path) ?? new MemoryFolder();
    this.folders.set(path, folder);
    return folder;
  }

  /** Every reserved address of every folder. */
  reserved(): string[] {
    return [...this.folders.values()].flatMap((folder) => [...folder.files.keys()]);
  }
}

export class MemoryFolder implements ReservationFolder {
  readonly files = new Map<string, string>();
  readonly last = new Map<number, string>();

  list(): ReadonlyMap<string, string | undefined> {
    return this.files;
  }

  names(): ReadonlySet<string> {
    return new Set(this.files.keys());
  }

  find(content: string): readonly string[] {
    return [...this.files].filter(([, text]) => text === content).map(([ip]) => ip);
  }

  reserve(ip: string, content: string): boolean {
    if (this.files.has(ip)) return false;
    this.files.set(ip, content);
    return true;
  }

  release(ip: string, content: string): boolean {
    return this.files.get(ip) === content && this.files.delete(ip);
  }

  removeEmpty(ip: string): boolean {
    return this.files.get(ip) === '' && this.files.delete(ip);
  }

  lastReserved(set: number): string | undefined {
    return this.last.get(set);
  }

  setLastReserved(set: number, ip: string): void {
    this.last.set(set, ip);
  }
}

export class MemoryOwnedAddresses implements OwnedAddresses {
  readonly notes = new Map<string, OwnedAddress>();

  note(owned: OwnedAddress): void {
    this.notes.set(`${owned.containerId}@${owned.ifname}`, owned);
  }

  forget(owner: IpamOwner): void {
    this.notes.delete(`${owner.containerId}@${owner.ifname}`);
  }

  list(): { notes: readonly OwnedAddress[]; unreadable: readonly string[] } {
    return { notes: [...this.notes.values()], unreadable: [] };
  }
}
