/**
 * Character devices of macvtap links, `tap<index>` in devtmpfs: the kernel makes and removes them
 * with the link (drivers/net/macvtap.c, macvtap_device_event), owned by root.
 */
import { chown, stat } from 'node:fs/promises';
import { BerthError } from '../engine/errors.ts';

const MISSING = 'ENOENT';

function pathOf(index: number, devRoot: string): string {
  return `${devRoot}/tap${index}`;
}

function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

/** `undefined` when there is none. Throws `Io` when that cannot be told. */
export async function tapOwner(
  index: number,
  devRoot = '/dev',
): Promise<{ readonly uid: number; readonly gid: number } | undefined> {
  try {
    const { uid, gid } = await stat(pathOf(index, devRoot));
    return { uid, gid };
  } catch (error) {
    if (errnoOf(error) === MISSING) return undefined;
    throw unusable('looked at', index, devRoot, error);
  }
}

/** Throws `Unsupported` (`tap-device-missing`) when there is none, `Io` when it cannot be given away. */
export async function ownTap(
  index: number,
  owner: { readonly uid: number; readonly gid: number },
  devRoot = '/dev',
): Promise<void> {
  try {
    await chown(pathOf(index, devRoot), owner.uid, owner.gid);
  } catch (error) {
    if (errnoOf(error) !== MISSING) throw unusable(`given to ${owner.uid}:${owner.gid}`, index, devRoot, error);
    throw new BerthError({
      code: 'Unsupported',
      reason: 'tap-device-missing',
      message: `the kernel made no ${pathOf(index, devRoot)} for the macvtap`,
      remedy: "The node's /dev has to be a devtmpfs, and the agent has to see it: mount /dev of the host into it.",
      cause: error,
    });
  }
}

function unusable(what: string, index: number, devRoot: string, error: unknown): BerthError {
  return new BerthError({
    code: 'Io',
    reason: 'tap-device-unusable',
    message: `${pathOf(index, devRoot)} cannot be ${what}: ${errnoOf(error)}`,
    remedy: 'The agent needs to see the /dev of the node, and CAP_CHOWN.',
    cause: error,
  });
}
