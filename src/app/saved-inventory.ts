/** An inventory that somebody saved: JSON or YAML as the command prints it, or a captured tree. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { BerthError } from '../engine/errors.ts';
import type { SavedInventory } from '../engine/inventory/compare.ts';
import { readBounded } from './bounded-text.ts';

const object = z.record(z.string(), z.unknown());

const nic = z.looseObject({ address: z.string(), vfs: z.array(object), scalable: z.array(object).optional() });

/** Only what comparing needs; fields of newer releases stay. */
const saved = z.object({
  node: object,
  nics: z.array(nic),
  accelerators: z.array(nic).default([]),
  virtual: z.array(object).default([]),
  findings: z.array(object).default([]),
});

const LIMIT_BYTES = 64 * 2 ** 20;

/**
 * `readTree` gives the document of a folder.
 * @throws BerthError `NotFound` or `Io` when it cannot be read, `Invalid` when it is no inventory.
 */
export async function readSaved(path: string, readTree: (root: string) => Promise<unknown>): Promise<SavedInventory> {
  const document = await documentOf(path, readTree);
  const parsed = saved.safeParse(document);
  if (parsed.success) return parsed.data;
  throw invalid(path, mistakeIn(parsed.error));
}

/** `nics[0].address is missing`, `nics is no list`. */
function mistakeIn({ issues }: z.ZodError): string {
  const [issue] = issues;
  if (issue === undefined || issue.path.length === 0) return 'neither JSON nor YAML of an object';
  const [first, ...rest] = issue.path.map(String);
  const field = rest.reduce((path, part) => (/^[0-9]+$/.test(part) ? `${path}[${part}]` : `${path}.${part}`), first);
  const wanted =
    issue.code === 'invalid_type' ? ` (wanted: ${issue.expected === 'record' ? 'object' : issue.expected})` : '';
  return `${field} is missing or of another type${wanted}`;
}

async function documentOf(path: string, readTree: (root: string) => Promise<unknown>): Promise<unknown> {
  const text = await textOf(path);
  if (text === undefined) return await readTree(path);
  try {
    // JSON is YAML, but reading it as such takes ten times as long.
    return text.trimStart().startsWith('{') ? JSON.parse(text) : parse(text, { maxAliasCount: 0 });
  } catch (cause) {
    throw invalid(path, cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause));
  }
}

/** `undefined` for a folder. */
async function textOf(path: string): Promise<string | undefined> {
  try {
    const info = await stat(path);
    if (info.isDirectory()) return undefined;
    const text = await readBounded(createReadStream(path), LIMIT_BYTES);
    if (text === undefined) throw invalid(path, `more than ${LIMIT_BYTES} bytes`);
    return text;
  } catch (cause) {
    if (cause instanceof BerthError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new BerthError({
      code: code === 'ENOENT' ? 'NotFound' : 'Io',
      reason: 'saved-inventory-unreadable',
      message: `${path}: ${message}`,
      remedy: 'Name a file of `berth inventory -o json`, or a folder of `berth capture`.',
      cause,
    });
  }
}

function invalid(path: string, why: string): BerthError {
  return new BerthError({
    code: 'Invalid',
    reason: 'saved-inventory-invalid',
    message: `${path} is no inventory: ${why}`,
    remedy: 'Save one with `berth inventory -o json` (or yaml), or name a folder of `berth capture`.',
  });
}
