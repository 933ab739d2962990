/**
 * The agent's configuration: one YAML or JSON file, validated whole, or none at all. It reads and
 * judges files; who acts on them is src/app. To debug: `berth lint -f FILE`.
 */
import { open } from 'node:fs/promises';
import type { PoolSpec } from '../engine/pools/model.ts';
import { zeroConfigPools } from '../engine/pools/zero-config.ts';
import { readBerthDocument } from './berth-document.ts';
import { MAX_CONFIG_BYTES, parseText } from './document.ts';
import type { ConfigProblem } from './problem.ts';

/** Where the file is unless told otherwise. */
export const DEFAULT_CONFIG_FILE = '/etc/berth/config.yaml';

export interface Config {
  readonly pools: readonly PoolSpec[];
  /** How resources are registered with kubelet. */
  readonly registration: 'auto' | 'watcher' | 'legacy';
  /** Folders that the file sets; flags come before them and defaults after. */
  readonly paths: ConfigPaths;
}

export interface ConfigPaths {
  readonly kubeletDir?: string;
  readonly deviceInfoDir?: string;
  readonly runDir?: string;
  readonly stateDir?: string;
}

/** A configuration, or why there is none: `config` is absent exactly when there are problems. */
export interface ConfigResult {
  readonly config?: Config;
  readonly problems: readonly ConfigProblem[];
}

/** What runs without a file. */
export function zeroConfig(): Config {
  return { pools: zeroConfigPools(), registration: 'auto', paths: {} };
}

/** Judges a file's text; never throws. `name` is what pools call their origin. */
export function parseConfig(text: string, name: string): ConfigResult {
  const { document, problems } = parseText(text);
  return document === undefined ? { problems } : readBerthDocument(document, name);
}

/**
 * Reads and judges a file. A file that does not exist is the zero configuration when `optional`;
 * all else that prevents reading is a problem.
 */
export async function readConfig(file: string, optional: boolean): Promise<ConfigResult> {
  const read = await readText(file);
  if (read.text !== undefined) return parseConfig(read.text, file);
  if (read.missing && optional) return { config: zeroConfig(), problems: [] };
  return { problems: [{ path: '', message: read.message }] };
}

/** At most one byte more than allowed, so that a huge file costs nothing. */
async function readText(file: string): Promise<{ text: string } | { text?: never; missing: boolean; message: string }> {
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
    return { missing: code === 'ENOENT', message: `cannot read ${file}: ${code || String(error)}` };
  }
}
