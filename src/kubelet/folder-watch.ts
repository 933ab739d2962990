/**
 * Tells when names appear in or vanish from a folder, which may itself come and go: kubelet makes
 * its folders when it first starts. inotify through fs.watch, with a slow look of its own for what
 * inotify misses (a replaced folder, no inotify instance left).
 */
import { type FSWatcher, statSync, watch } from 'node:fs';
import type { Logger } from '../engine/logger.ts';

export interface FolderWatch {
  close(): void;
}

/** Calls `onChange` for every change, and every `checkMs` without one; never before it returns. */
export function watchFolder(directory: string, checkMs: number, log: Logger, onChange: () => void): FolderWatch {
  let watcher: FSWatcher | undefined;
  let watched: number | undefined;

  const disarm = (): void => {
    watcher?.close();
    watcher = undefined;
    watched = undefined;
  };
  const arm = (): void => {
    const inode = statSync(directory, { throwIfNoEntry: false })?.ino;
    if (inode === watched && (watcher !== undefined || inode === undefined)) return;
    disarm();
    if (inode === undefined) return;
    try {
      watcher = watch(directory, { persistent: false }, onChange);
      watched = inode;
      watcher.on('error', (error) => {
        log.warn({ directory, err: error }, 'folder watch ended; looking every now and then instead');
        disarm();
      });
    } catch (error) {
      log.warn({ directory, err: error }, 'folder cannot be watched; looking every now and then instead');
    }
  };

  arm();
  const timer = setInterval(() => {
    arm();
    onChange();
  }, checkMs);
  timer.unref();
  return {
    close: () => {
      clearInterval(timer);
      disarm();
    },
  };
}
