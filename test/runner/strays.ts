/**
 * Finds the processes that a test file left behind: those of its process group, and those that carry
 * its nonce in their environment although they went into a session of their own.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { NONCE_VARIABLE } from './events.ts';

export interface Stray {
  readonly pid: number;
  /** The kernel's short name of it. */
  readonly command: string;
}

/** The living processes of that group or with that nonce. Zombies count as gone: init reaps them. */
export function findStrays(group: number, nonce: string): readonly Stray[] {
  const marker = `${NONCE_VARIABLE}=${nonce}`;
  const strays: Stray[] = [];
  for (const entry of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(entry)) continue;
    const stat = readIfAlive(`/proc/${entry}/stat`);
    if (stat === undefined) continue;
    // The name is in parentheses and may itself hold any character (proc_pid_stat(5)).
    const command = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    const [state, , processGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state === 'Z' || state === 'X') continue;
    const isOurs =
      Number(processGroup) === group || (readIfAlive(`/proc/${entry}/environ`)?.split('\0').includes(marker) ?? false);
    if (isOurs) strays.push({ pid: Number(entry), command });
  }
  return strays;
}

/** Ends them at once; one that ended by itself meanwhile is fine. */
export function killStrays(strays: readonly Stray[]): void {
  for (const { pid } of strays) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if (!isErrno(error, 'ESRCH')) throw error;
    }
  }
}

function readIfAlive(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    // ESRCH and ENOENT: it ended while being read. EACCES, EPERM: another user's, so not ours.
    if (['ESRCH', 'ENOENT', 'EACCES', 'EPERM'].some((code) => isErrno(error, code))) return undefined;
    throw error;
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
