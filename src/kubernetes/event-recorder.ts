/**
 * Events, sent one after another in the background. The same event again within ten minutes is counted
 * and told once when they are over: a pod that cannot start tries every few seconds. What is beyond
 * the queue is dropped and counted; events are words to people, never state.
 */
import type { Clock } from '../engine/clock.ts';
import type { ClusterApi } from './api.ts';
import { ChangeFlag } from './change-flag.ts';
import type { ClusterEvent } from './event-body.ts';
import type { Retry } from './retry.ts';

const SAME_MS = 600_000;
const MOST_REMEMBERED = 1000;
const MOST_QUEUED = 100;
/** One event a second on average: a node that has much to say says it slowly. */
const BETWEEN_MS = 1000;

export type NewEvent = Omit<ClusterEvent, 'first' | 'last' | 'count' | 'node'>;

interface Remembered {
  readonly since: number;
  first: Date;
  last: Date;
  /** Repetitions that were not told yet. */
  more: number;
  readonly event: NewEvent;
}

export interface RecorderOptions {
  readonly api: Pick<ClusterApi, 'createEvent'>;
  readonly node: string;
  readonly retry: Retry;
  readonly clock: Clock;
}

export class EventRecorder {
  readonly #options: RecorderOptions;
  readonly #remembered = new Map<string, Remembered>();
  readonly #queue: ClusterEvent[] = [];
  readonly #queued = new ChangeFlag(false);
  #sent = 0;
  #dropped = 0;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  get counts(): { readonly sent: number; readonly dropped: number } {
    return { sent: this.#sent, dropped: this.#dropped };
  }

  record(event: NewEvent): void {
    const now = this.#options.clock.now();
    const key = JSON.stringify([event.about, event.reason, event.note]);
    const known = this.#remembered.get(key);
    if (known !== undefined && now.getTime() - known.since < SAME_MS) {
      // Whoever waits learns that there is something to tell later.
      if (known.more === 0) {
        known.first = now;
        this.#queued.raise();
      }
      known.last = now;
      known.more += 1;
      return;
    }
    if (known !== undefined) this.#tellRepetitions(known);
    this.#remembered.delete(key);
    this.#remembered.set(key, { since: now.getTime(), first: now, last: now, more: 0, event });
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size > MOST_REMEMBERED && oldest !== undefined) this.#remembered.delete(oldest);
    this.#enqueue({ ...event, node: this.#options.node, first: now, last: now, count: 1 });
  }

  /** Sends until the signal aborts. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    const { api, clock, retry } = this.#options;
    while (!signal.aborted) {
      this.#forgetOld();
      const event = this.#queue.shift();
      if (event === undefined) {
        await this.#untilWork(signal);
        continue;
      }
      const sent = await retry.until('sending an event', signal, () => api.createEvent(event, signal));
      if (sent) this.#sent += 1;
      await clock.delay(BETWEEN_MS, signal);
    }
  }

  /** Until an event is there, or the repetitions of an older one have to be told. */
  async #untilWork(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const repeated = [...this.#remembered.values()].find(({ more }) => more > 0);
    if (repeated === undefined) return this.#queued.wait(signal);
    const waiting = new AbortController();
    const end = (): void => waiting.abort();
    signal.addEventListener('abort', end, { once: true });
    const leftMs = Math.max(0, repeated.since + SAME_MS - clock.now().getTime());
    await Promise.race([this.#queued.wait(waiting.signal), clock.delay(leftMs, waiting.signal)]);
    end();
    signal.removeEventListener('abort', end);
  }

  #tellRepetitions({ event, first, last, more }: Remembered): void {
    if (more > 0) this.#enqueue({ ...event, node: this.#options.node, first, last, count: more });
  }

  #forgetOld(): void {
    const now = this.#options.clock.now().getTime();
    for (const [key, remembered] of this.#remembered) {
      if (now - remembered.since < SAME_MS) return;
      this.#remembered.delete(key);
      this.#tellRepetitions(remembered);
    }
  }

  #enqueue(event: ClusterEvent): void {
    if (this.#queue.length >= MOST_QUEUED) {
      this.#dropped += 1;
      return;
    }
    this.#queue.push(event);
    this.#queued.raise();
  }
}
