/**
 * Attachment records as files: `<folder>/<containerid>@<ifname>.json`, the folder on tmpfs and 0700.
 * Synchronous: the files are some hundred bytes in memory. No fsync: a reboot ends every sandbox
 * anyway, and a killed process loses nothing that it wrote.
 *
 * A record that stays within its one page is changed in place, which the kernel does whole or not at
 * all: it looks for a kill between pages only (generic_perform_write, mm/filemap.c). Any other, and the
 * first of each, is written beside it and renamed.
 */
import {
  closeSync,
  constants,
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
    for (const name of readdirSync(folder)) if (name.startsWith(TEMPORARY)) rmSync(`${folder}/${name}`);
  } catch (error) {
    failed(error, `preparing ${folder}`);
  }
  /** Bytes of what this store wrote and has not removed, by file name. */
  const written = new Map<string, number>();
  const writeWhole = (name: string, bytes: Buffer): void => {
    const temporary = `${folder}/${TEMPORARY}${name}`;
    try {
      writeFileSync(temporary, bytes, { mode: 0o600 });
      renameSync(temporary, `${folder}/${name}`);
    } catch (error) {
      removeFile(temporary);
      throw error;
    }
    written.set(name, bytes.length);
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
        const before = written.get(name);
        const bytes = Buffer.from(text);
        const isInPlace = before !== undefined && Math.max(before, bytes.length) <= PAGE_BYTES;
        if (!isInPlace || !writeInPlace(`${folder}/${name}`, bytes, before)) writeWhole(name, bytes);
        else written.set(name, Math.max(before, bytes.length));
      } catch (error) {
        failed(error, `writing ${folder}/${name}`);
      }
    },
    remove: (key) => {
      try {
        written.delete(fileName(key));
        removeFile(`${folder}/${fileName(key)}`);
      } catch (error) {
        failed(error, `removing ${folder}/${fileName(key)}`);
      }
    },
  };
}

/** False when the file is gone or took only a part, so that it has to be written whole. A shorter text is filled up with white space, because cutting the file off would be a second step. */
function writeInPlace(path: string, bytes: Buffer, beforeBytes: number): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
  try {
    const filler = Buffer.alloc(Math.max(0, beforeBytes - bytes.length), ' ');
    const whole = Buffer.concat([bytes, filler]);
    return writeSync(descriptor, whole, 0, whole.length, 0) === whole.length;
  } finally {
    closeSync(descriptor);
  }
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
