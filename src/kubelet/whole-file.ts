/** Files that readers see either as they were or as they are meant: written under another name first. */
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BerthError } from '../engine/errors.ts';

/** So that no two files have one name before they are whole. */
let written = 0;

/**
 * Writes the file, making its folder where it is missing. The name it has meanwhile begins with a
 * dot and does not have the file's ending, so that who reads the folder passes it over.
 * Synchronous: some kilobytes on a tmpfs, and a pod's admission waits for them.
 * @throws BerthError `Io`, `file-not-written`; nothing is left behind then.
 */
export function writeWhole(path: string, content: string, mode: number): void {
  written += 1;
  const temporary = join(dirname(path), `.berth-${process.pid}-${written}.tmp`);
  try {
    const fd = openNew(temporary, mode);
    try {
      writeFileSync(fd, content);
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw notWritten(path, error);
  }
}

function openNew(path: string, mode: number): number {
  try {
    return openSync(path, 'wx', mode);
  } catch (error) {
    if (!isMissing(error)) throw error;
    mkdirSync(dirname(path), { recursive: true });
    return openSync(path, 'wx', mode);
  }
}

/** Removes what processes left in the folder that were killed while they wrote. A missing folder has nothing. */
export async function removeUnfinished(directory: string): Promise<void> {
  for (const name of await namesIn(directory)) {
    if (/^\.berth-[0-9]+-[0-9]+\.tmp$/.test(name)) await rm(join(directory, name), { force: true });
  }
}

function notWritten(path: string, error: unknown): BerthError {
  const errno = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  const why = error instanceof Error ? error.message : String(error);
  return new BerthError({
    code: 'Io',
    reason: 'file-not-written',
    message: `cannot write ${basename(path)} in ${dirname(path)}: ${why}`,
    remedy: remedyOf(errno, dirname(path)),
    ...(errno === undefined ? {} : { errno }),
    cause: error,
  });
}

function remedyOf(errno: string | undefined, folder: string): string {
  if (errno === 'ENOSPC' || errno === 'EDQUOT') return `Make room on the file system of ${folder}.`;
  if (errno === 'EROFS' || errno === 'EACCES') return `Mount ${folder} into the agent so that it can write there.`;
  return `Check what ${folder} is; it has to be a folder that the agent can write to.`;
}

/** `undefined` when there is no such file. */
export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** None when there is no such folder. */
export async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
