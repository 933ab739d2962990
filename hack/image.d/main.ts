/**
 * The image of one architecture: `node hack/image.d/main.ts --arch x64 --release DIST --shim FILE --work DIR --out DIR`.
 * hack/image calls it. To look into what it made: `tar -tf out/berth-*.tar`, then `tar -tzf` of a layer.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { TarEntry } from '../../src/linux/tar.ts';
import { type Arch, librariesFor, PLATFORM, placeOf } from './libraries.ts';
import { fetchPackage, type LockedPackage, lockedPackages } from './npm-packages.ts';
import { image } from './oci.ts';
import { billOfMaterials } from './sbom.ts';

const checkout = resolve(import.meta.dirname, '../..');
const HOME = 'usr/lib/berth';
/** Where the DaemonSet mounts something: the root file system is read-only, and not every runtime makes them. */
const FOLDERS = [
  'dev',
  'etc/berth',
  'etc/cni/net.d',
  'host/proc',
  'opt/cni/bin',
  'proc',
  'run/berth',
  'run/cni',
  'run/netns',
  'sys',
  'var/cache/berth',
  'var/lib/berth',
  'var/lib/cni',
  'var/lib/kubelet',
];

const { values } = parseArgs({
  options: {
    arch: { type: 'string' },
    release: { type: 'string' },
    shim: { type: 'string' },
    work: { type: 'string' },
    out: { type: 'string' },
  },
});
const arch = required('arch') as Arch;
const [release, shim, work, out] = [required('release'), required('shim'), required('work'), required('out')];
const machine: Arch = process.arch === 'arm64' ? 'arm64' : 'x64';

const { version } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { version: string };
const name = `berth.dev/berth:${version}`;
const nodeName = `node-linux-${arch}`;
const nodeLocked = locked(lockedPackages(join(checkout, 'hack/node/package-lock.json')), nodeName);
const node = join(nodeHome(), 'bin/node');
const koffiName = `@koromix/koffi-linux-${arch}`;
const projectLock = lockedPackages(join(checkout, 'package-lock.json'));
const releaseFiles = filesOfRelease();
const koffi = releaseFiles.find(({ path }) => path.endsWith(`linux_${arch}/koffi.node`));
if (koffi === undefined) throw new Error(`the release has no koffi for ${arch}`);
const koffiFile = join(work, `koffi-${arch}.node`);
writeFileSync(koffiFile, koffi.bytes);
const { libraries, packages, pciIds } = librariesFor([node, koffiFile], arch, machine, work);

const sbom = Buffer.from(
  `${JSON.stringify(
    billOfMaterials({
      version,
      image: name,
      node: { name: nodeName, locked: nodeLocked },
      packages: runtimePackages(),
      debian: packages,
    }),
    undefined,
    2,
  )}\n`,
);

const runtimeFiles: TarEntry[] = [
  file(`${HOME}/node/bin/node`, readFileSync(node), 0o755),
  file(`usr/share/doc/node/LICENSE`, readFileSync(join(nodeHome(), 'LICENSE'))),
  ...libraries.map(({ soname, bytes }) => file(placeOf(soname, arch), bytes, 0o755)),
  ...packages.map((entry) => file(`usr/share/doc/${entry.name}/copyright`, Buffer.from(entry.copyright))),
  file('usr/share/misc/pci.ids', pciIds),
  file('etc/passwd', Buffer.from('root:x:0:0:root:/:/sbin/nologin\n')),
  file('etc/group', Buffer.from('root:x:0:\n')),
  file('etc/nsswitch.conf', Buffer.from('hosts: files dns\n')),
  { path: 'tmp', kind: 'folder', mode: 0o1777 },
  { path: 'var/run', kind: 'link', target: '../run' },
];
const programFiles: TarEntry[] = [
  ...releaseFiles,
  file(`${HOME}/dist/berth-shim`, readFileSync(shim), 0o755),
  // Also for `kubectl exec`: there is no shell. One option is what a first line can carry.
  file(
    'usr/bin/berth',
    Buffer.from(`#!/${HOME}/node/bin/node --max-semi-space-size=2\nimport('/${HOME}/dist/berth.js');\n`),
    0o755,
  ),
  file('usr/share/doc/berth/LICENSE', readFileSync(join(checkout, 'LICENSE'))),
  file('usr/share/sbom/berth.cdx.json', sbom),
];
const made = image({
  name,
  architecture: PLATFORM[arch].oci,
  layers: [
    { comment: 'Node.js and its libraries', entries: withFolders([...runtimeFiles, ...FOLDERS.map(folder)]) },
    { comment: `berth ${version}`, entries: withFolders(programFiles) },
  ],
  config: {
    Entrypoint: ['/usr/bin/berth'],
    Cmd: ['agent'],
    WorkingDir: '/',
    // As in bin/berth, which says why.
    Env: ['PATH=/usr/bin', 'UV_THREADPOOL_SIZE=64', 'MALLOC_ARENA_MAX=2', 'NODE_COMPILE_CACHE=/var/cache/berth'],
    Labels: {
      'org.opencontainers.image.title': 'berth',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.licenses': 'Apache-2.0',
    },
  },
});

