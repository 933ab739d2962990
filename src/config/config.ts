/**
 * The agent's configuration: one YAML or JSON file, validated whole, or none at all. It reads and
 * judges files; who acts on them is src/app. To debug: `berth lint -f FILE`.
 */
import { open } from 'node:fs/promises';
import type { PoolSpec } from '../engine/pools/model.ts';
import { zeroConfigPools } from '../engine/pools/zero-config.ts';
import { readBerthDocument } from './berth-document.ts';
import { type CniConfig, DEFAULT_CNI } from './cni.ts';
import { type LocatedDocument, MAX_CONFIG_BYTES, parseText } from './document.ts';
import { isMacvtapDocument, readMacvtapDocument } from './macvtap-document.ts';
import type { ConfigProblem } from './problem.ts';
import { prefixProblem } from './resource-name.ts';
import { isSdpDocument, readSdpDocument, SDP_PREFIX } from './sdp-document.ts';

/** Where macvtap-cni's device plugin has its configuration. */
export const MACVTAP_VARIABLE = 'DP_MACVTAP_CONF';

/** Where the file is unless told otherwise. */
export const DEFAULT_CONFIG_FILE = '/etc/berth/config.yaml';

export interface Config {
  readonly pools: readonly PoolSpec[];
  /** How resources are registered with kubelet. */
  readonly registration: 'auto' | 'watcher' | 'legacy';
  /** Device nodes are given by CDI names. */
  readonly cdi: boolean;
  readonly cni: CniConfig;
  /** Folders that the file sets; flags come before them and defaults after. */
  readonly paths: ConfigPaths;
}

export interface ConfigPaths {
  readonly kubeletDir?: string;
  readonly deviceInfoDir?: string;
  readonly cdiDir?: string;
  readonly runDir?: string;
  readonly stateDir?: string;
}

/** What the command line and the environment say about a file's contents. */
export interface ConfigOptions {
  /** Prefix of every resource that does not bring its own. */
  readonly resourcePrefix?: string;
  /** What `DP_MACVTAP_CONF` says, where it is set: macvtap-cni's configuration, besides the file. */
  readonly macvtap?: string;
}

/** A configuration, or why there is none: `config` is absent exactly when a problem is an error. */
export interface ConfigResult {
  readonly config?: Config;
  readonly problems: readonly ConfigProblem[];
}

/** What runs without a file. */
export function zeroConfig({ resourcePrefix }: ConfigOptions = {}): Config {
  return { pools: zeroConfigPools(resourcePrefix), registration: 'auto', cdi: false, cni: DEFAULT_CNI, paths: {} };
}

/**
 * Judges a file's text, in Berth's own form or one of its peers'; never throws.
 * `name` is what pools call their origin.
 */
export function parseConfig(text: string, name: string, { resourcePrefix }: ConfigOptions = {}): ConfigResult {
  const wrong = resourcePrefix === undefined ? undefined : prefixProblem(resourcePrefix);
  if (wrong !== undefined) return { problems: [{ path: '', message: `the resource prefix of the options: ${wrong}` }] };
  const { document, problems } = parseText(text);
  if (document === undefined) return { problems };
  const { config, ...told } = readDocument(document, name, resourcePrefix);
  const all = [...problems, ...told.problems].toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
  return config === undefined || problems.length > 0 ? { problems: all } : { config, problems: all };
}

function readDocument(document: LocatedDocument, name: string, resourcePrefix: string | undefined): ConfigResult {
  if (isSdpDocument(document)) return readSdpDocument(document, name, resourcePrefix ?? SDP_PREFIX);
  if (!isMacvtapDocument(document)) return readBerthDocument(document, name, resourcePrefix);
  const { pools, problems } = readMacvtapDocument(document, name);
  return pools === undefined ? { problems } : { config: { ...zeroConfig(), pools }, problems };
}

/**
 * The configuration with the resources of macvtap-cni's `DP_MACVTAP_CONF` behind those of the file.
 * Where no file says anything they are all there is, as in the plugin.
 */
function withMacvtap(result: ConfigResult, text: string, hasFile: boolean): ConfigResult {
  const { document, problems } = parseText(text);
  if (document === undefined) return { problems: [...result.problems, ...problems.map(inVariable)] };
  const told = readMacvtapDocument(document, MACVTAP_VARIABLE);
  const all = [...result.problems, ...[...problems, ...told.problems].map(inVariable)];
  const { config } = result;
  if (config === undefined || told.pools === undefined || problems.length > 0) return { problems: all };
  return { config: { ...config, pools: [...(hasFile ? config.pools : []), ...told.pools] }, problems: all };
}

function inVariable({ line: _line, path, ...problem }: ConfigProblem): ConfigProblem {
  return { path: `${MACVTAP_VARIABLE}${path}`, ...problem };
}

/**
 * Reads and judges a file. A file that does not exist is the zero configuration when `optional`;
 * all else that prevents reading is a problem.
 */
export async function readConfig(file: string, optional: boolean, options: ConfigOptions = {}): Promise<ConfigResult> {
  const read = await readText(file);
  const hasFile = read.text !== undefined || !read.missing || !optional;
  const result = hasFile ? judged(read, file, options) : { config: zeroConfig(options), problems: [] };
  return options.macvtap === undefined ? result : withMacvtap(result, options.macvtap, hasFile);
}

function judged(read: FileText, file: string, options: ConfigOptions): ConfigResult {
  if (read.text === undefined) return { problems: [{ path: '', message: read.message }] };
  return parseConfig(read.text, file, options);
}

type FileText =
  | { readonly text: string }
  | { readonly text?: never; readonly missing: boolean; readonly message: string };

const READ_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file (ENOENT)',
  EACCES: 'this user may not read it (EACCES)',
  EISDIR: 'it is a folder (EISDIR)',
};

/** At most one byte more than allowed, so that a huge file costs nothing. */
async function readText(file: string): Promise<FileText> {
  try {
    const handle = await open(file);
    try {
      const buffer = Buffer.alloc(MAX_CONFIG_BYTES + 1);
      let length = 0;
      for (;;) {
        const { bytesRead } = await handle.read(buffer, length, buffer.length - length);
        length += bytesRead;
        if (bytesRead === 0 || length === buffer.length) break;
      }
      return { text: buffer.toString('utf8', 0, length) };
    } finally {
      await handle.close();
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    return {
      missing: code === 'ENOENT',
      message: `it cannot be read: ${READ_FAILURES[code] ?? (code || String(error))}`,
    };
  }
}
