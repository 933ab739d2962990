/**
 * Follows the configuration file. It watches folders, not the file: editors replace files, and a
 * mounted ConfigMap changes by a swap of its `..data` link. A broken new file changes nothing; it is
 * reported, and the configuration before it runs on.
 */
import { existsSync, type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../engine/logger.ts';
import { type Config, type ConfigOptions, readConfig } from './config.ts';
import type { ConfigProblem } from './problem.ts';

export interface ConfigWatch {
  /** The newest configuration without errors. */
  readonly current: Config;
  /** Of the newest file; when one is an error, `current` is an older one. */
  readonly problems: readonly ConfigProblem[];
  stop(): void;
}

export interface WatchConfigOptions extends ConfigOptions {
  readonly file: string;
  /** No file is the zero configuration: for the default file, not for one that somebody named. */
  readonly optional: boolean;
  /** What runs until the file has no errors; used when the first reading finds some. */
  readonly fallback: Config;
  /** Called after `current` changed, never for the first reading. */
  readonly onChange: (config: Config) => void;
  /** Called when the problems changed, for the first reading too when there are any. */
  readonly onProblems: (problems: readonly ConfigProblem[]) => void;
  readonly log: Logger;
  /** How long changes are gathered: editors write in several steps. */
  readonly settleMs?: number;
  /** How often the file is read without any news of it: not every mounted folder tells. */
  readonly pollMs?: number;
}

/** Resolves after the first reading. */
export async function watchConfig(options: WatchConfigOptions): Promise<ConfigWatch> {
  const watcher = new FileWatch(options);
  await watcher.start();
  return watcher;
}

class FileWatch implements ConfigWatch {
  readonly #options: WatchConfigOptions;
  current: Config;
  problems: readonly ConfigProblem[] = [];
  #watcher: FSWatcher | undefined;
  #watched: string | undefined;
  #settling: NodeJS.Timeout | undefined;
  #polling: NodeJS.Timeout | undefined;
  #reading: Promise<void> = Promise.resolve();
  #isFirst = true;
  #stopped = false;

  constructor(options: WatchConfigOptions) {
    this.#options = options;
    this.current = options.fallback;
  }

  async start(): Promise<void> {
    this.#arm();
    await this.#read();
    this.#polling = setInterval(() => this.#later(0), this.#options.pollMs ?? 10_000);
    this.#polling.unref();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#settling);
    clearInterval(this.#polling);
    this.#watcher?.close();
  }

  #later(delayMs: number): void {
    clearTimeout(this.#settling);
    if (this.#stopped) return;
    this.#settling = setTimeout(() => {
      this.#arm();
      this.#reading = this.#reading.then(() => this.#read());
    }, delayMs);
    this.#settling.unref();
  }

  async #read(): Promise<void> {
    const { file, optional, onChange, onProblems } = this.#options;
    const { config, problems } = await readConfig(file, optional, this.#options);
    if (this.#stopped) return;
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    if (!isDeepStrictEqual(problems, this.problems)) {
      this.problems = problems;
      onProblems(problems);
    }
    if (config === undefined || isDeepStrictEqual(config, this.current)) return;
    this.current = config;
    if (!isFirst) onChange(config);
  }

  /** Watches the file's folder, or while that is missing the nearest that exists. */
  #arm(): void {
    const { file, log } = this.#options;
    let folder = dirname(file);
    while (!existsSync(folder) && folder !== dirname(folder)) folder = dirname(folder);
    if (folder === this.#watched) return;
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#watched = undefined;
    try {
      this.#watcher = watch(folder, { persistent: false }, () => this.#later(this.#options.settleMs ?? 50));
      this.#watcher.on('error', (error) => {
        log.warn({ folder, err: error }, 'configuration folder not watched any more; reading it every now and then');
        this.#watched = undefined;
      });
      this.#watched = folder;
    } catch (error) {
      log.warn({ folder, err: error }, 'configuration folder cannot be watched; reading it every now and then');
    }
  }
}
