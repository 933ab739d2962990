/** A folder that a person named, with all that is above it. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf } from './io-error.ts';

/**
 * As `mkdir -p`: what is there stays as it is. Throws what the system says. Node's own `recursive`
 * never comes back from a path below /proc, whose parent is there and where nothing can be made.
 */
export function makeFolder(path: string, mode?: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' && dirname(path) !== path) {
      makeFolder(dirname(path), mode);
      mkdirSync(path, { mode });
    } else if (errno !== 'EEXIST' || !statSync(path).isDirectory()) throw error;
  }
}
