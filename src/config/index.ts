/** The configuration's public face. */
export {
  type Config,
  type ConfigOptions,
  type ConfigPaths,
  type ConfigResult,
  DEFAULT_CONFIG_FILE,
  MACVTAP_VARIABLE,
  parseConfig,
  readConfig,
  zeroConfig,
} from './config.ts';
export { configJsonSchema } from './json-schema.ts';
export type { ConfigProblem } from './problem.ts';
export { type ConfigWatch, type WatchConfigOptions, watchConfig } from './watch.ts';
