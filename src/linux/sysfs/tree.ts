/**
 * Files below one root: the live node (`/`) or a captured tree (`--root DIR`). Everything that reads
 * /sys and /proc goes through here, so that both are read by the same code.
 *
 * A captured tree comes from a bug report and is not trusted: symbolic links are resolved here,
 * component by component, and never leave the root; only regular files are opened, and no more than
 * a bounded number of bytes is taken from them. The tree is expected to stand still meanwhile:
 * somebody who can change it can read the same files anyway.
 *
 * Paths are relative to the root, without a leading slash. Absence answers `undefined`; anything
 * else throws an error with a `code`. To debug, read the same path with `cat` below the root.
 */
import {
  closeSync,
  constants,
  type Dirent,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  realpathSync,
  type Stats,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { BerthError } from '../../engine/errors.ts';

/** The system calls that a tree makes; tests put failures and vanishing files in between. */
export interface TreeIo {
  readonly open: (path: string, flags: number) => number;
  readonly read: (fd: number, into: Buffer) => number;
  readonly close: (fd: number) => void;
  /** `undefined` when absent: an exception costs more than the call. */
  readonly lstat: (path: string) => Stats | undefined;
  readonly readlink: (path: string) => string;
  readonly realpath: (path: string) => string;
  readonly readdir: (path: string) => Dirent[];
  /** Up to `limitBytes`, off the event loop. */
  readonly readLater: (path: string, limitBytes: number) => Promise<Buffer>;
}

/** Reads below one root. See the head of this file for paths and errors. */
export interface Tree {
  /** True for `/`. */
  readonly live: boolean;
  /** One attribute, without the line's end. For files that answer at once: it blocks the event loop. */
  text(path: string): string | undefined;
  /** The same off the event loop, for files that may wait for a lock or for firmware. */
  textLater(path: string): Promise<string | undefined>;
  bytesLater(path: string, limitBytes: number): Promise<Buffer | undefined>;
  /** Entries of a folder; `undefined` when there is none. */
  list(path: string): readonly Dirent[] | undefined;
  /** The same file or folder without symbolic links in its path. */
  real(path: string): string | undefined;
  /** What a symbolic link says, verbatim; it need not exist, and may lead anywhere. */
  linkTarget(path: string): string | undefined;
  /** Inode number of a folder. Sysfs numbers its folders 64 bits wide and does not use one again. */
  inode(path: string): string | undefined;
  /** How many folders a folder holds; of sysfs also those of other network namespaces (kernfs_refresh_inode, fs/kernfs/inode.c). */
  subfolders(path: string): number | undefined;
  /** Forgets resolved paths; call it before a new read. */
  forget(): void;
}

/** A sysfs attribute is at most one page (fs/sysfs/file.c). */
const ATTRIBUTE_LIMIT_BYTES = 4096;
const FOLDER_LIMIT_ENTRIES = 65_536;
const FOLDERS_KEPT = 16;
/** As the kernel's MAXSYMLINKS. */
const LINKS_LIMIT = 40;
const PATH_LIMIT = 4096;

/** Errors that mean "not there": a device may go away between two system calls. */
const ABSENT: ReadonlySet<string> = new Set(['ENOENT', 'ENODEV', 'ENXIO']);

/** The machine's own files. */
export const nodeIo: TreeIo = {
  open: (path, flags) => openSync(path, flags),
  read: (fd, into) => readSync(fd, into, 0, into.length, null),
  close: closeSync,
  lstat: (path) => lstatSync(path, { throwIfNoEntry: false }),
  readlink: (path) => readlinkSync(path),
  realpath: (path) => realpathSync.native(path),
  readdir: (path) => readdirSync(path, { withFileTypes: true }),
  readLater: readUpTo,
};

/** Opens a root. Throws when the folder does not exist. */
export function openTree(root: string, io: TreeIo = nodeIo): Tree {
  return root === '/' ? new LiveTree(io) : new ConfinedTree(io.realpath(root), io);
}

/**
 * The same for people's `--root`: what is missing is told as a mistake of theirs.
 * @throws BerthError `NotFound` when the folder does not exist, `Invalid` when it holds no `sys`.
 */
export function openNodeTree(root: string, io: TreeIo = nodeIo): Tree {
  if (root === '/') return openTree(root, io);
  let found: boolean;
  try {
    found = io.lstat(`${io.realpath(root)}/sys`)?.isDirectory() === true;
  } catch (cause) {
    throw new BerthError({
      code: 'NotFound',
      reason: 'root-unreadable',
      message: `${JSON.stringify(root)} cannot be opened: ${reasonOf(cause)}`,
      remedy: REMEDY,
      cause,
    });
  }
  if (found) return openTree(root, io);
  throw new BerthError({
    code: 'Invalid',
    reason: 'root-no-tree',
    message: `${root} holds no captured tree: there is no folder ${root}/sys`,
    remedy: REMEDY,
  });
}

const REMEDY =
  'Name the folder that `berth capture` wrote, or one with a copy of the files below /sys in its folder sys.';

/** The errno of an error, or its text: what an `Unread` entry says. */
export function reasonOf(error: unknown): string {
  if (error instanceof BerthError) return error.errno ?? error.message;
  if (!(error instanceof Error)) return String(error);
  const code = (error as NodeJS.ErrnoException).code;
  return typeof code === 'string' ? code : error.message;
}

/** Not an errno of the kernel: what a tree refuses to follow or to read. */
export class TreeError extends Error {
  override readonly name = 'TreeError';
}

abstract class FileTree implements Tree {
  abstract readonly live: boolean;
  readonly #scratch = Buffer.alloc(ATTRIBUTE_LIMIT_BYTES + 1);
  protected readonly io: TreeIo;

  constructor(io: TreeIo) {
    this.io = io;
  }

  /** Host path of the file itself, links resolved where needed; `undefined` when absent. */
  protected abstract locate(path: string): string | undefined;
  /** The same for a regular file of a device's folder; the kernel is trusted to have no other attributes. */
  protected locateAttribute(path: string): string | undefined {
    return this.locate(path);
  }
  abstract real(path: string): string | undefined;
  abstract linkTarget(path: string): string | undefined;
  abstract forget(): void;

  text(path: string): string | undefined {
    return presentOnly(() => {
      const at = this.locateAttribute(path);
      return at === undefined ? undefined : this.#readAttribute(at);
    });
  }

  #readAttribute(at: string): string {
    const fd = this.io.open(at, openFlags);
    try {
      const length = this.io.read(fd, this.#scratch);
      if (length > ATTRIBUTE_LIMIT_BYTES) throw new TreeError('larger than a page');
      return attributeText(this.#scratch.subarray(0, length));
    } finally {
      this.io.close(fd);
    }
  }

  async textLater(path: string): Promise<string | undefined> {
    const bytes = await this.bytesLater(path, ATTRIBUTE_LIMIT_BYTES);
    return bytes === undefined ? undefined : attributeText(bytes);
  }

  async bytesLater(path: string, limitBytes: number): Promise<Buffer | undefined> {
    try {
      const at = this.locateAttribute(path);
      return at === undefined ? undefined : await this.io.readLater(at, limitBytes);
    } catch (error) {
      return absentOrThrow(error);
    }
  }

  list(path: string): readonly Dirent[] | undefined {
    return presentOnly(() => {
      const at = this.locate(path);
      if (at === undefined) return undefined;
      const entries = this.io.readdir(at);
      if (entries.length > FOLDER_LIMIT_ENTRIES) throw new TreeError('too many entries');
      return entries;
    });
  }

  inode(path: string): string | undefined {
    return presentOnly(() => {
      const at = this.locate(path);
      return at === undefined ? undefined : lstatSync(at, { bigint: true }).ino.toString();
    });
  }

  subfolders(path: string): number | undefined {
    return presentOnly(() => {
      const at = this.locate(path);
      const links = at === undefined ? undefined : this.io.lstat(at)?.nlink;
      // Its own name, its `.`, and the `..` of each folder in it.
      return links === undefined ? undefined : links - 2;
    });
  }
}

/** Sysfs is made by the kernel: no confinement, and no time spent on it. */
class LiveTree extends FileTree {
  override readonly live = true;

  protected override locate(path: string): string {
    return `/${path}`;
  }

  override real(path: string): string | undefined {
    return presentOnly(() => this.io.realpath(`/${path}`).slice(1));
  }

  override linkTarget(path: string): string | undefined {
    return presentOnly(() => this.io.readlink(`/${path}`));
  }

  override forget(): void {
    // The kernel resolves every path anew, so nothing is remembered.
  }
}

class ConfinedTree extends FileTree {
  override readonly live = false;
  readonly #root: string;
  /** Folders by path, and where they really are. */
  readonly #folders = new Map<string, string | undefined>();
  /**
   * Entries of the folders read last: one listing tells of all attributes which exist and what they
   * are. A device's attributes are read in a row; keeping the listings of all would cost the
   * garbage collector 20 ms at a time.
   */
  readonly #entries = new Map<string, ReadonlyMap<string, Dirent>>();

  constructor(root: string, io: TreeIo) {
    super(io);
    this.#root = root;
  }

  override forget(): void {
    this.#folders.clear();
    this.#entries.clear();
  }

  protected override locate(path: string): string | undefined {
    const found = this.real(path);
    return found === undefined ? undefined : `${this.#root}/${found}`;
  }

  protected override locateAttribute(path: string): string | undefined {
    const [folder, name] = splitLast(path);
    const home = this.#folder(folder, { links: 0 });
    const entry = home === undefined ? undefined : this.#entriesOf(home).get(name);
    if (entry === undefined) return undefined;
    if (entry.isFile()) return `${this.#root}/${home}/${name}`;
    if (entry.isSymbolicLink()) return this.locate(path);
    throw new TreeError('not a regular file');
  }

  #entriesOf(home: string): ReadonlyMap<string, Dirent> {
    const known = this.#entries.get(home);
    if (known !== undefined) return known;
    const entries = new Map(this.io.readdir(`${this.#root}/${home}`).map((entry) => [entry.name, entry]));
    if (this.#entries.size >= FOLDERS_KEPT) this.#entries.clear();
    this.#entries.set(home, entries);
    return entries;
  }

  override real(path: string): string | undefined {
    return presentOnly(() => this.#resolve(path, { links: 0 }));
  }

  override linkTarget(path: string): string | undefined {
    return presentOnly(() => {
      const [folder, name] = splitLast(path);
      const home = this.#folder(folder, { links: 0 });
      if (home === undefined || !this.#entriesOf(home).has(name)) return undefined;
      return this.io.readlink(`${this.#root}/${home}/${name}`);
    });
  }

  #resolve(path: string, budget: { links: number }): string | undefined {
    if (path === '') return '';
    if (path.length > PATH_LIMIT) throw new TreeError('path too long');
    const [folder, name] = splitLast(path);
    const home = this.#folder(folder, budget);
    if (home === undefined) return undefined;
    if (name === '' || name === '.') return home;
    if (name === '..') {
      if (home === '') throw new TreeError('leads out of the tree');
      return splitLast(home)[0];
    }
    const here = home === '' ? name : `${home}/${name}`;
    const kind = this.io.lstat(`${this.#root}/${here}`);
    if (kind === undefined) return undefined;
    if (!kind.isSymbolicLink()) {
      if (!kind.isFile() && !kind.isDirectory()) throw new TreeError('not a regular file');
      return here;
    }
    budget.links += 1;
    if (budget.links > LINKS_LIMIT) throw new TreeError('too many symbolic links');
    const target = this.io.readlink(`${this.#root}/${here}`);
    // An absolute target means the root of the tree, as it did on the node.
    return this.#resolve(target.startsWith('/') ? target.replace(/^\/+/, '') : `${home}/${target}`, budget);
  }

  #folder(path: string, budget: { links: number }): string | undefined {
    if (path === '') return '';
    if (this.#folders.has(path)) return this.#folders.get(path);
    const found = this.#resolve(path, budget);
    this.#folders.set(path, found);
    return found;
  }
}

/** Never waits for the other end of a FIFO; the last component is known not to be a link. */
const openFlags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW | constants.O_NOCTTY;

async function readUpTo(path: string, limitBytes: number): Promise<Buffer> {
  const handle = await open(path, openFlags);
  try {
    const chunks: Buffer[] = [];
    let length = 0;
    for (;;) {
      const chunk = Buffer.alloc(Math.min(4096, limitBytes + 1 - length));
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, null);
      if (bytesRead === 0) return Buffer.concat(chunks);
      length += bytesRead;
      if (length > limitBytes) throw new TreeError(`larger than ${limitBytes} bytes`);
      chunks.push(chunk.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}

function attributeText(bytes: Buffer): string {
  return bytes.toString('utf8').trimEnd();
}

function presentOnly<T>(read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch (error) {
    return absentOrThrow(error);
  }
}

function absentOrThrow(error: unknown): undefined {
  if (ABSENT.has(reasonOf(error))) return undefined;
  throw error;
}

function splitLast(path: string): readonly [string, string] {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? ['', path] : [path.slice(0, slash), path.slice(slash + 1)];
}
