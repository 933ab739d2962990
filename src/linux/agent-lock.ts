/**
 * One agent per node: an flock on a file in the run directory, which the kernel gives back when its
 * holder dies. To see who has it: `fuser /run/berth/agent.lock`.
 */
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BerthError } from '../engine/errors.ts';
import { tryLock } from './ffi/file.ts';
import { makeFolder } from './files/make-folder.ts';

const RETRY_MS = 100;

export interface AgentLock {
  release(): void;
}

/**
 * Waits until no other agent runs on this node. `onWait` is called once, with the holder's process
 * id as it wrote it, when there is something to wait for. Makes the run directory when it is missing.
 * @throws BerthError `Interrupted` when `signal` aborts first, `Io` when the file cannot be opened.
 */
export async function takeAgentLock(
  path: string,
  signal: AbortSignal,
  onWait: (holder: string) => void,
): Promise<AgentLock> {
  const fd = openLockFile(path);
  try {
    let waiting = false;
    while (!tryLock(fd)) {
      if (!waiting) onWait(readFileSync(path, 'utf8').trim());
      waiting = true;
      await pause(signal);
    }
    ftruncateSync(fd);
    writeSync(fd, `${process.pid}\n`, 0);
    return { release: () => closeSync(fd) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function openLockFile(path: string): number {
  try {
    makeFolder(dirname(path), 0o700);
    return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (cause) {
    throw new BerthError({
      code: 'Io',
      reason: 'agent-lock',
      message: `${path} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}`,
      remedy: 'The agent needs its run directory (--run-dir) to be writable by root.',
      cause,
    });
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  try {
    await delay(RETRY_MS, undefined, { signal });
  } catch (cause) {
    throw new BerthError({
      code: 'Interrupted',
      reason: 'agent-lock-interrupted',
      message: 'stopped while another agent was still running',
      cause,
    });
  }
}
