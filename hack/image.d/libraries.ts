/**
 * Shared libraries for the image: those that Node.js and koffi name in their ELF headers, and what those
 * name in turn. For this machine's architecture they are its own files, so nothing is downloaded; for
 * the other one they come out of Debian's packages, fetched by apt-get without touching the machine's
 * own package state.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

export type Arch = 'x64' | 'arm64';

/** Debian's name of each architecture, its folder of libraries, and the dynamic linker's place (psABI). */
export const PLATFORM = {
  x64: { debian: 'amd64', oci: 'amd64', folder: 'lib/x86_64-linux-gnu', linker: 'lib64/ld-linux-x86-64.so.2' },
  arm64: { debian: 'arm64', oci: 'arm64', folder: 'lib/aarch64-linux-gnu', linker: 'lib/ld-linux-aarch64.so.1' },
} as const;

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** Text of its copyright file. */
  readonly copyright: string;
}

export interface Library {
  /** File name under which programs ask for it. */
  readonly soname: string;
  readonly bytes: Buffer;
}

export interface Libraries {
  readonly libraries: readonly Library[];
  readonly packages: readonly DebianPackage[];
  /** The names of PCI vendors and devices (`pci.ids`). */
  readonly pciIds: Buffer;
}

/** Whose packages the libraries are in; the closure decides which files are taken. */
const PACKAGES = ['libc6', 'libgcc-s1', 'libstdc++6', 'pci.ids'];

interface Source {
  /** The file of that name, or `undefined`. */
  find(soname: string): string | undefined;
  readonly packages: readonly DebianPackage[];
  readonly pciIds: string;
}

export function librariesFor(programs: readonly string[], arch: Arch, machine: Arch, work: string): Libraries {
  const source = arch === machine ? machineSource(arch) : downloadedSource(arch, work);
  const found = new Map<string, string>();
  const queue = programs.flatMap(neededBy);
  for (let soname = queue.shift(); soname !== undefined; soname = queue.shift()) {
    if (found.has(soname)) continue;
    const path = source.find(soname);
    if (path === undefined) throw new Error(`${soname} for ${arch} is in none of ${PACKAGES.join(', ')}`);
    found.set(soname, path);
    queue.push(...neededBy(path));
  }
  return {
    libraries: [...found].map(([soname, path]) => ({ soname, bytes: readFileSync(path) })),
    packages: source.packages,
    pciIds: readFileSync(source.pciIds),
  };
}

function neededBy(path: string): readonly string[] {
  const output = execFileSync('readelf', ['--dynamic', '--wide', path], { encoding: 'utf8', stdio: 'pipe' });
  return [...output.matchAll(/\(NEEDED\).*\[(.+)\]/g)].flatMap(([, soname]) => (soname === undefined ? [] : [soname]));
}

function machineSource(arch: Arch): Source {
  const { folder, debian } = PLATFORM[arch];
  const places = [`/${folder}`, `/usr/${folder}`, '/lib64', '/lib'];
  return {
    find: (soname) => places.map((place) => join(place, soname)).find((path) => existsSync(path)),
    packages: PACKAGES.map((name) => {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own
      const query = ['-f', '${Version} ${Architecture}', '-W', name === 'pci.ids' ? name : `${name}:${debian}`];
      const [version = '', architecture = ''] = execFileSync('dpkg-query', query, { encoding: 'utf8' }).split(' ');
      return { name, version, architecture, copyright: copyrightIn('/', name) };
    }),
    pciIds: realpathSync('/usr/share/misc/pci.ids'),
  };
}

function downloadedSource(arch: Arch, work: string): Source {
  const { debian } = PLATFORM[arch];
  const folder = join(work, `debian-${arch}`);
  const root = join(folder, 'root');
  const downloads = join(folder, 'downloads');
  for (const path of ['state/lists/partial', 'cache/archives/partial'])
    mkdirSync(join(folder, path), { recursive: true });
  mkdirSync(root, { recursive: true });
  mkdirSync(downloads, { recursive: true });
  writeFileSync(join(folder, 'status'), '');
  const options = [
    `APT::Architecture=${debian}`,
    `APT::Architectures=${debian}`,
    `Dir::State=${folder}/state`,
    `Dir::State::status=${folder}/status`,
    `Dir::Cache=${folder}/cache`,
    'APT::Sandbox::User=root',
  ].flatMap((option) => ['-o', option]);
  const apt = (...words: string[]): void =>
    void execFileSync('apt-get', ['-q', ...options, ...words], { cwd: downloads, stdio: 'pipe' });
  apt('update');
  // The libraries' copyright file may lie in the package that they share it with.
  apt('download', ...PACKAGES, 'gcc-12-base');
  const files = readdirSync(downloads);
  for (const file of files) execFileSync('dpkg-deb', ['-x', join(downloads, file), root], { stdio: 'pipe' });
  const places = [`${PLATFORM[arch].folder}`, `usr/${PLATFORM[arch].folder}`, 'lib'].map((place) => join(root, place));
  return {
    find: (soname) => places.map((place) => join(place, soname)).find((path) => existsSync(path)),
    packages: PACKAGES.map((name) => {
      const file = files.find((candidate) => candidate.startsWith(`${name}_`)) ?? '';
      const fields = ['-f', join(downloads, file), 'Version', 'Architecture'];
      const output = execFileSync('dpkg-deb', fields, { encoding: 'utf8' });
      const value = (key: string): string => new RegExp(`^${key}: (.*)$`, 'm').exec(output)?.[1] ?? '';
      return {
        name,
        version: value('Version'),
        architecture: value('Architecture'),
        copyright: copyrightIn(root, name),
      };
    }),
    pciIds: join(root, 'usr/share/misc/pci.ids'),
  };
}

function copyrightIn(root: string, name: string): string {
  // A link between packages is absolute in neither place.
  const path = join(root, 'usr/share/doc', name, 'copyright');
  if (existsSync(path)) return readFileSync(path, 'utf8');
  return readFileSync(join(root, 'usr/share/doc/gcc-12-base/copyright'), 'utf8');
}

/** `libc.so.6` lies in the architecture's folder, the dynamic linker where the ABI wants it. */
export function placeOf(soname: string, arch: Arch): string {
  const { folder, linker } = PLATFORM[arch];
  return soname === basename(linker) ? linker : join(folder, soname);
}
