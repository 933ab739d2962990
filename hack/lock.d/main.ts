/**
 * The second half of `hack/lock`: adds to a lock file the optional dependencies that npm left out because
 * the registry it asked does not have them. On a file that lacks none it changes nothing.
 * With `--check` it changes nothing at all and fails, naming what is wrong, when a file would not install
 * everywhere: a host in it, an entry missing, or other dependencies than package.json has.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

interface Entry {
  readonly version?: string;
  readonly resolved?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
}

/** Words of a package's name that say for which platform it is, as npm's `os`, `cpu` and `libc` name it. */
const OS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const CPU: Readonly<Record<string, string>> = {
  aarch64: 'arm64',
  arm: 'arm',
  arm64: 'arm64',
  armv7: 'arm',
  ia32: 'ia32',
  loong64: 'loong64',
  mips64el: 'mips64el',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
  x64: 'x64',
};
const LIBC: Readonly<Record<string, string>> = { gnu: 'glibc', musl: 'musl', gnueabihf: 'glibc', musleabihf: 'musl' };

interface Lock {
  packages: Record<string, Entry>;
}

const [mode, ...paths] = process.argv.slice(2);
if ((mode !== '--check' && mode !== '--complete') || paths.length === 0) {
  throw new Error('usage: node hack/lock.d/main.ts --check|--complete LOCKFILE...');
}
for (const path of paths) {
  const lock = JSON.parse(readFileSync(path, 'utf8')) as Lock;
  if (mode === '--complete') complete(path, lock);
  else check(path, lock);
}

function complete(path: string, lock: Lock): void {
  for (const { name, version, parent } of missing(lock)) {
    lock.packages[`node_modules/${name}`] = entryFor(name, version, parent);
  }
  // npm's own order: the root first, then by path.
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')));
  writeFileSync(path, `${JSON.stringify(lock, undefined, 2)}\n`);
}

function check(path: string, lock: Lock): void {
  const manifest = JSON.parse(readFileSync(join(dirname(path), 'package.json'), 'utf8')) as Entry;
  const problems = missing(lock).map(({ name }) => `lacks ${name}, so npm ci refuses it`);
  for (const [key, { resolved }] of Object.entries(lock.packages)) {
    if (resolved !== undefined) problems.push(`names a host for ${key}`);
  }
  for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies'] as const) {
    const locked = JSON.stringify(lock.packages['']?.[kind] ?? {});
    if (locked !== JSON.stringify(manifest[kind] ?? {})) problems.push(`has other ${kind} than package.json`);
  }
  for (const problem of problems) process.stderr.write(`${path}: ${problem}; run hack/lock\n`);
  if (problems.length > 0) process.exitCode = 1;
}

/** The optional dependencies without an entry, with the package that asks for them. */
function missing(lock: Lock): { name: string; version: string; parent: Entry }[] {
  return Object.values(lock.packages).flatMap((parent) =>
    Object.entries(parent.optionalDependencies ?? {})
      .filter(([name]) => lock.packages[`node_modules/${name}`] === undefined)
      .map(([name, version]) => ({ name, version, parent })),
  );
}

function entryFor(name: string, version: string, parent: Entry): Entry {
  const words = name.slice(name.indexOf('/') + 1).split('-');
  const os = words.filter((word) => OS.includes(word));
  const cpu = words.map((word) => CPU[word]).filter((word) => word !== undefined);
  const libc = words.map((word) => LIBC[word]).filter((word) => word !== undefined);
  if (os.length !== 1 || cpu.length !== 1 || !/^[0-9]+\.[0-9]+\.[0-9]+$/.test(version)) {
    throw new Error(
      `${name}@${version} is missing from the registry, and its name tells no platform: it may be needed`,
    );
  }
  return {
    version,
    cpu,
    ...(parent.dev === true ? { dev: true } : {}),
    ...(libc.length > 0 && os[0] === 'linux' ? { libc } : {}),
    optional: true,
    os,
  };
}
