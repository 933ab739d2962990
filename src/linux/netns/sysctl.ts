/**
 * /proc/sys/net of another namespace. The kernel chooses the namespace when the path is looked up,
 * by the thread that does it: open inside, then use the descriptor from anywhere.
 */
import { BerthError } from '../../engine/errors.ts';
import { close, insideNamespace, O_RDONLY, O_WRONLY, open, openIfPresent, read, writePooled } from '../ffi/index.ts';

const MOST_VALUE_BYTES = 4096;

export interface SysctlPlace {
  readonly inside: number;
  readonly home: number;
  /** `/proc`, or where it is mounted. */
  readonly procRoot: string;
}

function fileOf(place: SysctlPlace, path: readonly string[]): string {
  for (const part of path) {
    // A dot is legal in an interface name; a path that climbs is not.
    if (part === '' || part === '.' || part === '..' || part.includes('/') || part.includes('\0')) {
      throw new BerthError({
        code: 'Invalid',
        reason: 'invalid-sysctl',
        message: `${JSON.stringify(part)} is no part of a sysctl's name`,
        op: 'sysctl',
      });
    }
  }
  return `${place.procRoot}/sys/net/${path.join('/')}`;
}

/** Without its line end; `undefined` when there is no such sysctl. */
export function readSysctl(place: SysctlPlace, path: readonly string[]): string | undefined {
  const file = fileOf(place, path);
  const fd = insideNamespace<number | undefined>(place.inside, place.home, () => openIfPresent(file, O_RDONLY));
  if (fd === undefined) return undefined;
  try {
    const buffer = Buffer.alloc(MOST_VALUE_BYTES);
    return buffer.toString('utf8', 0, read(fd, buffer)).trimEnd();
  } finally {
    close(fd);
  }
}

/** Writes on a thread: some sysctls wait for RTNL. */
export async function writeSysctl(place: SysctlPlace, path: readonly string[], value: string): Promise<void> {
  const file = fileOf(place, path);
  const name = `net/${path.join('/')}`;
  const fd = openForWriting(place, file, name);
  try {
    await writePooled(fd, Buffer.from(value), 'sysctl.write', `${name} = ${value}`);
  } finally {
    close(fd);
  }
}

function openForWriting(place: SysctlPlace, file: string, name: string): number {
  try {
    return insideNamespace<number>(place.inside, place.home, () => open(file, O_WRONLY));
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    if (error.code === 'NotFound') {
      throw new BerthError({
        code: 'Unsupported',
        reason: 'sysctl-missing',
        message: `sysctl.write: there is no ${name} in the sandbox`,
        remedy: 'The interface is gone or the kernel was built without the feature (IPv6, for example).',
        op: 'sysctl.write',
        errno: 'ENOENT',
        cause: error,
      });
    }
    if (error.code === 'Denied') {
      throw new BerthError({
        code: 'Denied',
        reason: 'sysctl-denied',
        message: `sysctl.write: ${name} cannot be written: ${error.errno}`,
        remedy: "/proc/sys is read-only in the agent's container; mount it writable or run it privileged.",
        op: 'sysctl.write',
        ...(error.errno === undefined ? {} : { errno: error.errno }),
        cause: error,
      });
    }
    throw error;
  }
}
