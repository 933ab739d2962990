/**
 * A gRPC server on a unix socket that appears under its name only when it is ready: it listens on a
 * hidden name first (which kubelet's plugin watcher ignores), gets mode 0600, and is then renamed.
 * So nobody ever meets a socket that is not root's, or one that is left over and answers nothing.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, chmod, lstat, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { BerthError } from '../engine/errors.ts';
import { requireSocketPath } from './paths.ts';

export interface ServedSocket {
  readonly path: string;
  /** Whether the file under the name is still this socket, or somebody removed or replaced it. */
  look(): Promise<'in-place' | 'missing' | 'replaced'>;
  /** Ends all streams at once and removes the file if it is still this one. */
  close(): Promise<void>;
}

const HIDDEN = /^\.berth-[0-9a-f]{8}$/;

/** Serves at `path`, replacing what is there. Throws `Io` (`socket-not-served`). */
export async function serveSocket(path: string, addServices: (server: Server) => void): Promise<ServedSocket> {
  requireSocketPath(path);
  const hidden = join(dirname(path), `.berth-${randomBytes(4).toString('hex')}`);
  const server = new Server();
  addServices(server);
  try {
    await listen(server, requireSocketPath(hidden));
    await chmod(hidden, 0o600);
    const { ino } = await lstat(hidden);
    // Not only renamed over: the plugin watcher must see the old one go to take the new one for another.
    await rm(path, { force: true });
    await rename(hidden, path);
    return {
      path,
      look: async () => {
        const found = await inodeOf(path);
        if (found === undefined) return 'missing';
        return found === ino ? 'in-place' : 'replaced';
      },
      close: async () => {
        if ((await inodeOf(path)) === ino) await rm(path, { force: true });
        server.forceShutdown();
      },
    };
  } catch (error) {
    server.forceShutdown();
    const problem = await folderProblem(dirname(path));
    if (problem === undefined) await rm(hidden, { force: true });
    const why = problem ?? (error instanceof Error ? error.message : String(error));
    throw new BerthError({
      code: 'Io',
      reason: 'socket-not-served',
      message: `cannot serve ${basename(path)}: ${why}`,
      remedy:
        "Check that kubelet runs here, that its folder is the agent's --kubelet-dir, and that it is mounted writable.",
      cause: error,
    });
  }
}

/** Of a missing folder Node.js says that permission is denied. `undefined` when it could be written. */
async function folderProblem(folder: string): Promise<string | undefined> {
  try {
    // A file is no folder, though it may be writable.
    await access(`${folder}/`, constants.W_OK);
    return undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    return `kubelet's folder ${folder} ${code === 'ENOENT' ? 'is not there' : `cannot be written (${String(code)})`}`;
  }
}

/** Removes hidden sockets that a killed agent left in the folder. A missing folder has none. */
export async function removeLeftovers(directory: string): Promise<void> {
  for (const name of await namesIn(directory)) {
    if (HIDDEN.test(name)) await rm(join(directory, name), { force: true });
  }
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await lstat(path)).ino;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
