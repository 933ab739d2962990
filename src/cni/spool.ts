/**
 * Replays the DELs that shims wrote down while the agent was away: all of them before the agent
 * serves, and later ones as they appear. Replay touches the named attachment and nothing else; of an
 * entry that is older than the attachment or than the boot, not even that.
 *
 * Every entry ends in one of these ways, each counted in the report and logged: replayed, superseded,
 * kept (newer schema, or its detach failed and is tried again), moved aside (not readable).
 */
import {
  closeSync,
  constants,
  existsSync,
  type FSWatcher,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  watch,
} from 'node:fs';
import { join } from 'node:path';
import type { Attachments } from '../engine/attachments/model.ts';
import { toBerthError } from '../engine/errors.ts';
import type { Logger } from '../engine/logger.ts';
import { COMMAND_TIMEOUT_MS } from './deadlines.ts';
import { optional } from './optional.ts';
import { isNewer, parseSpoolEntry } from './spool-entry.ts';

/** An entry that is being worked on; found again after a crash. */
const CLAIMED = '.claimed-';
/** A shim's draft (src/shim/spool.c). */
const DRAFT = '.new-';
/** A shim takes a second at most; what is older was left by one that was killed. */
const DRAFT_AGE_MS = 10 * 60_000;
const MAX_ENTRY_BYTES = 17 << 20;
/** Of entries moved aside; more are removed, since a disk must not fill with them. */
const MAX_ASIDE = 100;
const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 60_000;

export interface SpoolOptions {
  /** `/var/lib/berth/spool`; made when missing. Beside it `<folder>.malformed` takes what cannot be read. */
  readonly folder: string;
  /** /proc/sys/kernel/random/boot_id */
  readonly bootId: string;
  readonly attachments: Pick<Attachments, 'detach' | 'list' | 'releaseAddresses'>;
  readonly log: Logger;
}

/** What became of the entries of one pass. */
export interface SpoolReport {
  readonly replayed: number;
  /** The attachment was made after the DEL was asked for. */
  readonly superseded: number;
  /** Detach failed; tried again with back-off. */
  readonly failed: number;
  /** Of a later release. */
  readonly newer: number;
  /** Moved aside. */
  readonly malformed: number;
}

export interface Spool {
  /** One pass over the folder; passes do not overlap. Never rejects for an entry, only when the folder cannot be read. */
  replay(): Promise<SpoolReport>;
  /** What waits in the folder, and what was moved aside as unreadable. */
  state(): { readonly entries: number; readonly unreadable: number };
  /** Replays entries as they appear, until the returned function is called; it waits for the pass that runs. */
  watch(): () => Promise<void>;
}

type Outcome = keyof SpoolReport;

export function createSpool(options: SpoolOptions): Spool {
  const { folder, log } = options;
  const stopped = new AbortController();
  let running: Promise<unknown> = Promise.resolve();

  const pass = async (): Promise<SpoolReport> => {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const report = { replayed: 0, superseded: 0, failed: 0, newer: 0, malformed: 0 };
    for (const file of readdirSync(folder)) {
      if (stopped.signal.aborted) break;
      if (file.startsWith(DRAFT)) removeOldDraft(join(folder, file));
      else {
        const outcome = await replayOne(options, file, stopped.signal);
        if (outcome !== undefined) report[outcome]++;
      }
    }
    if (Object.values(report).some((count) => count > 0)) log.info({ ...report }, 'spooled DELs replayed');
    return report;
  };

  const replay = (): Promise<SpoolReport> => {
    const next = running.then(pass, pass);
    running = next.catch(() => undefined);
    return next;
  };

  return {
    replay,
    state: () => ({
      entries: namesIn(folder).filter((name) => !name.startsWith(DRAFT)).length,
      unreadable: namesIn(asideFolder(folder)).length,
    }),
    watch: () => {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      let timer: NodeJS.Timeout | undefined;
      let retryMs = RETRY_FIRST_MS;
      let pending = false;
      const run = (): void => {
        if (pending || stopped.signal.aborted) return;
        pending = true;
        // An event during the pass may be of an entry behind it: it starts another one.
        setImmediate(() => {
          pending = false;
          replay().then(schedule, (error: unknown) => {
            log.error({ error: toBerthError(error).message, folder }, 'spool cannot be read');
            schedule({ failed: 1 });
          });
        });
      };
      const schedule = ({ failed }: Pick<SpoolReport, 'failed'>): void => {
        clearTimeout(timer);
        if (failed === 0) retryMs = RETRY_FIRST_MS;
        else if (!stopped.signal.aborted) {
          timer = setTimeout(run, retryMs).unref();
          retryMs = Math.min(retryMs * 2, RETRY_MOST_MS);
        }
      };
      const watcher: FSWatcher = watch(folder, (_event, file) => {
        // Our own claims and shims' drafts are no news.
        if (file === null || !file.startsWith('.')) run();
      });
      watcher.on('error', (error) => log.error({ error: error.message, folder }, 'spool cannot be watched'));
      // What arrived between the replay before serving and now.
      run();
      return async () => {
        stopped.abort();
        clearTimeout(timer);
        watcher.close();
        await running;
      };
    },
  };
}

