/** A file that others read is there whole, in its old or its new form, whatever happens meanwhile. */
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ioError } from './io-error.ts';
import { makeFolder } from './make-folder.ts';

/**
 * Writes `bytes` durably and gives them the name `path` by a rename; makes the folder (0755) when it
 * is missing. Throws `Io` (`file-not-placed`); then the old file is as it was.
 */
export async function placeFile(path: string, bytes: Buffer, mode: number): Promise<void> {
  const temporary = `${path}.new-${process.pid}`;
  let isOpened = false;
  try {
    makeFolder(dirname(path), 0o755);
    const file = await open(temporary, 'w', 0o600);
    isOpened = true;
    try {
      await file.writeFile(bytes);
      await file.chmod(mode);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    const folder = await open(dirname(path), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    if (isOpened) await rm(temporary, { force: true });
    throw ioError(error, 'file-not-placed', `writing ${path}`, 'Its folder has to be writable and have room.');
  }
}
