/**
 * The shim under the agent's care: installed when the agent serves, and again whenever a peer puts its
 * own program back (their DaemonSets copy it at each of their starts). Never in the way of the agent:
 * a folder that refuses is tried again, and `berth status` says so.
 *
 * Not before the agent serves: registration with kubelet comes first, and the shim of the release
 * before this one speaks to this agent as well.
 */
import { type FSWatcher, watch } from 'node:fs';
import type { Installer } from '../cli/port.ts';
import { systemClock } from '../engine/clock.ts';
import { toBerthError } from '../engine/errors.ts';
import { OWN_NAME } from '../engine/installation/index.ts';
import type { Logger } from '../engine/logger.ts';
import type { InstallationStatus } from '../engine/view.ts';

/** A peer writes its program in pieces. */
const QUIET_MS = 1000;
/** Between attempts that fail, and against a peer that takes the name back each time: doubled up to this. */
const LONGEST_WAIT_MS = 60_000;
/** After so long without trouble the next attempt is quick again. */
const FORGET_TROUBLE_MS = 600_000;

export interface KeptShim {
  status(): InstallationStatus;
  stop(): void;
}

export interface KeptShimOptions {
  readonly installer: Pick<Installer, 'install'>;
  readonly folder: string;
  readonly as: readonly string[];
  readonly shim: string;
  readonly runDir: string;
  readonly log: Logger;
}

/** Begins at once and never throws. */
export function keepShim({ installer, folder, as, shim, runDir, log }: KeptShimOptions): KeptShim {
  const names = [OWN_NAME, ...as];
  const stopped = new AbortController();
  let problem: string | undefined;
  let isWanted = true;
  let wake = (): void => undefined;
  let watcher: FSWatcher | undefined;

  const follow = (): void => {
    if (watcher !== undefined) return;
    watcher = watch(folder, (_event, file) => {
      if (file !== null && !names.includes(file)) return;
      isWanted = true;
      wake();
    });
    watcher.on('error', (error) => {
      log.warn({ err: error, folder }, 'the CNI folder is no longer watched');
      watcher?.close();
      watcher = undefined;
    });
    watcher.unref();
  };

  const untilWanted = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
      if (stopped.signal.aborted) resolve();
    });

  /** True when nothing was amiss. */
  const attempt = async (): Promise<boolean> => {
    isWanted = false;
    try {
      follow();
      const report = await installer.install({ cniBinDir: folder, shim, runDir }, as);
      const changed = report.names.filter(({ action }) => action !== 'unchanged');
      if (changed.length > 0) log.info({ folder, changed }, 'CNI shim installed');
      problem = undefined;
      return changed.every(({ action }) => action !== 'took-over-again');
    } catch (thrown) {
      const error = toBerthError(thrown);
      problem = error.message;
      isWanted = true;
      log.error({ folder, reason: error.reason, error: error.message, remedy: error.remedy }, 'CNI shim not installed');
      return false;
    }
  };

  const run = async (): Promise<void> => {
    let waitMs = QUIET_MS;
    let troubleAt = 0;
    while (!stopped.signal.aborted) {
      const now = systemClock.now().getTime();
      if (now - troubleAt > FORGET_TROUBLE_MS) waitMs = QUIET_MS;
      if (!(await attempt())) {
        waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
        troubleAt = now;
      }
      await systemClock.delay(waitMs, stopped.signal);
      if (!isWanted) await untilWanted();
      if (problem === undefined) await systemClock.delay(QUIET_MS, stopped.signal);
    }
  };
  void run();

  return {
    status: () => ({ folder, names, ...(problem === undefined ? {} : { problem }) }),
    stop: () => {
      stopped.abort();
      watcher?.close();
      wake();
    },
  };
}
