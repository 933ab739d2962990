/**
 * The live document for those who watch. It is made when somebody watches and something changed,
 * once for a burst of changes and for all watchers together; nobody watching costs nothing.
 */
import { type Clock, systemClock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { InventoryView } from '../view.ts';
import { type FeedDocument, feedChange, feedDocument } from './document.ts';

export interface FeedOptions {
  /** The newest view; called once for each burst. */
  readonly view: () => InventoryView;
  /** Calls back for whatever may change the view; answers the function that ends it. */
  readonly changes: readonly ((listener: () => void) => () => void)[];
  readonly log: Logger;
  readonly clock?: Clock;
  /** How long changes are gathered: what a watcher waits for at most. */
  readonly coalesceMs?: number;
}

/** Made by {@link createFeed}. */
export interface Feed {
  /** The newest document. */
  current(): FeedDocument;
  /** Resolves with a document that is not `known`, or with `undefined` when the signal aborts. */
  next(known: FeedDocument, signal: AbortSignal): Promise<FeedDocument | undefined>;
  /** Ends the subscriptions; watchers that wait are left to their signals. */
  stop(): void;
}

/** Subscribes at once, and makes its first document when it is asked for. */
export function createFeed(options: FeedOptions): Feed {
  const { changes, clock = systemClock, coalesceMs = 50, log, view } = options;
  const waiting = new Set<() => void>();
  const stopped = new AbortController();
  let document: FeedDocument | undefined;
  let isDirty = false;
  let isGathering = false;

  const current = (): FeedDocument => {
    if (document === undefined || isDirty) {
      isDirty = false;
      const now = feedDocument(view(), document);
      // Many changes are none to those who watch.
      if (document === undefined || feedChange(document, now) !== undefined) document = now;
    }
    return document;
  };

  const gather = async (): Promise<void> => {
    await clock.delay(coalesceMs, stopped.signal);
    isGathering = false;
    if (stopped.signal.aborted) return;
    for (const wake of [...waiting]) wake();
  };

  const onChange = (): void => {
    isDirty = true;
    if (waiting.size === 0 || isGathering) return;
    isGathering = true;
    gather().catch((error: unknown) => log.error({ err: error }, 'feed: gathering changes failed'));
  };
  const ends = changes.map((subscribe) => subscribe(onChange));

  return {
    current,

    async next(known, signal) {
      while (!signal.aborted) {
        const waited = new Promise<void>((resolve) => {
          const wake = (): void => {
            waiting.delete(wake);
            signal.removeEventListener('abort', wake);
            resolve();
          };
          waiting.add(wake);
          signal.addEventListener('abort', wake, { once: true });
        });
        // What changed while nobody waited is gathered like any other change.
        if (isDirty || document !== known) onChange();
        await waited;
        if (signal.aborted) return undefined;
        const now = current();
        if (now !== known) return now;
      }
      return undefined;
    },

    stop() {
      stopped.abort();
      for (const end of ends) end();
    },
  };
}
