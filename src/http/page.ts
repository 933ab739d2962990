/**
 * A page for a browser, of a node or of the cluster: static files for anybody who can connect, the API
 * for whoever has the token. The token comes in a header and never in a path or a cookie, so that it is in no log,
 * and no foreign page can make a browser send it.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from '../engine/logger.ts';
import { listenTcp, type TcpListenerOptions } from './tcp-listener.ts';

export interface PageAsset {
  readonly type: string;
  readonly body: string;
}

export interface PageOptions extends Pick<TcpListenerOptions, 'at' | 'silentMs'> {
  /** By path, `/` is the page itself. */
  readonly assets: ReadonlyMap<string, PageAsset>;
  readonly token: string;
  /** How to get at the token, for who has none. */
  readonly tokenRemedy: string;
  /** Answers what is below `/v1/` to who has the token; must not throw. */
  readonly answer: (request: IncomingMessage, response: ServerResponse) => void;
  readonly log: Logger;
}

export interface PageServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Nothing from anywhere else, nothing inline, in nobody's frame. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
} as const;

/** @throws BerthError when the port cannot be listened on. */
export async function servePage(options: PageOptions): Promise<PageServer> {
  const { answer, assets, at, log, silentMs, token, tokenRemedy } = options;
  const expected = digest(`Bearer ${token}`);
  const listener = await listenTcp({
    at,
    log,
    ...(silentMs === undefined ? {} : { silentMs }),
    handle: (request, response) => {
      for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
      const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
      if (!path.startsWith('/v1/')) sendAsset(assets.get(path), request, response);
      else if (timingSafeEqual(digest(request.headers.authorization ?? ''), expected)) answer(request, response);
      else refuse(response, tokenRemedy);
    },
  });
  return { url: `${urlOf(listener.address)}/#token=${token}`, close: () => listener.close() };
}

/** Of one length, whatever was sent. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function refuse(response: ServerResponse, remedy: string): void {
  response.writeHead(401, { 'content-type': 'application/json', 'www-authenticate': 'Bearer' });
  response.end(
    JSON.stringify({ code: 'Denied', reason: 'page-token', message: 'the token is missing or old', remedy }),
  );
}

function sendAsset(asset: PageAsset | undefined, { method }: IncomingMessage, response: ServerResponse): void {
  if (asset === undefined) response.writeHead(404, { 'content-type': 'text/plain' }).end('there is nothing here\n');
  else if (method !== 'GET' && method !== 'HEAD') response.writeHead(405, { allow: 'GET, HEAD' }).end();
  else response.writeHead(200, { 'content-type': asset.type }).end(method === 'HEAD' ? undefined : asset.body);
}

/** A server on every address is reached on loopback from the node itself. */
function urlOf({ address, family, port }: AddressInfo): string {
  if (address === '::' || address === '0.0.0.0') return `http://127.0.0.1:${port}`;
  return family === 'IPv6' ? `http://[${address}]:${port}` : `http://${address}:${port}`;
}
