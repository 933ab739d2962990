/** Restores that failed are tried again, with growing pauses, until they hold or the agent stops. */
import { toBerthError } from '../errors.ts';
import type { AttachmentContext } from './context.ts';
import type { AttachmentKey } from './model.ts';
import { keyText } from './record-book.ts';
import { restoreAttachment } from './restore.ts';

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;
const ATTEMPT_MS = 30_000;

export class RestoreRetries {
  readonly #context: AttachmentContext;
  readonly #stop = new AbortController();
  readonly #waiting = new Map<string, { readonly done: Promise<void>; readonly hurry: AbortController }>();

  constructor(context: AttachmentContext) {
    this.#context = context;
  }

  /** Begins to retry; does nothing when that is going on already. */
  schedule(key: AttachmentKey): void {
    const text = keyText(key);
    if (this.#waiting.has(text) || this.#stop.signal.aborted) return;
    const hurry = new AbortController();
    const done = this.#retry(key, hurry.signal).finally(() => this.#waiting.delete(text));
    this.#waiting.set(text, { done, hurry });
  }

  /** Ends all pauses and waits for the attempts that run. */
  async stop(): Promise<void> {
    this.#stop.abort();
    const running = [...this.#waiting.values()];
    for (const { hurry } of running) hurry.abort();
    await Promise.all(running.map(({ done }) => done));
  }

  async #retry(key: AttachmentKey, wake: AbortSignal): Promise<void> {
    const { clock, attachmentLocks, records, log } = this.#context;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      await clock.delay(pauseMs, wake);
      if (this.#stop.signal.aborted) return;
      const signal = AbortSignal.timeout(ATTEMPT_MS);
      try {
        await attachmentLocks.run(keyText(key), signal, async () => {
          // A complete attachment is a new ADD of the same key; without one to run it, `adding` is unfinished.
          const phase = records.get(key)?.phase;
          if (phase === undefined || phase === 'attached') return;
          await restoreAttachment(this.#context, key, { authority: 'proof', signal, cause: 'retry' });
        });
        return;
      } catch (error) {
        log.debug({ attachment: keyText(key), problem: toBerthError(error).message }, 'a restore is tried again later');
      }
    }
  }
}
