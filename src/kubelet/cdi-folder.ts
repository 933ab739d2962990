/**
 * The CDI specifications of our pools, one file for each. A runtime reads them when it makes a
 * container, also when a container of an old pod starts again: so a file outlives the agent, and a
 * device that left its pool stays in it as long as a pod holds it. To debug: they are plain JSON,
 * `berth-pool-*.json`, and `berth status` tells of one that cannot be written.
 */
import { statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError, toBerthError } from '../engine/errors.ts';
import type { Logger } from '../engine/logger.ts';
import { type CdiEntries, cdiEntries, cdiFileName, cdiText, resourceOfCdiFile } from './cdi-spec.ts';
import { namesIn, textOf, writeWhole } from './whole-file.ts';

/** `/var/run/cdi` on a node: for files that do not outlive a boot. */
export class CdiFolder {
  readonly #directory: string;
  readonly #log: Logger;
  readonly #files = new Map<string, CdiFile>();

  constructor(directory: string, log: Logger) {
    this.#directory = directory;
    this.#log = log;
  }

  /**
   * Makes the pool's file say at least what `devices` brings, if it does not yet: then `pool` is asked
   * for all its devices, and the file is whole when this returns.
   * @throws BerthError `Io`, `cdi-not-written`; the file is as it was.
   */
  ensure(resource: string, devices: CdiEntries, pool: () => CdiEntries): void {
    const file = this.#file(resource);
    const known = file.stamp !== undefined && file.stamp === stampOf(file.path);
    if (known && [...devices].every(([id, nodes]) => sameNodes(file.entries.get(id), nodes))) return;
    this.#write(resource, file, new Map([...file.entries, ...pool(), ...devices]));
  }

  /** Follows the pool; devices that left it stay until `drop`. Throws as `ensure` does. */
  update(resource: string, pool: CdiEntries): void {
    const file = this.#file(resource);
    const entries = new Map([...file.entries, ...pool]);
    if (file.stamp === stampOf(file.path) && cdiText(resource, entries) === cdiText(resource, file.entries)) return;
    this.#write(resource, file, entries);
  }

  /** Ids in each pool's file, also of pools that only an earlier agent had. */
  async list(): Promise<ReadonlyMap<string, readonly string[]>> {
    const resources = (await namesIn(this.#directory)).flatMap((name) => resourceOfCdiFile(name) ?? []);
    return new Map(resources.map((resource) => [resource, [...this.#file(resource).entries.keys()]]));
  }

  /** Takes devices out of a file, and the file away with the last one. Throws as `ensure` does. */
  async drop(resource: string, ids: readonly string[]): Promise<void> {
    const file = this.#file(resource);
    const entries = new Map([...file.entries].filter(([id]) => !ids.includes(id)));
    if (entries.size > 0) {
      this.#write(resource, file, entries);
      return;
    }
    await rm(file.path, { force: true });
    this.#files.delete(resource);
    this.#log.info({ resource, file: file.path }, 'CDI specification removed');
  }

  /** Why the pool's file is not what it should be; `undefined` when it is. */
  problem(resource: string): BerthError | undefined {
    return this.#files.get(resource)?.problem;
  }

  #file(resource: string): CdiFile {
    const known = this.#files.get(resource);
    if (known !== undefined) return known;
    const path = join(this.#directory, cdiFileName(resource));
    const file: CdiFile = { path, entries: this.#read(path) };
    this.#files.set(resource, file);
    return file;
  }

  #read(path: string): CdiEntries {
    try {
      const text = textOf(path);
      return text === undefined ? new Map() : cdiEntries(text);
    } catch (error) {
      this.#log.warn({ file: path, err: error }, 'CDI specification of an earlier agent cannot be read');
      return new Map();
    }
  }

  #write(resource: string, file: CdiFile, entries: CdiEntries): void {
    try {
      writeWhole(file.path, cdiText(resource, entries), 0o644);
      file.entries = entries;
      file.stamp = stampOf(file.path);
      if (file.problem !== undefined) this.#log.info({ resource }, 'CDI specification is written again');
      file.problem = undefined;
    } catch (error) {
      const cause = toBerthError(error);
      const problem = new BerthError({
        code: 'Io',
        reason: 'cdi-not-written',
        message: `no CDI specification for ${resource}: ${cause.message}`,
        ...(cause.remedy === undefined ? {} : { remedy: cause.remedy }),
        cause,
      });
      if (file.problem?.message !== problem.message) {
        this.#log.error({ resource, error: problem.message }, 'device nodes are given without CDI');
      }
      file.problem = problem;
      throw problem;
    }
  }
}

interface CdiFile {
  readonly path: string;
  /** What the file says. */
  entries: CdiEntries;
  /** Of the file as it was written last; absent before that. */
  stamp?: string | undefined;
  problem?: BerthError | undefined;
}

/** Somebody who removes or edits the file changes it. */
function stampOf(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? undefined : `${found.ino}:${found.size}:${found.ctimeMs}`;
}

function sameNodes(a: readonly string[] | undefined, b: readonly string[]): boolean {
  return a !== undefined && a.length === b.length && a.every((node, at) => node === b[at]);
}
