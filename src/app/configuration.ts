/** The agent's configuration over its life: the newest good one, and what is wrong with a newer one. */
import { existsSync } from 'node:fs';
import { type Config, DEFAULT_CONFIG_FILE, watchConfig, zeroConfig } from '../config/index.ts';
import type { Logger } from '../engine/logger.ts';
import { describeProblem } from '../engine/view.ts';

export interface FollowedConfiguration {
  readonly current: Config;
  /** The file, or `built-in` while there is none. */
  readonly source: string;
  /** Of the newest file, as lines that a person reads; when there are any, `current` is an older one. */
  readonly problems: readonly string[];
  /** Calls the listener with each newer configuration. */
  subscribe(listener: (config: Config) => void): void;
  stop(): void;
}

/**
 * Follows `file`, or the default file, which may be missing. While a file is broken from the start
 * nothing is offered: its author meant something, and the zero configuration is not it.
 */
export async function followConfiguration(file: string | undefined, log: Logger): Promise<FollowedConfiguration> {
  const path = file ?? DEFAULT_CONFIG_FILE;
  const listeners: ((config: Config) => void)[] = [];
  const watch = await watchConfig({
    file: path,
    optional: file === undefined,
    fallback: { ...zeroConfig(), pools: [] },
    onChange: (config) => {
      log.info({ file: path, pools: config.pools.length }, 'configuration changed');
      for (const listener of listeners) listener(config);
    },
    onProblems: (problems) => {
      const fields = { file: path, problems: problems.map((problem) => describeProblem(path, problem)) };
      if (problems.length === 0) log.info(fields, 'configuration is good again');
      else log.error(fields, 'configuration is broken; what ran before runs on');
    },
    log,
  });
  return {
    get current() {
      return watch.current;
    },
    get source() {
      return file !== undefined || existsSync(path) ? path : 'built-in';
    },
    get problems() {
      return watch.problems.map((problem) => describeProblem(path, problem));
    },
    subscribe: (listener) => void listeners.push(listener),
    stop: () => watch.stop(),
  };
}