mkdirSync(out, { recursive: true });
place(join(out, `berth-${version}-${arch}.tar`), made.archive);
place(join(out, `berth-${version}-${arch}.cdx.json`), sbom);
const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
process.stderr.write(
  `image: ${name} for ${arch}: ${mebibytes(made.compressedBytes)} compressed, ${mebibytes(made.unpackedBytes)} unpacked\n`,
);
process.stdout.write(`${join(out, `berth-${version}-${arch}.tar`)} ${made.digest}\n`);

function required(option: keyof typeof values): string {
  const value = values[option];
  if (value === undefined) throw new Error(`--${option} is missing`);
  return value;
}

function locked(packages: Readonly<Record<string, LockedPackage>>, name: string): LockedPackage {
  const found = packages[`node_modules/${name}`];
  if (found === undefined) throw new Error(`the lock file has no ${name}`);
  return found;
}

/** The one that hack/setup installed; the other architecture's, or one that it did not need, is fetched. */
function nodeHome(): string {
  const installed = process.env['BERTH_NODE_HOME'] ?? '';
  if (arch === machine && basename(installed) === nodeName) {
    try {
      const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as { version?: string };
      if (manifest.version === nodeLocked.version) return installed;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return fetchedNode();
}

function fetchedNode(): string {
  const unpacked = join(work, 'npm', nodeName, 'package');
  try {
    if (statSync(unpacked).isDirectory()) return unpacked;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return fetchPackage(nodeName, nodeLocked, work);
}

/** The release's files, with koffi for the image's architecture. */
function filesOfRelease(): (TarEntry & { kind: 'file' })[] {
  const files = listFiles(release)
    .filter((path) => path !== 'berth-shim' && !(arch !== machine && path.includes('/@koromix/')))
    .map((path) => file(`${HOME}/dist/${path}`, readFileSync(join(release, path))));
  if (arch === machine) return files;
  const unpacked = fetchPackage(koffiName, locked(projectLock, koffiName), work);
  const loaded = listFiles(unpacked).filter((path) => /\.(js|cjs|json|node)$/.test(path) && !path.includes('musl_'));
  return [
    ...files,
    ...loaded.map((path) => file(`${HOME}/dist/node_modules/${koffiName}/${path}`, readFileSync(join(unpacked, path)))),
  ];
}

/** What `dependencies` of package.json bring, less other platforms' builds. */
function runtimePackages(): Record<string, LockedPackage> {
  const others = (list: string | readonly string[] | undefined, wanted: string): boolean =>
    list !== undefined && ![list].flat().includes(wanted);
  const entries = Object.entries(projectLock).flatMap(([path, entry]) => {
    const cut = path.lastIndexOf('node_modules/');
    if (cut < 0 || entry.dev === true || entry.devOptional === true) return [];
    if (others(entry.cpu, arch) || others(entry.os, 'linux') || others(entry.libc, 'glibc')) return [];
    return [[path.slice(cut + 'node_modules/'.length), entry] as const];
  });
  return Object.fromEntries(entries);
}

function listFiles(root: string): readonly string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

function file(path: string, bytes: Buffer, mode = 0o644): TarEntry & { kind: 'file' } {
  return { path, kind: 'file', mode, bytes };
}

function folder(path: string): TarEntry {
  return { path, kind: 'folder', mode: 0o755 };
}

/** Adds the folders that the entries lie in. */
function withFolders(entries: readonly TarEntry[]): readonly TarEntry[] {
  const present = new Set(entries.map(({ path }) => path));
  const missing = new Set<string>();
  for (const { path } of entries) {
    for (let parent = dirname(path); parent !== '.'; parent = dirname(parent)) {
      if (!present.has(parent)) missing.add(parent);
    }
  }
  return [...entries, ...[...missing].map(folder)];
}

/** Whole or not at all. */
function place(path: string, bytes: Buffer): void {
  writeFileSync(`${path}.new`, bytes);
  renameSync(`${path}.new`, path);
}
