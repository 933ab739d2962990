/** How requests of people's tools are read and answered: paths that only read, bodies in JSON, errors as `{code, reason, message, remedy}`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { BerthError, type ErrorCode, toBerthError } from '../engine/errors.ts';
import type { Logger } from '../engine/logger.ts';

/** Sends what the work answers, when it answers something, or its error; never throws. */
export function answerWith(
  log: Logger,
  request: IncomingMessage,
  response: ServerResponse,
  work: () => Promise<unknown>,
): void {
  const done = work().then((body) => (body === undefined ? undefined : sendJson(response, 200, body)));
  done.catch((thrown: unknown) => {
    const error = toBerthError(thrown);
    if (error.code === 'Internal') log.error({ err: error, url: request.url }, 'api: request failed');
    const { code, reason, message, remedy } = error;
    if (response.headersSent) response.destroy();
    else sendJson(response, STATUS[code], { code, reason, message, remedy });
  });
}

/** What a request that only reads asks for. `paths` is the sentence that names what there is. Throws `Unsupported`, `Invalid`. */
export function readingUrl(request: IncomingMessage, paths: string): URL {
  if (request.method === 'GET') return parseUrl(request.url ?? '/', paths);
  throw new BerthError({
    code: 'Unsupported',
    reason: 'api-method',
    message: `${request.method} is not served here, the API only reads`,
    remedy: 'Use GET.',
  });
}

/** Throws `NotFound` for a path that there is not. */
export function noSuchPath({ pathname }: URL, paths: string): never {
  throw new BerthError({
    code: 'NotFound',
    reason: 'api-path',
    message: `there is nothing at ${pathname}`,
    remedy: paths,
  });
}

function parseUrl(text: string, paths: string): URL {
  const url = URL.parse(text, 'http://berth');
  if (url !== null) return url;
  throw new BerthError({
    code: 'Invalid',
    reason: 'api-path',
    message: `${JSON.stringify(text)} is no path`,
    remedy: paths,
  });
}

const STATUS: Readonly<Record<ErrorCode, number>> = {
  NotFound: 404,
  Busy: 409,
  Invalid: 400,
  Unsupported: 405,
  Denied: 403,
  Exhausted: 503,
  Io: 500,
  Interrupted: 503,
  Internal: 500,
};

/** One JSON document. */
export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
