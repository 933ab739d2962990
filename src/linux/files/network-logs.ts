/**
 * Log files that authors of network definitions name. The agent is root and they may not be, so a
 * file is only ever one directly in the folder that the administrator chose: no link is followed, no
 * pipe or device is opened, nothing with a second name is written to, and room and number are
 * bounded. It writes in the background and throws nothing: a log is no reason to fail a call.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, rename } from 'node:fs/promises';
import { basename, join, normalize } from 'node:path';
import type { Logger } from '../../engine/logger.ts';

/** Then the file becomes `<name>.1`, in the place of the one before. */
const MOST_BYTES = 16 << 20;
/** No more files than this are made in the folder. */
const MOST_FILES = 256;
/** Lines that wait for the disk; later ones are dropped. */
const MOST_WAITING = 1024;
/** Names that are no option of anything, and hidden from nobody. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$/;

const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export interface NetworkLogs {
  /** Appends a line, when the path is one directly in the folder; otherwise it says once why not. */
  append(path: string, line: string): void;
  /** Resolves when everything that was appended is written, or given up. */
  settled(): Promise<void>;
}

/** `folder` is asked each time; `undefined` allows no file at all. */
export function createNetworkLogs(folder: () => string | undefined, log: Logger): NetworkLogs {
  const told = new Set<string>();
  const tell = (path: string, why: string): void => {
    if (told.has(path) || told.size >= MOST_FILES) return;
    told.add(path);
    log.warn({ logFile: path, why }, 'a network definition has a log file that is not written');
  };
  let waiting = 0;
  let last: Promise<void> = Promise.resolve();
  return {
    append: (path, line) => {
      const allowed = folder();
      if (allowed === undefined) return tell(path, 'cni.logDir is not configured');
      const name = basename(path);
      if (normalize(path) !== join(allowed, name) || !NAME.test(name))
        return tell(path, `it is not a file directly in ${allowed}`);
      if (waiting >= MOST_WAITING) return tell(path, 'the disk is too slow');
      waiting += 1;
      last = last
        .then(() => write(allowed, name, line))
        .catch((error: unknown) => tell(path, error instanceof Error ? error.message : String(error)))
        .finally(() => {
          waiting -= 1;
        });
    },
    settled: () => last,
  };
}

async function write(folder: string, name: string, line: string): Promise<void> {
  const path = join(folder, name);
  let handle = await openOrMake(folder, path);
  try {
    if ((await sizeOf(handle)) + line.length > MOST_BYTES) {
      await rename(path, `${path}.1`);
      await handle.close();
      handle = await openOrMake(folder, path);
      await sizeOf(handle);
    }
    await handle.write(line);
  } finally {
    await handle.close();
  }
}

async function openOrMake(folder: string, path: string): Promise<FileHandle> {
  try {
    return await open(path, FLAGS);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  if ((await readdir(folder)).length >= MOST_FILES) throw new Error(`${folder} has ${MOST_FILES} files already`);
  return open(path, FLAGS | constants.O_CREAT, 0o600);
}

/** Throws for what is no plain file with one name: what a hard link shares is somebody else's. */
async function sizeOf(handle: FileHandle): Promise<number> {
  const facts = await handle.stat();
  if (!facts.isFile()) throw new Error('it is no plain file');
  if (facts.nlink !== 1) throw new Error(`it has ${facts.nlink} names (hard links)`);
  return facts.size;
}
