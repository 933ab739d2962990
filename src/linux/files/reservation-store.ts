/**
 * host-local's folders, shared live with the Go plugin. The network's lock is taken in the process
 * first and then by flock without blocking: a blocking flock on the thread pool can deadlock it.
 * A reservation is written under a temporary name and renamed, so that an empty one, which would leak
 * its address, cannot exist.
 */
import {
  closeSync,
  constants,
  ftruncateSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { KeyedMutex } from '../../engine/attachments/locks.ts';
import { interrupted } from '../../engine/cancellation.ts';
import type { Clock } from '../../engine/clock.ts';
import { BerthError } from '../../engine/errors.ts';
import { asIp, formatIp } from '../../engine/ipam/ip.ts';
import type { ReservationFolder, ReservationStore } from '../../engine/ipam/port.ts';
import { asNetworkName, type NetworkName } from '../../engine/values.ts';
import { tryLock, unlock } from '../ffi/file.ts';
import { errnoOf, ioError } from './io-error.ts';
import { makeFolder } from './make-folder.ts';
import { removeFile } from './remove-file.ts';

const LOCK_FILE = 'lock';
const LAST_RESERVED = 'last_reserved_ip.';
/** Never an IP address, so the Go plugin does not take it for a reservation. */
const TEMPORARY = '.berth-';
const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 20;
const FOLDERS_REMEMBERED = 256;
/** Whatever stands in a shared folder: no symbolic link is followed, no FIFO is waited for. */
const READ_ONLY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Contents of reservations by address, as last seen; checked against the folder each time. */
type Contents = Map<string, string | undefined>;

export function createReservationStore(clock: Clock): ReservationStore {
  const mutex = new KeyedMutex('IPAM network');
  const seen = new Map<string, Contents>();
  return {
    isThere: (dataDir, network) => isThere(`${dataDir}/${network}`),
    locked: async (dataDir, network, signal, work) => {
      const folder = openFolder(dataDir, network);
      try {
        return await mutex.run(folder, signal, async () => {
          const lock = openLock(folder);
          try {
            await acquire(lock, folder, clock, signal);
            return await work(new LockedFolder(folder, contentsOf(seen, folder)));
          } finally {
            // Closing gives the lock back as well; asking for it first lets the next one in at once.
            unlock(lock);
            closeSync(lock);
          }
        });
      } catch (error) {
        const expired =
          error instanceof BerthError && error.code === 'Interrupted' && error.reason === 'deadline-exceeded';
        throw expired ? timeout(folder, error) : error;
      }
    },
  };
}

class LockedFolder implements ReservationFolder {
  readonly #folder: string;
  readonly #contents: Contents;
  /** Of what was read, by set. */
  readonly #lastReservedLengths = new Map<number, number>();
  #names: Set<string> | undefined;

  constructor(folder: string, contents: Contents) {
    this.#folder = folder;
    this.#contents = contents;
  }

  names(): ReadonlySet<string> {
    if (this.#names !== undefined) return this.#names;
    const names = new Set<string>();
    for (const name of this.#attempt('listing', () => readdirSync(this.#folder))) {
      if (name.startsWith(TEMPORARY)) removeFile(`${this.#folder}/${name}`);
      else if (this.#contents.has(name)) names.add(name);
      // Asked last: parsing what is no address, or hundreds that are, would be most of an ADD.
      else if (name !== LOCK_FILE && !name.startsWith(LAST_RESERVED) && asIp(name) !== undefined) names.add(name);
    }
    for (const name of this.#contents.keys()) if (!names.has(name)) this.#contents.delete(name);
    this.#names = names;
    return names;
  }

  list(): ReadonlyMap<string, string | undefined> {
    return new Map([...this.names()].map((name) => [name, this.#read(name)]));
  }

  find(content: string): readonly string[] {
    const hits: string[] = [];
    for (const name of this.names()) {
      if (!this.#contents.has(name)) this.#contents.set(name, this.#read(name));
      if (this.#contents.get(name) !== content) continue;
      // Somebody else may have given the address back and taken it again since.
      const now = this.#read(name);
      this.#contents.set(name, now);
      if (now === content) hits.push(name);
    }
    return hits;
  }

  reserve(ip: string, content: string): boolean {
    const path = this.#path(ip);
    // The names are those of this turn of the lock.
    if (this.names().has(ip)) return false;
    const temporary = `${this.#folder}/${TEMPORARY}${process.pid}`;
    try {
      writeFileSync(temporary, content, { encoding: 'utf8', flag: 'wx', mode: 0o600 });
      renameSync(temporary, path);
    } catch (error) {
      removeFile(temporary);
      throw ioError(
        error,
        'reservation-failed',
        `reserving ${path}`,
        `Make room in ${this.#folder}, or make it writable.`,
      );
    }
    this.#names?.add(ip);
    this.#contents.set(ip, content);
    return true;
  }

  release(ip: string, content: string): boolean {
    if (this.#read(ip) !== content) return false;
    this.#attempt(`releasing ${ip} in`, () => unlinkSync(this.#path(ip)));
    this.#names?.delete(ip);
    this.#contents.delete(ip);
    return true;
  }

  removeEmpty(ip: string): boolean {
    const about = lstatSync(this.#path(ip), { throwIfNoEntry: false });
    if (about === undefined || !about.isFile() || about.size > 0) return false;
    this.#attempt(`removing the empty ${ip} in`, () => unlinkSync(this.#path(ip)));
    this.#names?.delete(ip);
    this.#contents.delete(ip);
    return true;
  }

  lastReserved(set: number): string | undefined {
    const text = readFile(`${this.#folder}/${LAST_RESERVED}${set}`) ?? '';
    this.#lastReservedLengths.set(set, Buffer.byteLength(text));
    return trimmed(text);
  }

  setLastReserved(set: number, ip: string): void {
    this.#attempt(`writing ${LAST_RESERVED}${set} in`, () => {
      const fd = openSync(
        `${this.#folder}/${LAST_RESERVED}${set}`,
        constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW,
        0o600,
      );
      try {
        // Not emptied first: ext4 writes a file that was emptied to disk when it is closed (auto_da_alloc), half a
        // millisecond. Torn by a crash it only moves where the next search begins.
        const lengthBytes = writeSync(fd, ip, 0);
        if (lengthBytes < (this.#lastReservedLengths.get(set) ?? Number.POSITIVE_INFINITY))
          ftruncateSync(fd, lengthBytes);
        this.#lastReservedLengths.set(set, lengthBytes);
      } finally {
        closeSync(fd);
      }
    });
  }

  #read(ip: string): string | undefined {
    return readText(this.#path(ip));
  }

  /** Only a canonical address is a file's name, so no name leads out of the folder. */
  #path(ip: string): string {
    const parsed = asIp(ip);
    if (parsed === undefined || formatIp(parsed) !== ip) {
      throw new BerthError({
        code: 'Internal',
        reason: 'reservation-name-invalid',
        message: `${JSON.stringify(ip)} is no canonical IP address`,
      });
    }
    return `${this.#folder}/${ip}`;
  }

  #attempt<T>(what: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw ioError(
        error,
        'reservation-failed',
        `${what} ${this.#folder}`,
        `Make room in ${this.#folder}, or make it writable.`,
      );
    }
  }
}

/** The text of a regular file, without the white space around it as Go reads it; `undefined` when missing, empty or something else. */
function readText(path: string): string | undefined {
  return trimmed(readFile(path) ?? '');
}

function trimmed(text: string): string | undefined {
  const rest = text.trim();
  return rest === '' ? undefined : rest;
}

/** `undefined` when missing or no regular file. */
function readFile(path: string): string | undefined {
  try {
    return readFileSync(path, { encoding: 'utf8', flag: READ_ONLY });
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ELOOP' || errno === 'EISDIR') return undefined;
    throw ioError(error, 'reservation-failed', `reading ${path}`, 'Make the file readable.');
  }
}

/** Also where that cannot be told: opening it says why. */
function isThere(folder: string): boolean {
  try {
    lstatSync(folder);
    return true;
  } catch (error) {
    return errnoOf(error) !== 'ENOENT';
  }
}

/** `<dataDir>/<network>`, created when missing; a symbolic link in the network's place is refused. */
function openFolder(dataDir: string, network: NetworkName): string {
  if (!dataDir.startsWith('/')) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'data-dir-invalid',
      message: `dataDir ${JSON.stringify(dataDir)} is not an absolute path`,
      remedy: 'Leave dataDir out, or write an absolute path.',
    });
  }
  if (asNetworkName(network) === undefined) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'invalid-network-name',
      message: `${JSON.stringify(network)} is not a valid network name`,
    });
  }
  const folder = `${dataDir}/${network}`;
  try {
    let found = lstatSync(folder, { throwIfNoEntry: false });
    if (found === undefined) {
      makeFolder(folder, 0o755);
      found = lstatSync(folder);
    }
    if (found.isDirectory()) return folder;
  } catch (error) {
    throw ioError(error, 'reservation-failed', `opening ${folder}`, 'Make the folder writable.');
  }
  throw new BerthError({
    code: 'Denied',
    reason: 'data-dir-is-link',
    message: `${folder} is not a folder but a link`,
    remedy: 'Point dataDir at the real place.',
  });
}

function openLock(folder: string): number {
  try {
    return openSync(`${folder}/${LOCK_FILE}`, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw ioError(error, 'reservation-failed', `opening ${folder}/${LOCK_FILE}`, 'Make the folder writable.');
  }
}

async function acquire(lock: number, folder: string, clock: Clock, signal: AbortSignal): Promise<void> {
  for (let pauseMs = FIRST_PAUSE_MS; !tryLock(lock); pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    if (signal.aborted) throw interrupted(signal, `waiting for the lock of ${folder}`);
    await clock.delay(pauseMs, signal);
  }
}

function timeout(folder: string, cause: unknown): BerthError {
  return new BerthError({
    code: 'Busy',
    reason: 'ipam-lock-timeout',
    message: `the lock of ${folder} was not free in time`,
    remedy: 'Another IPAM plugin holds it; look with `fuser` who does.',
    cause,
  });
}

function contentsOf(seen: Map<string, Contents>, folder: string): Contents {
  const known = seen.get(folder);
  if (known !== undefined) return known;
  if (seen.size >= FOLDERS_REMEMBERED) seen.clear();
  const contents: Contents = new Map();
  seen.set(folder, contents);
  return contents;
}
