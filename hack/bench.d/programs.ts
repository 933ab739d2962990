/**
 * The benchmark's C programs, compiled when they are needed. They are kept in the cache under a
 * hash of their source and of how they were compiled, so that a changed source is a new program and
 * two runs at once cannot see each other's half-written file.
 *
 * To debug: the compiler's words are on standard error; the folder is `$BERTH_CACHE/bench`.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';

/** Static and not relocatable, as the shim is: starting such a program costs the least that starting one can. */
const COMPILE_FLAGS = ['-std=gnu17', '-O2', '-static', '-no-pie', '-Wl,-s', '-Wall', '-Wextra', '-Werror'];

/**
 * Compiles a C source of this folder, unless the cache has it, and answers the program's path.
 * Throws when gcc is missing or refuses.
 */
export function compiled(source: string, ...moreFlags: readonly string[]): string {
  const path = join(import.meta.dirname, source);
  const flags = [...COMPILE_FLAGS, ...moreFlags];
  const hash = createHash('sha256').update(flags.join(' ')).update(readFileSync(path)).digest('hex');
  const folder = cacheFolder();
  const program = join(folder, `${basename(source, '.c')}-${hash.slice(0, 12)}`);
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  const unfinished = `${program}.${process.pid}`;
  execFileSync('gcc', [...flags, '-o', unfinished, path], { stdio: ['ignore', 'inherit', 'inherit'] });
  renameSync(unfinished, program);
  return program;
}

/** Where compiled programs are, and hack/bench puts the release; outside the checkout. */
export function cacheFolder(): string {
  // hack/lib/env.sh sets it, with the same default.
  const cache = process.env.BERTH_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'berth');
  return join(resolve(cache), 'bench');
}
