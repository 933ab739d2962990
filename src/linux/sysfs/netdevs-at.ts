/**
 * The interfaces of one device by its path, for configurations that name a device so: in its folder
 * `net`, or one level deeper where the driver has a device of its own (virtio). A path that leaves
 * /sys/devices has none.
 */
import { readdir, realpath } from 'node:fs/promises';
import { BerthError } from '../../engine/errors.ts';
import { asIfName, type IfName } from '../../engine/values.ts';

/** In order of their names; none when there is no such device. Throws `Io` when the folder cannot be read. */
export async function readNetdevsAt(path: string, sysRoot = '/sys'): Promise<readonly IfName[]> {
  const home = await reading(path, async () => await realpath(path));
  if (home === undefined || !home.startsWith(`${await realpath(sysRoot)}/devices/`)) return [];
  const own = await interfacesIn(`${home}/net`);
  if (own.length > 0) return own;
  const below = (await namesIn(home)).filter((name) => /^virtio[0-9]+$/.test(name));
  return (await Promise.all(below.map((name) => interfacesIn(`${home}/${name}/net`)))).flat();
}

async function interfacesIn(folder: string): Promise<readonly IfName[]> {
  return (await namesIn(folder)).map(asIfName).filter((name) => name !== undefined);
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return ((await reading(folder, async () => await readdir(folder))) ?? []).sort();
}

/** `undefined` when it does not exist. */
async function reading<T>(path: string, read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    const errno = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw new BerthError({
      code: 'Io',
      reason: 'device-path-unreadable',
      message: `${path}: ${errno === '' ? String(error) : errno}`,
      remedy: 'The path is to be that of a device below /sys/devices.',
      op: 'sysfs.read',
      cause: error,
      ...(errno === '' ? {} : { errno }),
    });
  }
}
