/** Removing one file. Node's `rmSync` loses the errno of a refusal: a read-only disk has no `EROFS` there. */
import { lstatSync, unlinkSync } from 'node:fs';

/** Success when there is none. Throws what unlink(2) says. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    // On a read-only disk it is refused before the kernel looks whether there is one.
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) throw error;
  }
}
