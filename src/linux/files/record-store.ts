/**
 * Attachment records as files: `<folder>/<containerid>@<ifname>.json`, the folder on tmpfs and 0700.
 * Synchronous: the files are some hundred bytes in memory. No fsync: a reboot ends every sandbox
 * anyway, and a killed process loses nothing that it wrote.
 *
 * A record that fits into one page is written in place, which the kernel does whole or not at all: it
 * looks for a kill between pages only (generic_perform_write, mm/filemap.c). So an empty file is the
 * first record of somebody who was killed before doing anything that it was to tell. Any other record is
 * written beside the file and renamed. The first write leaves the file open for the second, because an
 * ADD writes two, and a closed file is one more thing that the move of a netdev waits for (rcu_barrier).
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import type { AttachmentKey } from '../../engine/attachments/model.ts';
import type { RecordStore, StoredRecord } from '../../engine/attachments/record-store.ts';
import { asContainerId, asIfName } from '../../engine/values.ts';
import { errnoOf, ioError } from './io-error.ts';
import { makeFolder } from './make-folder.ts';
import { removeFile } from './remove-file.ts';

const SUFFIX = '.json';
/** Begins with a dot, which no container id does: an unfinished write is never taken for a record. */
const TEMPORARY = '.new-';
/** The smallest page there is. */
const PAGE_BYTES = 4096;

/** Creates the folder when it is missing. Throws `Io` (`record-write-failed`). */
export function createRecordStore(folder: string): RecordStore {
  const failed = (error: unknown, what: string): never => {
    throw ioError(error, 'record-write-failed', what, `Make room in ${folder}, or make it writable.`);
  };
  try {
    makeFolder(folder, 0o700);
    for (const name of readdirSync(folder)) {
      const path = `${folder}/${name}`;
      if (name.startsWith(TEMPORARY)) rmSync(path);
      else if (keyOf(name) !== undefined && isEmptyFile(path)) removeFile(path);
    }
  } catch (error) {
    failed(error, `preparing ${folder}`);
  }
  /** By file name. */
  const written = new Map<string, Written>();
  const forget = (name: string): Written | undefined => {
    const known = written.get(name);
    written.delete(name);
    return known;
  };
  return {
    list: () => {
      try {
        return readdirSync(folder)
          .filter((name) => !name.startsWith(TEMPORARY))
          .map((name) => readStored(folder, name));
      } catch (error) {
        throw ioError(error, 'record-read-failed', `listing ${folder}`, 'Make the folder readable.');
      }
    },
    write: (key, text) => {
      const name = fileName(key);
      try {
        written.set(name, writeRecord(folder, name, Buffer.from(text), forget(name)));
      } catch (error) {
        failed(error, `writing ${folder}/${name}`);
      }
    },
    remove: (key) => {
      try {
        const descriptor = forget(fileName(key))?.descriptor;
        if (descriptor !== undefined) closeSync(descriptor);
        removeFile(`${folder}/${fileName(key)}`);
      } catch (error) {
        failed(error, `removing ${folder}/${fileName(key)}`);
      }
    },
  };
}

/** A file as this store left it. */
interface Written {
  readonly bytes: number;
  /** Open for the second write. */
  readonly descriptor?: number;
}

function writeRecord(folder: string, name: string, bytes: Buffer, before: Written | undefined): Written {
  const path = `${folder}/${name}`;
  const size = Math.max(before?.bytes ?? 0, bytes.length);
  const inPlace = before === undefined ? writeFirst : writeAgain;
  if (size <= PAGE_BYTES) return inPlace(path, bytes, size, before?.descriptor) ?? writeWhole(folder, name, bytes);
  if (before?.descriptor !== undefined) closeSync(before.descriptor);
  return writeWhole(folder, name, bytes);
}

/** `undefined` when there is a file of that name already, or there was room for a part only. */
function writeFirst(path: string, bytes: Buffer): Written | undefined {
  const descriptor = openUnless('EEXIST', path, constants.O_CREAT | constants.O_EXCL);
  if (descriptor === undefined) return undefined;
  let isWhole = false;
  try {
    isWhole = writeSync(descriptor, bytes, 0, bytes.length, 0) === bytes.length;
    return isWhole ? { bytes: bytes.length, descriptor } : undefined;
  } finally {
    if (!isWhole) {
      closeSync(descriptor);
      removeFile(path);
    }
  }
}

/** `undefined` when the file is gone, or took a part only. A shorter text is filled up with white space, because cutting the file off would be a second step. */
function writeAgain(path: string, bytes: Buffer, size: number, open: number | undefined): Written | undefined {
  const descriptor = open ?? openUnless('ENOENT', path, 0);
  if (descriptor === undefined) return undefined;
  try {
    if (open !== undefined && fstatSync(open).nlink === 0) return undefined;
    const whole = Buffer.concat([bytes, Buffer.alloc(size - bytes.length, ' ')]);
    return writeSync(descriptor, whole, 0, size, 0) === size ? { bytes: size } : undefined;
  } finally {
    closeSync(descriptor);
  }
}

function writeWhole(folder: string, name: string, bytes: Buffer): Written {
  const temporary = `${folder}/${TEMPORARY}${name}`;
  try {
    writeFileSync(temporary, bytes, { mode: 0o600 });
    renameSync(temporary, `${folder}/${name}`);
  } catch (error) {
    removeFile(temporary);
    throw error;
  }
  return { bytes: bytes.length };
}

/** Opens for writing; `undefined` on the errno. */
function openUnless(errno: 'EEXIST' | 'ENOENT', path: string, flags: number): number | undefined {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW | flags, 0o600);
  } catch (error) {
    if (errnoOf(error) === errno) return undefined;
    throw error;
  }
}

function isEmptyFile(path: string): boolean {
  const file = lstatSync(path, { throwIfNoEntry: false });
  return file?.isFile() === true && file.size === 0;
}

function fileName(key: AttachmentKey): string {
  return `${key.containerId}@${key.ifname}${SUFFIX}`;
}

function keyOf(name: string): AttachmentKey | undefined {
  if (!name.endsWith(SUFFIX)) return undefined;
  // An interface name may hold an "@", a container id may not: split at the first.
  const cut = name.indexOf('@');
  const containerId = cut < 0 ? undefined : asContainerId(name.slice(0, cut));
  const ifname = asIfName(name.slice(cut + 1, -SUFFIX.length));
  return containerId === undefined || ifname === undefined ? undefined : { containerId, ifname };
}

function readStored(folder: string, name: string): StoredRecord {
  const key = keyOf(name);
  const base = { name, ...(key === undefined ? {} : { key }) };
  if (key === undefined) return { ...base, problem: 'its name is not <containerid>@<interface>.json' };
  try {
    return { ...base, text: readFileSync(`${folder}/${name}`, 'utf8') };
  } catch (error) {
    return { ...base, problem: `it cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
}
