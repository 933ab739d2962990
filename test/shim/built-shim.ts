/** The shim, compiled once for each test file that needs it, into a folder that ends with the process. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface ShimRun {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder of the test's own, removed when the process ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'berth-test-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function buildShim(folder: string): string {
  const path = join(folder, 'berth');
  const build = fileURLToPath(new URL('../../src/shim/build', import.meta.url));
  const { status, stderr } = spawnSync(build, [path], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`src/shim/build failed: ${stderr}`);
  return path;
}

/** Executes it as a runtime does: an absolute path, only the given environment, everything on standard input. */
export function runShim(
  path: string,
  environment: Readonly<Record<string, string>>,
  stdin: string | Buffer,
  options: { readonly cwd?: string; readonly argv0?: string } = {},
): Promise<ShimRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, [], { env: environment, stdio: 'pipe', ...options });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', reject);
    child.on('close', (code, signal) =>
      resolve({ code, signal, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }),
    );
    // The shim may answer before it has read everything.
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin);
  });
}
