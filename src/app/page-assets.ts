/**
 * The files of the page by the path under which they are served. From a checkout they are read from
 * `src/page`, with the types taken out of the scripts; `hack/build` puts this module's answer into
 * the bundle instead.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import type { PageAsset } from '../http/page.ts';

const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  html: 'text/html; charset=utf-8',
  svg: 'image/svg+xml',
  ts: 'text/javascript; charset=utf-8',
};

/** `/` is `index.html`; a script keeps its name, `/main.ts`. */
export function pageAssets(): ReadonlyMap<string, PageAsset> {
  const folder = join(import.meta.dirname, '../page');
  const assets = new Map<string, PageAsset>();
  for (const name of readdirSync(folder)) {
    const kind = name.slice(name.lastIndexOf('.') + 1);
    const type = TYPES[kind];
    if (type === undefined) continue;
    const text = readFileSync(join(folder, name), 'utf8');
    assets.set(name === 'index.html' ? '/' : `/${name}`, { type, body: kind === 'ts' ? withoutTypes(text) : text });
  }
  return assets;
}

/** Node.js warns once that this is experimental; whoever starts the agent need not read it. */
function withoutTypes(source: string): string {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}
