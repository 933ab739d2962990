/** What the dashboard answers behind its page: the stream, and nothing else. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '../engine/logger.ts';
import { answerWith, noSuchPath, readingUrl } from './answer.ts';
import type { EventStreams } from './event-stream.ts';

const PATHS = 'The one path is /v1/stream.';

/** Answers one request; never throws. */
export function answerDashboard(
  { log, streams }: { readonly log: Logger; readonly streams: EventStreams },
  request: IncomingMessage,
  response: ServerResponse,
): void {
  answerWith(log, request, response, async () => {
    const url = readingUrl(request, PATHS);
    if (url.pathname !== '/v1/stream') return noSuchPath(url, PATHS);
    await streams.serve(response);
    return undefined;
  });
}
