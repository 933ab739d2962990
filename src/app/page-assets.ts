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
  svg: 'image/svg+xml',
  ts: 'text/javascript; charset=utf-8',
};

/** Of which page: that of a node, or that of the cluster. */
export type PageKind = 'node' | 'cluster';

/** `/` is `head.html` and then `node.html` or `cluster.html`; a script keeps its name, `/node.ts`. */
export function pageAssets(kind: PageKind): ReadonlyMap<string, PageAsset> {
  const folder = join(import.meta.dirname, '../page');
  const assets = new Map<string, PageAsset>();
  for (const name of readdirSync(folder)) {
    const ending = name.slice(name.lastIndexOf('.') + 1);
    const type = TYPES[ending];
    if (type === undefined) continue;
    const text = readFileSync(join(folder, name), 'utf8');
    assets.set(`/${name}`, { type, body: ending === 'ts' ? withoutTypes(text) : text });
  }
  assets.set('/', { type: 'text/html; charset=utf-8', body: pageHtml(folder, kind) });
  return assets;
}

/** What both pages begin with, and the page's own. */
export function pageHtml(folder: string, kind: PageKind): string {
  return ['head', kind].map((name) => readFileSync(join(folder, `${name}.html`), 'utf8')).join('');
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
