/** How long each command may take, in milliseconds. */
import type { CniCommand } from './environment.ts';

/**
 * The shim waits 5 s longer (`commands` in src/shim/shim.c), so that the answer gets through, and
 * kubelet gives a sandbox four minutes in all.
 */
export const COMMAND_TIMEOUT_MS: Readonly<Record<CniCommand, number>> = {
  ADD: 60_000,
  DEL: 30_000,
  CHECK: 30_000,
  STATUS: 10_000,
  GC: 60_000,
  VERSION: 10_000,
};

/** From `connect` to the last byte of the request: a shim sends at once, all of it. */
export const REQUEST_TIMEOUT_MS = 10_000;
