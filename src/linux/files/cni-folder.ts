/**
 * A runtime's plugin folder as an installation needs it. One flock on the folder itself for the time
 * of an installation; temporary files begin with `.berth-new-` and those of killed ones are removed.
 *
 * To debug: `strace -f -e trace=%file,fsync berth install`.
 */
import { spawn } from 'node:child_process';
import { constants, type Stats } from 'node:fs';
import { copyFile, type FileHandle, link, lstat, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../engine/errors.ts';
import type { CniFolder, Occupant, StagedShim } from '../../engine/installation/index.ts';
import { tryLock } from '../ffi/index.ts';
import { errnoOf, ioError } from './io-error.ts';

const TEMPORARY = '.berth-new-';
/** The shim's own text (`SOCKET_PATH` of src/shim/shim.c), in every release and in nobody else's program. */
const MARK = Buffer.from('/run/berth/cni.sock\0');
/** The shim has some ten KiB; peers have some MiB and need not be read. */
const MOST_SHIM_BYTES = 1 << 20;
const VERIFY_TIMEOUT_MS = 10_000;
/** Another process of ours that was started while the file was open for writing holds it for a moment. */
const TEXT_BUSY_RETRIES = 50;

/** Opens the folder for one installation of the program in `source`. Throws `Busy`, `NotFound` or `Io`. */
export async function openCniFolder(path: string, source: string): Promise<CniFolder> {
  const shim = await readSource(source);
  const folder = await openFolder(path);
  try {
    if (!tryLock(folder.fd)) throw busy(path);
    await removeLeftovers(path);
  } catch (error) {
    await folder.close();
    throw error;
  }
  let serial = 0;
  const temporary = (): string => join(path, `${TEMPORARY}${process.pid}-${serial++}`);
  const attempt = async <T>(what: string, body: () => Promise<T>): Promise<T> => {
    try {
      return await body();
    } catch (error) {
      throw unusable(error, what);
    }
  };
  return {
    path,
    names: () => attempt(`listing ${path}`, () => readdir(path)),
    look: (name) => attempt(`reading ${join(path, name)}`, () => look(join(path, name), shim)),
    stage: () =>
      attempt(`writing the shim into ${path}`, async () => {
        const staged = temporary();
        await writeProgram(staged, shim);
        return {
          verify: () => verify(staged),
          commit: (name) => attempt(`putting ${name} in place in ${path}`, () => rename(staged, join(path, name))),
        } satisfies StagedShim;
      }),
    keep: (name, kept) =>
      attempt(`keeping ${name} as ${kept} in ${path}`, async () => {
        const between = temporary();
        await linkOrCopy(join(path, name), between);
        await rename(between, join(path, kept));
        // A rename between two names of one file does nothing (rename(2)).
        await rm(between, { force: true });
      }),
    putBack: (kept, name) =>
      attempt(`putting ${name} back in ${path}`, () => rename(join(path, kept), join(path, name))),
    remove: (name) => attempt(`removing ${join(path, name)}`, () => rm(join(path, name), { force: true })),
    close: async () => {
      try {
        await attempt(`finishing in ${path}`, async () => {
          await removeLeftovers(path);
          await folder.sync();
        });
      } finally {
        await folder.close();
      }
    },
  };
}

async function readSource(source: string): Promise<Buffer> {
  try {
    return await readFile(source);
  } catch (cause) {
    throw new BerthError({
      code: 'NotFound',
      reason: 'shim-missing',
      message: `this installation of Berth has no shim at ${source}: ${cause instanceof Error ? cause.message : String(cause)}`,
      remedy: 'A release has it beside berth.js; in a checkout hack/setup builds it.',
      cause,
    });
  }
}

async function openFolder(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw unusable(error, `opening ${path}`);
  }
}

function unusable(error: unknown, what: string): BerthError {
  return ioError(
    error,
    'cni-folder-unusable',
    what,
    "The folder is the runtime's CNI plugin folder (--cni-bin-dir): it has to exist, be writable and have room.",
  );
}

function busy(path: string): BerthError {
  return new BerthError({
    code: 'Busy',
    reason: 'installation-busy',
    message: `another installation is at work in ${path}`,
    remedy: 'It takes a moment; repeat this one afterwards.',
  });
}

async function removeLeftovers(path: string): Promise<void> {
  for (const name of await readdir(path)) {
    if (name.startsWith(TEMPORARY)) await rm(join(path, name), { force: true });
  }
}

async function look(path: string, shim: Buffer): Promise<Occupant> {
  const entry = await statIfPresent(() => lstat(path));
  if (entry === undefined) return { kind: 'absent' };
  if (!entry.isFile() && !entry.isSymbolicLink()) return { kind: 'no-file' };
  // What a link points to decides; one that points nowhere is still somebody's.
  const file = entry.isFile() ? entry : await statIfPresent(() => stat(path));
  if (file === undefined) return { kind: 'foreign' };
  if (!file.isFile()) return { kind: 'no-file' };
  if (file.size > MOST_SHIM_BYTES) return { kind: 'foreign' };
  const bytes = await readFile(path);
  if (!bytes.includes(MARK)) return { kind: 'foreign' };
  return { kind: 'shim', isCurrent: entry.isFile() && bytes.equals(shim) && (file.mode & 0o777) === 0o755 };
}

async function statIfPresent(body: () => Promise<Stats>): Promise<Stats | undefined> {
  try {
    return await body();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whole on the disk when it returns. */
async function writeProgram(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, 'wx', 0o700);
  try {
    await file.writeFile(bytes);
    // Not by the mode of open, from which the umask takes away.
    await file.chmod(0o755);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Not every file system has hard links. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!['EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'EMLINK', 'ENOSYS'].includes(errnoOf(error) ?? '')) throw error;
    await copyFile(from, to, constants.COPYFILE_EXCL);
    const copy = await open(to, 'r');
    try {
      await copy.sync();
    } finally {
      await copy.close();
    }
  }
}

/** A wrong architecture, a folder mounted noexec, a broken file: better known now than at the next pod. */
async function verify(program: string): Promise<void> {
  for (let retry = 0; ; retry++) {
    try {
      const output = await askVersion(program);
      const { supportedVersions } = JSON.parse(output) as { supportedVersions?: unknown };
      if (!Array.isArray(supportedVersions)) throw new Error(`it answered ${JSON.stringify(output)}`);
      return;
    } catch (error) {
      if (errnoOf(error) === 'ETXTBSY' && retry < TEXT_BUSY_RETRIES) continue;
      const errno = errnoOf(error);
      throw new BerthError({
        code: 'Unsupported',
        reason: 'shim-does-not-run',
        message: `the shim cannot be executed in the CNI folder: ${error instanceof Error ? error.message : String(error)}`,
        remedy: 'The folder must not be mounted noexec, and this release must be the one for the node (x64 or arm64).',
        cause: error,
        ...(errno === undefined ? {} : { errno }),
      });
    }
  }
}

function askVersion(program: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [], {
      env: { CNI_COMMAND: 'VERSION' },
      stdio: ['pipe', 'pipe', 'ignore'],
      timeout: VERIFY_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.on('error', reject);
    child.on('close', (code, signal) =>
      code === 0 ? resolve(output) : reject(new Error(`VERSION ended with ${code ?? signal}`)),
    );
    // A program that ends before it has read says so by its exit code.
    child.stdin.on('error', () => undefined);
    child.stdin.end('{"cniVersion":"1.1.0"}');
  });
}
