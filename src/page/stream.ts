/**
 * The agent's stream, `/v1/stream`. Read with fetch, not EventSource, because that cannot send the
 * token in a header. A stream that ends is opened again, after a pause that grows.
 */
import type { FeedChange, FeedDevice, FeedDocument } from '../engine/feed/document.ts';

export interface StreamListener {
  /** The whole node, at the beginning and after each reconnection. */
  whole(document: FeedDocument): void;
  change(change: FeedChange): void;
  connection(state: 'live' | 'connecting' | 'lost', why: string): void;
  /** The token is missing or old; nothing is tried any more. */
  refused(): void;
}

const PAUSE_MS = { first: 500, last: 10_000 } as const;

/** Follows the stream until it is refused; runs as long as the page. */
export async function follow(token: string, listener: StreamListener): Promise<void> {
  for (let pauseMs: number = PAUSE_MS.first; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MS.last)) {
    listener.connection('connecting', 'connecting');
    try {
      const answer = await fetch('/v1/stream', { headers: { authorization: `Bearer ${token}` }, cache: 'no-store' });
      if (answer.status === 401) {
        listener.refused();
        return;
      }
      if (!answer.ok || answer.body === null) throw new Error(await reasonOf(answer));
      await read(answer.body, () => {
        pauseMs = PAUSE_MS.first / 2;
        return listener;
      });
      listener.connection('lost', 'the agent has ended the stream');
    } catch (error) {
      listener.connection('lost', error instanceof Error ? error.message : String(error));
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

async function reasonOf(answer: Response): Promise<string> {
  const body: unknown = await answer.json().catch(() => undefined);
  const message = typeof body === 'object' && body !== null && 'message' in body ? body.message : undefined;
  return typeof message === 'string' ? message : `the agent answered ${answer.status}`;
}

async function read(body: ReadableStream<Uint8Array>, live: () => StreamListener): Promise<void> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  const begun: { node?: Pick<FeedDocument, 'node' | 'findings' | 'virtual'>; devices: FeedDevice[] } = { devices: [] };
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = `${rest}${value}`.split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
      if (data !== undefined) take(name, JSON.parse(data), begun, live);
    }
  }
}

/** The agent and this page are of one release, so its events are what their names say. */
function take(
  name: string | undefined,
  data: unknown,
  begun: { node?: Pick<FeedDocument, 'node' | 'findings' | 'virtual'>; devices: FeedDevice[] },
  live: () => StreamListener,
): void {
  if (name === 'node') begun.node = data as Pick<FeedDocument, 'node' | 'findings' | 'virtual'>;
  else if (name === 'devices') begun.devices.push(...(data as readonly FeedDevice[]));
  else if (name === 'change') live().change(data as FeedChange);
  else if (name === 'ready' && begun.node !== undefined) {
    const devices = new Map(begun.devices.map((device) => [device.address, device]));
    const listener = live();
    listener.whole({ ...begun.node, devices });
    listener.connection('live', 'live');
    begun.devices = [];
  }
}
