/**
 * A live document for those who watch. It is made when somebody watches and something changed,
 * once for a burst of changes and for all watchers together; nobody watching costs nothing. The
 * agent's is its node; the dashboard's is the cluster (`src/engine/cluster`).
 */
import { type Clock, systemClock } from '../clock.ts';
import type { Logger } from '../logger.ts';
import type { InventoryView } from '../view.ts';
import { type FeedDocument, feedChange, feedDocument } from './document.ts';

export interface FeedOptions<Document> {
  /** The newest document: `previous` itself when nothing differs. Called once for each burst. */
  readonly make: (previous: Document | undefined) => Document;
  /** Calls back for whatever may change the document; answers the function that ends it. */
  readonly changes: readonly ((listener: () => void) => () => void)[];
  readonly log: Logger;
  readonly clock?: Clock;
  /** How long changes are gathered: what a watcher waits for at most. */
  readonly coalesceMs?: number;
}

/** Made by {@link createFeed} or {@link createNodeFeed}. */
export interface Feed<Document> {
  /** The newest document. */
  current(): Document;
  /** Resolves with a document that is not `known`, or with `undefined` when the signal aborts. */
  next(known: Document, signal: AbortSignal): Promise<Document | undefined>;
  /** Ends the subscriptions; watchers that wait are left to their signals. */
  stop(): void;
}

/** Of a node, from its newest view. */
export function createNodeFeed(
  options: Omit<FeedOptions<FeedDocument>, 'make'> & { readonly view: () => InventoryView },
): Feed<FeedDocument> {
  const { view, ...rest } = options;
  return createFeed({
    ...rest,
    make: (previous) => {
      const now = feedDocument(view(), previous);
      // Many changes are none to those who watch.
      return previous !== undefined && feedChange(previous, now) === undefined ? previous : now;
    },
  });
}

/** Subscribes at once, and makes its first document when it is asked for. */
export function createFeed<Document>(options: FeedOptions<Document>): Feed<Document> {
  const { changes, clock = systemClock, coalesceMs = 50, log, make } = options;
  const waiting = new Set<() => void>();
  const stopped = new AbortController();
  let document: Document | undefined;
  let isDirty = false;
  let isGathering = false;

  const current = (): Document => {
    if (document === undefined || isDirty) {
      isDirty = false;
      document = make(document);
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
