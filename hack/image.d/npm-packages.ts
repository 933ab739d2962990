/**
 * npm packages for the image that this machine did not install, because they are another architecture's:
 * fetched by `npm pack`, compared with the lock file's hash, unpacked without running anything of them.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface LockedPackage {
  readonly version: string;
  readonly integrity: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly cpu?: string | readonly string[];
  readonly os?: string | readonly string[];
  readonly libc?: string | readonly string[];
}

/** Packages of a lock file by path, `node_modules/koffi`. */
export function lockedPackages(lockFile: string): Readonly<Record<string, LockedPackage>> {
  return (JSON.parse(readFileSync(lockFile, 'utf8')) as { packages: Record<string, LockedPackage> }).packages;
}

/** Answers the unpacked package's folder. Throws when its bytes are not those that were locked. */
export function fetchPackage(name: string, locked: LockedPackage, work: string): string {
  const folder = join(work, 'npm', name);
  mkdirSync(folder, { recursive: true });
  const words = ['pack', `${name}@${locked.version}`, '--pack-destination', folder, '--loglevel=error'];
  // npm belongs to the machine's Node.js.
  const environment = { ...process.env, PATH: process.env['BERTH_MACHINE_PATH'] ?? process.env['PATH'] };
  const archive = execFileSync('npm', words, { env: environment, encoding: 'utf8', cwd: folder })
    .trim()
    .split('\n')
    .at(-1);
  const file = join(folder, archive ?? '');
  const hash = `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`;
  if (hash !== locked.integrity) throw new Error(`${name}@${locked.version} is not what the lock file names: ${hash}`);
  execFileSync('tar', ['-xzf', file, '-C', folder, '--no-same-owner']);
  return join(folder, 'package');
}
