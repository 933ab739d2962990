/** A folder that a person named, with all that is above it. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf } from './io-error.ts';

/**
 * As `mkdir -p`: what is there stays as it is. Throws what the system says. Node's own `recursive`
 * never comes back from a path below /proc, whose parent is there and where nothing can be made.
 */
export function makeFolder(path: string, mode?: number): void {
  if (isMade(path, mode)) return;
  makeFolder(dirname(path), mode);
  // Its parent is there now: ENOENT again is the system's last word.
  if (!isMade(path, mode)) throw Object.assign(new Error(`ENOENT: nothing can be made at ${path}`), { code: 'ENOENT' });
}

/** False when its parent is missing. Somebody else may have been faster. */
function isMade(path: string, mode: number | undefined): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EEXIST' && statSync(path).isDirectory()) return true;
    if (errno === 'ENOENT' && dirname(path) !== path) return false;
    throw error;
  }
}
