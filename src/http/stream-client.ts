/** The command line's end of the stream: the agent's socket, `event-stream.ts` on the other side. */
import { request } from 'node:http';
import { applyChange, type FeedChange, type FeedDevice, type FeedDocument } from '../engine/feed/document.ts';
import { unreachable } from './client.ts';

/** More than the whole of 2,048 VFs in one event; this only stops a runaway peer. */
const MOST_EVENT_BYTES = 64 * 1024 * 1024;

/**
 * Calls back with the whole node, and again with every change. Resolves when the agent ends the
 * stream or the signal aborts.
 * @throws BerthError `NotFound` (reason `agent-away`) when no agent answers.
 */
export async function followAgent(
  socketPath: string,
  onDocument: (document: FeedDocument) => void,
  signal: AbortSignal,
): Promise<void> {
  const assembly = new Assembly(onDocument);
  await new Promise<void>((resolve, reject) => {
    const call = request({ socketPath, path: '/v1/stream', agent: false, signal }, (response) => {
      response.setEncoding('utf8');
      let rest = '';
      response.on('data', (text: string) => {
        const events = `${rest}${text}`.split('\n\n');
        rest = events.pop() ?? '';
        if (rest.length > MOST_EVENT_BYTES) call.destroy(new Error('an event is too long'));
        for (const event of events) assembly.take(event);
      });
      response.on('close', resolve);
      response.on('error', () => resolve());
    });
    call.on('error', (cause: NodeJS.ErrnoException) => {
      if (signal.aborted) resolve();
      else reject(unreachable(socketPath, cause));
    });
    call.end();
  });
}

/** Events into documents. */
class Assembly {
  readonly #onDocument: (document: FeedDocument) => void;
  #begun: Omit<FeedDocument, 'devices'> | undefined;
  #devices: FeedDevice[] = [];
  #document: FeedDocument | undefined;

  constructor(onDocument: (document: FeedDocument) => void) {
    this.#onDocument = onDocument;
  }

  /** What it does not know is of a newer agent, and left out. */
  take(event: string): void {
    const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
    if (data === undefined) return;
    const value: unknown = JSON.parse(data);
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
