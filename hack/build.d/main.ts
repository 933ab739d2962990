/**
 * The JavaScript part of `hack/build`: `node hack/build.d/main.ts FOLDER`. Bundles `src/main.ts` with
 * esbuild, copies what cannot be bundled (koffi loads a native file by path) or is text, and collects licences.
 *
 * Not minified: stack traces in a bug report name the functions, and parsing is no part of the start
 * that can be measured. To see what is inside: the `.map` file, or esbuild's `--analyze`.
 */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, extname, join, resolve } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { type PageKind, pageHtml } from '../../src/app/page-assets.ts';

const checkout = resolve(import.meta.dirname, '../..');
const modules = join(checkout, 'node_modules');
const out = process.argv[2];
if (out === undefined) throw new Error('usage: node hack/build.d/main.ts FOLDER');

/** Puts the files of the page into the bundle, in place of the module that reads them from a checkout. */
const embeddedPage: Plugin = {
  name: 'embedded-page',
  setup(builder) {
    builder.onLoad({ filter: /\/src\/app\/page-assets\.ts$/ }, async () => ({
      contents: `const files = ${JSON.stringify(await allPageFiles())};\nexport const pageAssets = (kind) => new Map(files[kind]);`,
      loader: 'js',
    }));
  },
};

type PageFile = readonly [path: string, asset: { readonly type: string; readonly body: string }];

/** By the kind of page. */
async function allPageFiles(): Promise<Readonly<Record<string, readonly PageFile[]>>> {
  return { node: await pageFiles('node'), cluster: await pageFiles('cluster') };
}

/** As `pageAssets` answers them, with one script instead of several. */
async function pageFiles(kind: PageKind): Promise<readonly PageFile[]> {
  const page = join(checkout, 'src/page');
  const { outputFiles } = await build({
    entryPoints: [join(page, `${kind}.ts`)],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2024',
    minifyWhitespace: true,
    legalComments: 'none',
  });
  const script = outputFiles[0]?.text ?? '';
  const file = (name: string): string => readFileSync(join(page, name), 'utf8');
  return [
    ['/', { type: 'text/html; charset=utf-8', body: pageHtml(page, kind) }],
    ['/icon.svg', { type: 'image/svg+xml', body: file('icon.svg') }],
    [`/${kind}.ts`, { type: 'text/javascript; charset=utf-8', body: script }],
    ['/page.css', { type: 'text/css; charset=utf-8', body: file('page.css') }],
  ];
}

const { metafile } = await build({
  absWorkingDir: checkout,
  entryPoints: { berth: 'src/main.ts' },
  outdir: out,
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  external: ['koffi'],
  plugins: [embeddedPage],
  // Packages in CommonJS call require for Node.js's own modules.
  banner: {
    js: "import { createRequire as requireFor } from 'node:module';\nconst require = requireFor(import.meta.url);",
  },
  // What is imported late (gRPC, systeminformation, yaml) stays apart: a command loads what it uses.
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
  sourcemap: 'linked',
  sourcesContent: false,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
});

const bundled = Object.keys(metafile.inputs)
  .map((input) => /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1])
  .filter((name) => name !== undefined);
const nativePackages = readdirSync(join(modules, '@koromix')).map((name) => `@koromix/${name}`);
copyRuntimeFiles('koffi');
for (const name of nativePackages) copyRuntimeFiles(name);
// What `berth help` says of an error.
cpSync(join(checkout, 'docs/troubleshooting.md'), join(out, 'troubleshooting.md'));
const { name, version, license } = readManifest(checkout);
writeFileSync(
  join(out, 'package.json'),
  `${JSON.stringify({ name, version, license, type: 'module' }, undefined, 2)}\n`,
);
writeFileSync(join(out, 'LICENSES.txt'), licences([...new Set([...bundled, 'koffi', ...nativePackages])].sort()));

/** Copies what Node.js loads of a package; its C++ sources, documents and builds for musl stay. */
function copyRuntimeFiles(name: string): void {
  const loaded = ['.js', '.cjs', '.json', '.node'];
  cpSync(join(modules, name), join(out ?? '', 'node_modules', name), {
    recursive: true,
    filter: (path) => {
      const isFolder = extname(path) === '';
      const skipped =
        ['doc', 'vendor', 'lib', 'abi', 'node_modules'].includes(basename(path)) || path.includes('/musl_');
      return (isFolder && !skipped) || loaded.includes(extname(path));
    },
  });
}

/** The licence texts of the packages, one after the other. */
function licences(names: readonly string[]): string {
  return names.map((name) => `${'='.repeat(80)}\n${name}\n\n${licenceOf(join(modules, name))}\n`).join('\n');
}

function licenceOf(folder: string): string {
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  if (file !== undefined) return readFileSync(join(folder, file), 'utf8').trim();
  const { license } = readManifest(folder);
  if (license === undefined) throw new Error(`${folder} names no licence`);
  return `Licence: ${license}`;
}

function readManifest(folder: string): { name: string; version: string; license?: string } {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}
