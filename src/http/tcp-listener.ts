/**
 * An HTTP server on a TCP port for people's and machines' eyes: bounded connections and times, and
 * no answer to a request that names a foreign host, which is what a page of somebody else sends when
 * its name was made to point here (DNS rebinding). What is answered, and to whom, is the handler's work.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import { BerthError } from '../engine/errors.ts';
import type { Logger } from '../engine/logger.ts';

export interface TcpListenerOptions {
  readonly at: ListenAddress;
  /** Called for requests to one of our names only; must not throw. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  /** Answers whatever host a request names: for what holds nothing secret and is asked for under the names of services. */
  readonly anyHost?: boolean;
  readonly mostConnections?: number;
  /** How long a connection may take for the head of its request. */
  readonly silentMs?: number;
  readonly log: Logger;
}

export interface TcpListener {
  readonly address: AddressInfo;
  /** Stops listening and ends every connection. */
  close(): Promise<void>;
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** `127.0.0.1:9474`, `[::1]:9474` or `:9474` (every address). Throws `Invalid`. */
export function parseListenAddress(text: string): ListenAddress {
  const found = /^(?:\[([0-9a-f:.]+)\]|([0-9.]*)):([0-9]{1,5})$/i.exec(text);
  const host = found?.[1] ?? found?.[2] ?? '';
  const port = Number(found?.[3]);
  if (found === null || port > 65_535 || (host !== '' && isIP(host) === 0)) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'listen-address',
      message: `${JSON.stringify(text)} is no address to listen on`,
      remedy: 'Write address and port, as in 127.0.0.1:9474 or [::1]:9474, or :9474 for every address.',
    });
  }
  return { host: host === '' ? '::' : host, port };
}

/** True for addresses that only this machine reaches. */
export function isLoopback({ host }: ListenAddress): boolean {
  return host === '::1' || host.startsWith('127.');
}

/** @throws BerthError `Busy` when the port is taken, `Io` when it cannot be listened on. */
export async function listenTcp(options: TcpListenerOptions): Promise<TcpListener> {
  const { anyHost = false, at, handle, log, mostConnections = 64, silentMs = 5000 } = options;
  const server = createServer(
    {
      requestTimeout: 2 * silentMs,
      headersTimeout: silentMs,
      // Who says nothing holds a place for that long at most, and not until Node.js looks in half a minute.
      connectionsCheckingInterval: silentMs / 5,
      maxHeaderSize: 8192,
    },
    (request, response) => {
      if (!anyHost && !isOurs(request.headers.host, at)) {
        log.warn({ host: request.headers.host }, 'http: a request for another host was refused');
        response
          .writeHead(421, { 'content-type': 'text/plain', connection: 'close' })
          .end('not served under this name\n');
        return;
      }
      handle(request, response);
    },
  );
  server.maxConnections = mostConnections;
  server.keepAliveTimeout = 5000;
  server.on('clientError', (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(unusable(at, cause)));
    // Without a host Node.js takes every address, also those of a kernel that has no IPv6.
    server.listen(at.host === '::' ? { port: at.port } : { host: at.host, port: at.port }, resolve);
  });
  // Without a listener a failing accept would end the agent.
  server.on('error', (error) => log.error({ err: error, port: at.port }, 'http: the port failed'));
  return {
    address: server.address() as AddressInfo,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
}

function unusable({ host, port }: ListenAddress, cause: NodeJS.ErrnoException): BerthError {
  return new BerthError({
    code: cause.code === 'EADDRINUSE' ? 'Busy' : 'Io',
    reason: 'listen-failed',
    message: `cannot listen on ${host} port ${port}: ${cause.message}`,
    remedy: 'Free the port, or give another address.',
    cause,
  });
}

/** Names can be made to point here, addresses cannot: `localhost` and addresses are ours, other names are not. */
function isOurs(header: string | undefined, at: ListenAddress): boolean {
  const name = /^(.*?)(?::[0-9]{1,5})?$/.exec(header ?? '')?.[1]?.toLowerCase() ?? '';
  if (name === 'localhost') return true;
  const literal = name.replace(/^\[|\]$/g, '');
  if (isIP(literal) === 0) return false;
  // On loopback nobody else's address leads here, except through a proxy of another machine.
  return isLoopback(at) ? isLoopback({ host: literal, port: 0 }) : true;
}
