/**
 * `berth watch`: the agent's stream in a terminal. It changes nothing, and leaves the terminal as it
 * found it, however it ends.
 */
import { BerthError } from '../../engine/errors.ts';
import type { ProgramDeps } from '../port.ts';
import { keysIn } from './keys.ts';
import { pageOf, renderScreen } from './screen.ts';
import { afterKey, FIRST_STATE, type WatchState } from './state.ts';

const RETRY_MS = 1000;
const TO_TOP = '\u001b[H';
const CLEAR_LINE = '\u001b[K';

/** Resolves with 0 when the person quits. Throws `Invalid` without a terminal, `NotFound` without an agent. */
export function watchCommand(deps: ProgramDeps) {
  return async ({ runDir }: { readonly runDir: string }): Promise<number> => {
    const { terminal } = deps;
    if (!terminal.isInteractive) throw notATerminal();
    const over = new AbortController();
    let state: WatchState = FIRST_STATE;
    const draw = (): void => {
      if (over.signal.aborted) return;
      const lines = renderScreen(state, terminal.size(), deps.output.color);
      terminal.write(`${TO_TOP}${lines.map((line) => `${line}${CLEAR_LINE}`).join('\r\n')}`);
    };
    const become = (next: WatchState): void => {
      state = next;
      if (state.isOver) over.abort();
      else draw();
    };
    const onInput = (chunk: string): void => {
      let next = state;
      for (const key of keysIn(chunk)) next = afterKey(next, key, pageOf(terminal.size()));
      become(next);
    };
    // Before the screen is taken: that no agent runs is said where it stays.
    await deps.agent(runDir, '/v1/status');
    const close = terminal.open(onInput, draw);
    try {
      draw();
      while (!over.signal.aborted) {
        const lost = await followOnce(deps, runDir, over.signal, (document) =>
          become({ ...state, document, connection: 'live' }),
        );
        if (over.signal.aborted) break;
        become({ ...state, connection: `${lost}; what is shown is old` });
        await pause(RETRY_MS, over.signal);
      }
    } finally {
      close();
    }
    return 0;
  };
}

/** Resolves with why it ended. */
async function followOnce(
  { follow }: ProgramDeps,
  runDir: string,
  signal: AbortSignal,
  onDocument: Parameters<ProgramDeps['follow']>[1],
): Promise<string> {
  try {
    await follow(runDir, onDocument, signal);
    return 'the agent has ended the stream';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal.addEventListener('abort', finish);
  });
}

function notATerminal(): BerthError {
  return new BerthError({
    code: 'Invalid',
    reason: 'not-a-terminal',
    message: 'berth watch needs a terminal for its input and its output',
    remedy: 'Use `berth inventory`, or `curl -N --unix-socket /run/berth/api.sock http://berth/v1/stream` for changes.',
  });
}
