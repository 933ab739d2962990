/**
 * A live document as server-sent events: first the whole in portions, then `ready`, then a `change`
 * whenever something differs from what this client was last sent. A client that reads slowly is sent
 * fewer and larger changes, never a queue of them; one that does not read at all is cut off. What the
 * document is, `node-stream.ts` and `cluster-stream.ts` say. By hand:
 * `curl -N --unix-socket /run/berth/api.sock http://berth/v1/stream`.
 */
import type { ServerResponse } from 'node:http';
import { BerthError } from '../engine/errors.ts';
import type { Feed } from '../engine/feed/feed.ts';
import type { Logger } from '../engine/logger.ts';

/** A part of the whole: the event's name and what it says. */
export type StreamPortion = readonly [name: string, data: unknown];

export interface EventStreamOptions<Document> {
  readonly feed: Feed<Document>;
  /** The whole, in portions of which none holds the event loop. */
  readonly portions: (document: Document) => Iterable<StreamPortion>;
  /** `undefined` when nothing differs. */
  readonly change: (before: Document, now: Document) => unknown;
  readonly log: Logger;
  /** Clients at once, of all servers that share these streams. */
  readonly mostClients?: number;
  /** Without a change a comment is sent after so long, which finds dead clients. */
  readonly idleMs?: number;
  /** What was written must be taken within this time. */
  readonly stallMs?: number;
}

export interface EventStreams {
  /**
   * Answers with a stream and resolves when it has ended, however.
   * @throws BerthError `Exhausted` when there are too many; nothing was written then.
   */
  serve(response: ServerResponse): Promise<void>;
  readonly clients: number;
  /** Ends all streams. */
  close(): void;
}

const DEFAULTS = { mostClients: 16, idleMs: 15_000, stallMs: 10_000 } as const;

export function createEventStreams<Document>(options: EventStreamOptions<Document>): EventStreams {
  const { idleMs, log, mostClients, stallMs } = { ...DEFAULTS, ...options };
  const open = new Set<AbortController>();
  return {
    async serve(response) {
      if (open.size >= mostClients) throw tooMany(mostClients);
      const ended = new AbortController();
      open.add(ended);
      const end = (): void => ended.abort();
      response.on('close', end);
      response.on('error', end);
      try {
        response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
        await new Stream(response, ended.signal, stallMs).run(options, idleMs);
      } catch (error) {
        if (!(error instanceof Stalled)) log.error({ err: error }, 'api: a stream failed');
        else log.info({ stallMs }, 'api: a client that did not read its stream was cut off');
        response.destroy();
      } finally {
        open.delete(ended);
        response.end();
      }
    },
    get clients() {
      return open.size;
    },
    close: () => {
      for (const ended of open) ended.abort();
    },
  };
}

function tooMany(most: number): BerthError {
  return new BerthError({
    code: 'Exhausted',
    reason: 'api-too-many-streams',
    message: `${most} clients watch already`,
    remedy: 'Close a page or a `berth watch`; each holds one stream.',
  });
}

/** The client has not taken what was written for it. */
class Stalled extends Error {
  override readonly name = 'Stalled';
}

class Stream {
  readonly #response: ServerResponse;
  readonly #signal: AbortSignal;
  readonly #stallMs: number;

  constructor(response: ServerResponse, signal: AbortSignal, stallMs: number) {
    this.#response = response;
    this.#signal = signal;
    this.#stallMs = stallMs;
  }

  async run<Document>(source: EventStreamOptions<Document>, idleMs: number): Promise<void> {
    const { change, feed, portions } = source;
    let known = feed.current();
    for (const [name, data] of portions(known)) {
      await this.#write(event(name, data));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await this.#write(event('ready', {}));
    while (!this.#signal.aborted) {
      const idle = AbortSignal.timeout(idleMs);
      const now = await feed.next(known, AbortSignal.any([this.#signal, idle]));
      if (this.#signal.aborted) return;
      const differs = now === undefined ? undefined : change(known, now);
      known = now ?? known;
      await this.#write(differs === undefined ? ':\n\n' : event('change', differs));
    }
  }

  async #write(text: string): Promise<void> {
    if (this.#signal.aborted || this.#response.write(text)) return;
    await new Promise<void>((resolve, reject) => {
      const settle = (finish: () => void) => (): void => {
        clearTimeout(timer);
        this.#response.off('drain', drained);
        this.#signal.removeEventListener('abort', drained);
        finish();
      };
      const drained = settle(resolve);
      const timer = setTimeout(
        settle(() => reject(new Stalled())),
        this.#stallMs,
      );
      this.#response.on('drain', drained);
      this.#signal.addEventListener('abort', drained, { once: true });
    });
  }
}

/** JSON has no line breaks of its own, so it is one `data` line. */
function event(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
