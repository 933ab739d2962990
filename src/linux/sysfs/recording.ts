/** A tree that remembers what was read from it, in the form in which it can be written as files. */
import type { Dirent } from 'node:fs';
import { posix } from 'node:path';
import type { Tree } from './tree.ts';

export class RecordingTree implements Tree {
  readonly live: boolean;
  readonly files = new Map<string, Buffer>();
  /** Targets of symbolic links by path. */
  readonly links = new Map<string, string>();
  readonly folders = new Set<string>();
  readonly #inner: Tree;

  constructor(inner: Tree) {
    this.#inner = inner;
    this.live = inner.live;
  }

  /** Adds an attribute that was not read, in the folder that `folder` really is. */
  add(folder: string, attribute: string, text: string): void {
    const home = this.#inner.real(folder);
    if (home !== undefined) this.files.set(`${home}/${attribute}`, Buffer.from(`${text}\n`));
  }

  text(path: string): string | undefined {
    return this.#text(path, this.#inner.text(path));
  }

  async textLater(path: string): Promise<string | undefined> {
    return this.#text(path, await this.#inner.textLater(path));
  }

  #text(path: string, text: string | undefined): string | undefined {
    if (text !== undefined) this.files.set(this.#settled(path), Buffer.from(`${text}\n`));
    return text;
  }

  async bytesLater(path: string, limitBytes: number): Promise<Buffer | undefined> {
    const bytes = await this.#inner.bytesLater(path, limitBytes);
    if (bytes !== undefined) this.files.set(this.#settled(path), bytes);
    return bytes;
  }

  list(path: string): readonly Dirent[] | undefined {
    const entries = this.#inner.list(path);
    if (entries === undefined) return undefined;
    const home = this.#settled(path);
    this.folders.add(home);
    for (const entry of entries) {
      const at = `${home}/${entry.name}`;
      if (entry.isDirectory()) this.folders.add(at);
      else if (entry.isSymbolicLink()) this.#link(at, this.#inner.linkTarget(at));
    }
    return entries;
  }

  real(path: string): string | undefined {
    const home = this.#inner.real(path);
    if (home === undefined) return undefined;
    this.folders.add(home);
    if (home !== path) this.#link(path, posix.relative(posix.dirname(path), home));
    return home;
  }

  linkTarget(path: string): string | undefined {
    const target = this.#inner.linkTarget(path);
    this.#link(path, target);
    return target;
  }

  inode(path: string): string | undefined {
    return this.#inner.inode(path);
  }

  subfolders(path: string): number | undefined {
    return this.#inner.subfolders(path);
  }

  forget(): void {
    this.#inner.forget();
  }

  /** Readers ask in resolved folders; what they ask by a name with links in it belongs where it leads. */
  #settled(path: string): string {
    return this.#inner.real(path) ?? path;
  }

  #link(path: string, target: string | undefined): void {
    const folder = this.#inner.real(posix.dirname(path));
    if (target !== undefined && folder !== undefined) this.links.set(posix.join(folder, posix.basename(path)), target);
  }
}
