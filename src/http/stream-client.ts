/** The command line's end of the stream: the agent's socket, `event-stream.ts` on the other side. */
import { request } from 'node:http';
import { applyChange, type FeedChange, type FeedDevice, type FeedDocument } from '../engine/feed/document.ts';
import { errorOf, parseAnswer, unreachable } from './client.ts';

const PATH = '/v1/stream';
/** More than the whole of 2,048 VFs in one event; this only stops a runaway peer. */
const MOST_EVENT_BYTES = 64 * 1024 * 1024;
/** Three of the comments that the agent sends when nothing changes (`idleMs` of `event-stream.ts`). */
const MOST_SILENCE_MS = 45_000;

/**
 * Calls back with the whole node, and again with every change. Resolves when the agent ends the
 * stream or the signal aborts.
 * @throws BerthError `NotFound` (reason `agent-away`) when no agent answers, or says nothing for
 * `mostSilenceMs`; `Internal` (reason `agent-answer`) when it sends what is no event; the agent's own
 * error when it refuses the stream.
 */
export async function followAgent(
  socketPath: string,
  onDocument: (document: FeedDocument) => void,
  signal: AbortSignal,
  mostSilenceMs = MOST_SILENCE_MS,
): Promise<void> {
  const assembly = new Assembly(onDocument, socketPath);
  await new Promise<void>((resolve, reject) => {
    const call = request({ socketPath, path: PATH, agent: false, signal, timeout: mostSilenceMs }, (response) => {
      const isStream = response.statusCode === 200;
      response.setEncoding('utf8');
      let rest = '';
      response.on('data', (text: string) => {
        const events = isStream ? `${rest}${text}`.split('\n\n') : [`${rest}${text}`];
        rest = events.pop() ?? '';
        if (rest.length > MOST_EVENT_BYTES) call.destroy(new Error('an event is too long'));
        try {
          for (const event of events) assembly.take(event);
        } catch (error) {
          reject(error);
          call.destroy();
        }
      });
      response.on('end', () => {
        if (!isStream) reject(refusal(rest, response.statusCode ?? 0, socketPath));
      });
      response.on('close', resolve);
      // The agent went away in the middle: an end like any other.
      response.on('error', () => resolve());
    });
    call.on('timeout', () => call.destroy(new Error(`nothing was heard of it for ${mostSilenceMs} ms`)));
    call.on('error', (cause: NodeJS.ErrnoException) => {
      if (signal.aborted) resolve();
      else reject(unreachable(socketPath, cause));
    });
    call.end();
  });
}

function refusal(text: string, status: number, socketPath: string): unknown {
  try {
    return errorOf(parseAnswer(text, socketPath), status, PATH);
  } catch (error) {
    return error;
  }
}

/** Events into documents. */
class Assembly {
  readonly #onDocument: (document: FeedDocument) => void;
  readonly #socketPath: string;
  #begun: Omit<FeedDocument, 'devices'> | undefined;
  #devices: FeedDevice[] = [];
  #document: FeedDocument | undefined;

  constructor(onDocument: (document: FeedDocument) => void, socketPath: string) {
    this.#onDocument = onDocument;
    this.#socketPath = socketPath;
  }

  /** What it does not know is of a newer agent, and left out. */
  take(event: string): void {
    const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
    if (data === undefined) return;
    const value = parseAnswer(data, this.#socketPath);
    if (name === 'node') this.#begun = value as Omit<FeedDocument, 'devices'>;
    else if (name === 'devices') this.#devices.push(...(value as readonly FeedDevice[]));
    else if (name === 'ready' && this.#begun !== undefined) {
      this.#tell({ ...this.#begun, devices: new Map(this.#devices.map((device) => [device.address, device])) });
    } else if (name === 'change' && this.#document !== undefined) {
      this.#tell(applyChange(this.#document, value as FeedChange));
    }
  }

  #tell(document: FeedDocument): void {
    this.#document = document;
    this.#onDocument(document);
  }
}
