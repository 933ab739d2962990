/** The agent's configuration over its life: the newest good one, and what is wrong with a newer one. */
import { existsSync } from 'node:fs';
import {
  type Config,
  type ConfigOptions,
  type ConfigProblem,
  DEFAULT_CONFIG_FILE,
  MACVTAP_VARIABLE,
  watchConfig,
  zeroConfig,
} from '../config/index.ts';
import { type Clock, systemClock } from '../engine/clock.ts';
import type { Logger } from '../engine/logger.ts';
import { describeProblem, isError, type RunningConfiguration } from '../engine/view.ts';

export interface FollowedConfiguration {
  readonly current: Config;
  /** The file, or `built-in` while there is none. */
  readonly source: string;
  /** From the options; it comes before the file's. */
  readonly resourcePrefix: string | undefined;
  /** Where `current` is from. */
  readonly running: RunningConfiguration;
  /** When the current configuration was taken; `undefined` while nothing runs. */
  readonly takenAt: Date | undefined;
  /** Since when the newest file is one that cannot be used; `undefined` while it can. */
  readonly brokenSince: Date | undefined;
  /** Changes of the file since the start: those that were taken, and those that were refused. */
  readonly reloads: { readonly taken: number; readonly refused: number };
  /** Errors of the newest file, as lines that a person reads; when there are any, `running` says what is used instead. */
  readonly problems: readonly string[];
  /** The same for what does not keep the file from being used. */
  readonly warnings: readonly string[];
  /** Calls the listener with each newer configuration. */
  subscribe(listener: (config: Config) => void): void;
  /** Calls back when the file was taken or refused; answers the function that ends it. */
  onLook(listener: () => void): () => void;
  stop(): void;
}

const INSTEAD: Readonly<Record<RunningConfiguration, string>> = {
  file: 'what ran before runs on',
  'built-in': 'the built-in one runs on',
  nothing: 'nothing is offered until it is mended',
};

/** What the environment says besides the file; an empty variable says nothing. */
export function environmentOptions(): ConfigOptions {
  const macvtap = process.env[MACVTAP_VARIABLE];
  return macvtap === undefined || macvtap === '' ? {} : { macvtap };
}

/**
 * Follows `file`, or the default file, which may be missing. While a file is broken from the start
 * nothing is offered: its author meant something, and the zero configuration is not it.
 */
export async function followConfiguration(
  file: string | undefined,
  { resourcePrefix }: ConfigOptions,
  log: Logger,
  clock: Pick<Clock, 'now'> = systemClock,
): Promise<FollowedConfiguration> {
  const path = file ?? DEFAULT_CONFIG_FILE;
  const listeners: ((config: Config) => void)[] = [];
  const lookers = new Set<() => void>();
  const looked = (): void => {
    for (const looker of lookers) looker();
  };
  const lines = (problems: readonly ConfigProblem[]): readonly string[] =>
    problems.map((problem) => describeProblem(path, problem));
  const reloads = { taken: 0, refused: 0 };
  let running: RunningConfiguration = 'nothing';
  let takenAt: Date | undefined;
  let brokenSince: Date | undefined;
  const isThere = (): boolean => file !== undefined || existsSync(path);
  const taken = (): void => {
    running = isThere() ? 'file' : 'built-in';
    takenAt = clock.now();
  };
  const watch = await watchConfig({
    ...(resourcePrefix === undefined ? {} : { resourcePrefix }),
    ...environmentOptions(),
    file: path,
    optional: file === undefined,
    fallback: { ...zeroConfig(), pools: [] },
    onChange: (config) => {
      taken();
      reloads.taken += 1;
      log.info({ file: path, pools: config.pools.length }, 'configuration changed');
      for (const listener of listeners) listener(config);
      looked();
    },
    onProblems: (problems) => {
      const fields = { file: path, problems: lines(problems) };
      const isBroken = problems.some(isError);
      if (isBroken) reloads.refused += 1;
      brokenSince = isBroken ? (brokenSince ?? clock.now()) : undefined;
      // What is good now may say what ran already, and then is no change.
      if (!isBroken && running === 'nothing') taken();
      if (isBroken) log.error(fields, `configuration is broken; ${INSTEAD[running]}`);
      else if (problems.length > 0) log.warn(fields, 'configuration is used, and parts of it are ignored');
      else log.info(fields, 'configuration is good again');
      looked();
    },
    log,
  });
  if (running === 'nothing' && !watch.problems.some(isError)) taken();
  return {
    get current() {
      return watch.current;
    },
    get source() {
      return isThere() ? path : 'built-in';
    },
    get running() {
      return running;
    },
    resourcePrefix,
    reloads,
    get takenAt() {
      return takenAt;
    },
    get brokenSince() {
      return brokenSince;
    },
    get problems() {
      return lines(watch.problems.filter(isError));
    },
    get warnings() {
      return lines(watch.problems.filter((problem) => !isError(problem)));
    },
    subscribe: (listener) => void listeners.push(listener),
    onLook: (listener) => {
      lookers.add(listener);
      return () => lookers.delete(listener);
    },
    stop: () => watch.stop(),
  };
}
