/**
 * The second half of `hack/lock`: adds to a lock file the optional dependencies that npm left out because
 * the registry it asked does not have them. On a file that lacks none it changes nothing.
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface Entry {
  readonly version?: string;
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

const path = process.argv[2];
if (path === undefined) throw new Error('usage: node hack/lock.d/main.ts LOCKFILE');
const lock = JSON.parse(readFileSync(path, 'utf8')) as { packages: Record<string, Entry> };

for (const parent of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    if (lock.packages[key] === undefined) lock.packages[key] = entryFor(name, version, parent);
  }
}
// npm's own order: the root first, then by path.
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en')));
writeFileSync(path, `${JSON.stringify(lock, undefined, 2)}\n`);

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
