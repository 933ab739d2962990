/**
 * Which resources were ever offered since the node started, over restarts of the agent: a file
 * that is left of a resource which is configured no more can only then be told from other
 * people's. Not a record of devices. To debug: it is a JSON array of names.
 */
import type { Logger } from '../engine/logger.ts';
import { textOf, writeWhole } from './whole-file.ts';

export class OfferedResources {
  readonly #path: string | undefined;
  readonly #log: Logger;
  #resources: ReadonlySet<string>;

  /** `path` lies on a tmpfs, as the files that it is about; `undefined` remembers nothing. */
  constructor(path: string | undefined, log: Logger) {
    this.#path = path;
    this.#log = log;
    this.#resources = new Set(path === undefined ? [] : namesOf(textOf(path)));
  }

  /** In no order. */
  list(): readonly string[] {
    return [...this.#resources];
  }

  /** Remembers these and forgets all others. Written only when they are others. */
  set(resources: Iterable<string>): void {
    const next = new Set(resources);
    const same = next.size === this.#resources.size && [...next].every((name) => this.#resources.has(name));
    if (same) return;
    this.#resources = next;
    if (this.#path === undefined) return;
    try {
      writeWhole(this.#path, JSON.stringify([...next]), 0o600);
    } catch (error) {
      // Only a later agent misses it, and then a file too many stays.
      this.#log.warn({ err: error }, 'offered resources not remembered');
    }
  }
}

function namesOf(text: string | undefined): readonly string[] {
  if (text === undefined) return [];
  try {
    const names: unknown = JSON.parse(text);
    return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}
