/**
 * The mark that `berth uninstall` sets while it looks for live attachments and takes the shim away: an
 * agent that sees it refuses ADDs. The mark is a locked file, so that one left by a killed removal
 * says nothing. It is no lock between removals; the plugin folder's is.
 *
 * Whoever removes sets the mark and then counts records; the agent writes a record and then looks for
 * the mark. So of an ADD and a removal at the same time at least one sees the other.
 * To debug: `fuser /run/berth/removal`.
 */
import { closeSync, constants, existsSync, fstatSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BerthError } from '../../engine/errors.ts';
import { tryLock } from '../ffi/index.ts';
import { errnoOf, ioError } from './io-error.ts';
import { makeFolder } from './make-folder.ts';
import { removeFile } from './remove-file.ts';

const NAME = 'removal';
const RETRY_MS = 20;
/** An agent that looks holds the file for an instant; another removal does for seconds. */
const TRIES = 500;

export interface RemovalMark {
  release(): void;
}

/** Sets the mark. Throws `Io` (`removal-mark`), and `Busy` (`installation-busy`) when another removal keeps it. */
export async function markRemoval(runDir: string): Promise<RemovalMark> {
  const path = join(runDir, NAME);
  attempt(path, () => makeFolder(runDir, 0o700));
  for (let tries = 0; tries < TRIES; tries += 1) {
    const fd = attempt(path, () => openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600));
    // Whoever had it before us has removed the file, and nobody looks at the one that we have then.
    if (tryLock(fd) && isAt(path, fd)) return { release: () => release(path, fd) };
    closeSync(fd);
    await delay(RETRY_MS);
  }
  throw new BerthError({
    code: 'Busy',
    reason: 'installation-busy',
    message: `another removal holds ${path}`,
    remedy: 'It takes a moment; repeat this one afterwards.',
  });
}

/** Whether the shim is being removed just now. Quick where there is no mark, as is usual. */
export function isRemovalUnderWay(runDir: string): boolean {
  const path = join(runDir, NAME);
  if (!existsSync(path)) return false;
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw ioError(error, 'removal-mark', `opening ${path}`, 'Remove it unless `berth uninstall` is running.');
  }
  try {
    return !tryLock(fd, 'shared');
  } finally {
    closeSync(fd);
  }
}

function isAt(path: string, fd: number): boolean {
  const there = statSync(path, { throwIfNoEntry: false });
  return there !== undefined && there.ino === fstatSync(fd).ino;
}

function release(path: string, fd: number): void {
  removeFile(path);
  closeSync(fd);
}

function attempt<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw ioError(error, 'removal-mark', `marking the removal in ${path}`, 'Run this as root on the node (--run-dir).');
  }
}
