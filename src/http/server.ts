/**
 * The agent's API for people's tools: HTTP over a unix socket that only root can open. It reads, and
 * has one thing done: `POST /v1/gc`, on that socket alone.
 *
 * Not for kubelet or runtimes, which have their own protocols. To look by hand:
 * `curl --unix-socket /run/berth/api.sock http://berth/v1/status`.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { GarbageReport } from '../engine/attachments/garbage.ts';
import { BerthError } from '../engine/errors.ts';
import type { Logger } from '../engine/logger.ts';
import type { AgentView } from '../engine/view.ts';
import { answerWith, noSuchPath, readingUrl } from './answer.ts';
import type { EventStreams } from './event-stream.ts';

export interface ApiServerOptions {
  readonly socketPath: string;
  readonly view: AgentView;
  /** Peer's uid by SO_PEERCRED; a peer that is not root is cut off before its request is read. */
  readonly peerUid: (socket: Socket) => number;
  /** `POST /v1/gc` */
  readonly collect: () => Promise<GarbageReport>;
  /** For `/v1/stream`. */
  readonly streams: EventStreams;
  readonly log: Logger;
}

/** What answers requests, on whatever they came. */
export type ApiAnswers = Pick<ApiServerOptions, 'view' | 'streams' | 'log'>;

export interface ApiServer {
  /** Stops listening and ends every connection. */
  close(): Promise<void>;
}

const PATHS =
  'Paths are /v1/status, /v1/inventory, /v1/counters, /v1/plan, /v1/attachments, /v1/allocations, /v1/gc, /v1/explain?device=NAME, /v1/stream and /v1/page.';

/** More than the command line ever opens; the rest waits in the kernel's backlog. */
const MAX_CONNECTIONS = 32;

/**
 * Serves `GET /v1/{status,inventory,counters,plan,attachments,gc,stream,page}` and
 * `GET /v1/explain?device=NAME`.
 * Errors are `{code, reason, message, remedy}` with a matching status.
 */
export async function serveApi(options: ApiServerOptions): Promise<ApiServer> {
  const server = createServer({ keepAlive: false, requestTimeout: 5000, headersTimeout: 5000 }, (request, response) => {
    if (request.method === 'POST' && request.url === '/v1/gc')
      answerWith(options.log, request, response, options.collect);
    else answerApi(options, request, response);
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.on('connection', (socket: Socket) => {
    if (!isRoot(socket, options)) socket.destroy();
  });
  await listenRootOnly(server, options.socketPath);
  // Without a listener a failing accept would end the agent.
  server.on('error', (error) => options.log.error({ err: error }, 'api: the socket failed'));
  return {
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
}

/** A peer of whom the kernel does not tell who it is, is not let in either. */
function isRoot(socket: Socket, { peerUid, log }: ApiServerOptions): boolean {
  try {
    const uid = peerUid(socket);
    if (uid !== 0) log.warn({ uid }, 'api: a peer that is not root was refused');
    return uid === 0;
  } catch (error) {
    log.warn({ err: error }, 'api: a peer that cannot be identified was refused');
    return false;
  }
}

/** The agent's lock is held by now, so a socket that is in the way belongs to a dead agent. */
async function listenRootOnly(server: Server, path: string): Promise<void> {
  rmSync(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
  chmodSync(path, 0o600);
}

/** Answers one request; never throws. */
export function answerApi(answers: ApiAnswers, request: IncomingMessage, response: ServerResponse): void {
  answerWith(answers.log, request, response, () => answer(answers, request, response));
}

/** `undefined` when the answer is sent already. */
async function answer(answers: ApiAnswers, request: IncomingMessage, response: ServerResponse): Promise<unknown> {
  const url = readingUrl(request, PATHS);
  if (url.pathname !== '/v1/stream') return await route(answers.view, url);
  await answers.streams.serve(response);
  return undefined;
}

function route(view: AgentView, url: URL): unknown {
  switch (url.pathname) {
    case '/v1/status':
      return view.status();
    case '/v1/inventory':
      return view.inventory();
    case '/v1/counters':
      return view.counters();
    case '/v1/allocations':
      return view.allocations();
    case '/v1/page':
      return view.page() ?? noPage();
    case '/v1/plan':
      return view.plan();
    case '/v1/attachments':
      return view.attachments();
    case '/v1/gc':
      return view.garbage();
    case '/v1/explain':
      return view.explain(url.searchParams.get('device') ?? '');
    default:
      return noSuchPath(url, PATHS);
  }
}

function noPage(): never {
  throw new BerthError({
    code: 'NotFound',
    reason: 'page-off',
    message: 'the agent serves no page',
    remedy: 'Start it with --page-listen 127.0.0.1:9474, and see its log if it was.',
  });
}
