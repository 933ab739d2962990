/**
 * The stream at `/v1/stream`: whole documents and changes of them. Read with fetch, not EventSource,
 * because that cannot send the token in a header. A stream that ends is opened again, after a pause
 * that grows.
 */

export interface StreamListener {
  /** A portion of the whole, by name; those since the last `ready` make one whole. */
  portion(name: string, data: unknown): void;
  /** The whole was told, at the beginning and after each reconnection. */
  ready(): void;
  change(data: unknown): void;
  connection(state: 'live' | 'connecting' | 'lost', why: string): void;
  /** The token is missing or old; nothing is tried any more. */
  refused(): void;
}

const PAUSE_MS = { first: 500, last: 10_000 } as const;

/** Follows the stream until it is refused; runs as long as the page. `teller` is who ends a stream. */
export async function follow(token: string, teller: string, listener: StreamListener): Promise<void> {
  for (let pauseMs: number = PAUSE_MS.first; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MS.last)) {
    listener.connection('connecting', 'connecting');
    try {
      const answer = await fetch('/v1/stream', { headers: { authorization: `Bearer ${token}` }, cache: 'no-store' });
      if (answer.status === 401) {
        listener.refused();
        return;
      }
      if (!answer.ok || answer.body === null) throw new Error(await reasonOf(answer, teller));
      await read(answer.body, () => {
        pauseMs = PAUSE_MS.first / 2;
        return listener;
      });
      listener.connection('lost', `${teller} has ended the stream`);
    } catch (error) {
      listener.connection('lost', error instanceof Error ? error.message : String(error));
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

async function reasonOf(answer: Response, teller: string): Promise<string> {
  const body: unknown = await answer.json().catch(() => undefined);
  const message = typeof body === 'object' && body !== null && 'message' in body ? body.message : undefined;
  return typeof message === 'string' ? message : `${teller} answered ${answer.status}`;
}

async function read(body: ReadableStream<Uint8Array>, live: () => StreamListener): Promise<void> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = `${rest}${value}`.split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      const [, name = '', data] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
      if (data !== undefined) take(name, JSON.parse(data), live());
    }
  }
}

function take(name: string, data: unknown, listener: StreamListener): void {
  if (name === 'change') listener.change(data);
  else if (name !== 'ready') listener.portion(name, data);
  else {
    listener.ready();
    listener.connection('live', 'live');
  }
}