/**
 * Claims an entry by renaming it, so that a newer one of the same key, written meanwhile, is not
 * lost with it. From the claim to the call of `detach` there is no await: a shim that got through
 * after all removes its entry before the runtime can go on to an ADD, which the engine then finds
 * queued behind this detach.
 */
async function replayOne(options: SpoolOptions, file: string, stopped: AbortSignal): Promise<Outcome | undefined> {
  const { folder, log, attachments } = options;
  const name = file.startsWith(CLAIMED) ? file.slice(CLAIMED.length) : file;
  const claimed = join(folder, CLAIMED + name);
  try {
    // Looked at before it is claimed: what a later release wrote stays untouched.
    if (isNewer(readEntry(join(folder, file)))) {
      log.warn({ entry: name }, 'spool entry of a later release kept');
      return 'newer';
    }
    if (file === name) renameSync(join(folder, file), claimed);
    const entry = parseSpoolEntry(name, readEntry(claimed));
    const { key, bootId, askedAtMs, predecessor } = entry;
    const present = attachments.list().find((a) => a.containerId === key.containerId && a.ifname === key.ifname);
    const requestId = `spool-${name}`;
    const context = { requestId, signal: AbortSignal.any([stopped, AbortSignal.timeout(COMMAND_TIMEOUT_MS.DEL)]) };
    let outcome: Outcome = 'replayed';
    if (bootId !== options.bootId) await attachments.releaseAddresses(key, context);
    else if (present !== undefined && Date.parse(present.since) > askedAtMs) outcome = 'superseded';
    else await attachments.detach(key, undefined, { ...context, ...optional('predecessor', predecessor) });
    rmSync(claimed, { force: true });
    log.info({ requestId, outcome, olderBoot: bootId !== options.bootId }, 'spooled DEL');
    return outcome;
  } catch (thrown) {
    // The shim took the entry back: it got its answer from the agent directly.
    if (hasErrno(thrown, 'ENOENT')) return undefined;
    const error = toBerthError(thrown);
    if (error.reason === 'malformed-spool-entry') {
      moveAside(folder, claimed, name);
      log.error({ entry: name, message: error.message }, 'spool entry moved aside');
      return 'malformed';
    }
    log.warn({ entry: name, reason: error.reason, message: error.message }, 'spooled DEL failed, kept');
    return 'failed';
  }
}

/** Empty, and so malformed, for anything that is not a file of a shim's size. */
function readEntry(path: string): Buffer {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (hasErrno(error, 'ELOOP')) return Buffer.alloc(0);
    throw error;
  }
  try {
    const about = fstatSync(fd);
    if (!about.isFile() || about.size > MAX_ENTRY_BYTES) return Buffer.alloc(0);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

function moveAside(folder: string, path: string, name: string): void {
  const aside = asideFolder(folder);
  mkdirSync(aside, { recursive: true, mode: 0o700 });
  if (readdirSync(aside).length >= MAX_ASIDE) rmSync(path, { recursive: true, force: true });
  else renameSync(path, join(aside, name));
}

function removeOldDraft(path: string): void {
  const about = statSync(path, { throwIfNoEntry: false });
  if (about !== undefined && Date.now() - about.mtimeMs > DRAFT_AGE_MS) rmSync(path, { force: true });
}

function hasErrno(error: unknown, errno: string): boolean {
  return error instanceof Error && 'code' in error && error.code === errno;
}

function asideFolder(folder: string): string {
  return `${folder}.malformed`;
}

/** Names of a folder that may not be there. */
function namesIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
