/**
 * `berth install` put together: the shim that this release brings, the runtime's folder, the records
 * that say whether pods are attached, and the configuration file. The decisions are the engine's.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Installer } from '../cli/port.ts';
import { BerthError } from '../engine/errors.ts';
import { install, remove } from '../engine/installation/index.ts';
import { openCniFolder } from '../linux/files/cni-folder.ts';
import { errnoOf, ioError } from '../linux/files/io-error.ts';
import { placeFile } from '../linux/files/place-file.ts';
import { markRemoval, type RemovalMark } from '../linux/files/removal-mark.ts';

const IDLE_POLL_MS = 1000;
/** A shim that was started before its file went has reached the agent by then. */
const LATE_ADDS_MS = 1000;

/** `programFolder` is that of the program that runs: `dist` of a release, `src` of a checkout. */
export function shimOf(programFolder: string): string {
  const besideBundle = join(programFolder, 'berth-shim');
  return existsSync(besideBundle) ? besideBundle : join(programFolder, '..', 'dist', 'berth-shim');
}

export function createInstaller(defaultShim: string): Installer {
  return {
    install: async ({ cniBinDir, shim = defaultShim }, as) => {
      const folder = await openCniFolder(cniBinDir, shim);
      try {
        return await install(folder, { as });
      } finally {
        await folder.close();
      }
    },
    uninstall: async ({ cniBinDir, runDir, shim = defaultShim }, { names, onWait }) => {
      for (;;) {
        const folder = await openCniFolder(cniBinDir, shim);
        const live = (): Promise<number> => countRecords(join(runDir, 'attachments'));
        let mark: RemovalMark | undefined;
        try {
          // From here on no ADD succeeds. Not while pods are attached: one that waits for their end may take hours.
          if ((await live()) === 0) mark = await markRemoval(runDir);
          const report = await remove(folder, { ...(names === undefined ? {} : { names }), liveAttachments: live });
          if (report.names.length > 0) await delay(LATE_ADDS_MS);
          return report;
        } catch (error) {
          const isLive = error instanceof BerthError && error.reason === 'attachments-live';
          if (!isLive || onWait === undefined) throw error;
        } finally {
          mark?.release();
          await folder.close();
        }
        // The folder is free while this waits: an upgrade in between is no harm.
        onWait(await countRecords(join(runDir, 'attachments')));
        await delay(IDLE_POLL_MS);
      }
    },
    placeConfiguration: async (from, to) => {
      await placeFile(to, await readConfiguration(from), 0o644);
    },
    removeConfiguration: async (path) => {
      if (!existsSync(path)) return false;
      try {
        await rm(path);
        return true;
      } catch (error) {
        throw ioError(error, 'file-not-placed', `removing ${path}`, 'Make its folder writable.');
      }
    },
  };
}

async function readConfiguration(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw ioError(error, 'file-not-placed', `reading ${path}`, 'Name a file that can be read.');
  }
}

/** Records are what attachments leave behind until the last of them is undone; unreadable ones count. */
async function countRecords(folder: string): Promise<number> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith('.')).length;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 0;
    throw ioError(error, 'record-read-failed', `listing ${folder}`, 'Run this as root on the node (--run-dir).');
  }
}
