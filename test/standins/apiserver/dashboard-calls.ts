/**
 * The calls of the API server that the dashboard makes, list and watch of NodeNetworkInventories and, where
 * these have no definition, discovery, over HTTP and with faults on order. It keeps versions as the real one does: a watch goes on from any
 * version that is not compacted, and from an older one it is refused with 410.
 *
 * What it does not prove: that rights, consistency of lists, bookmarks and time limits of a real server
 * are as Berth expects. Whatever Berth is not meant to ask is answered with 403 and kept in `refused`:
 * every write, every other kind, and a list that is not in portions.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { discovery } from './discovery.ts';

/** Instead of the answer: a status with headers and text, the connection closed, or no answer at all. */
export type ReadFault =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly text?: string }
  | 'close'
  | 'silent';

export interface StoredInventory {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: { readonly name: string } & Readonly<Record<string, unknown>>;
  readonly status?: unknown;
}

export interface DashboardApi {
  readonly url: string;
  /** As JSON, which is YAML; its user has the token that is asked for. */
  readonly kubeconfig: string;
  /** `LIST`, `LIST from <continue>` or `WATCH <version>`, answered or not. */
  readonly requests: readonly string[];
  readonly refused: readonly string[];
  /** For the next requests of that kind, one each. */
  readonly faults: { readonly list: ReadFault[]; readonly watch: ReadFault[] };
  /** Rights of the user; a call without is answered with 403. */
  readonly may: { list: boolean; watch: boolean };
  hasDefinition: boolean;
  /** Versions in which discovery tells the kind. */
  served: readonly string[];
  /** What the user has to send. */
  token: string;
  readonly watches: number;
  /** Makes or changes an object, and tells who watches. */
  put(object: StoredInventory): void;
  remove(name: string): void;
  bookmark(): void;
  /** Forgets older versions: who asks for one is refused with 410. */
  compact(): void;
  /** To every open watch, as it is. */
  send(text: string): void;
  /** Ends the open watches, as a server does after their time. */
  endWatches(): void;
  /** Cuts the connections of the open watches. */
  cutWatches(): void;
  close(): Promise<void>;
}

const PATH = '/apis/berth.dev/v1alpha1/nodenetworkinventories';

interface Past {
  readonly version: number;
  readonly line: string;
}

/** Listens on a free port of loopback; with a certificate, which its kubeconfig trusts, over TLS. */
export async function startDashboardApi(
  objects: readonly StoredInventory[] = [],
  tls?: { readonly key: string; readonly cert: string },
): Promise<DashboardApi> {
  const stored = new Map<string, unknown>();
  const past: Past[] = [];
  const requests: string[] = [];
  const refused: string[] = [];
  const open = new Set<ServerResponse>();
  let version = 100;
  let oldest = 100;

  const tell = (type: string, object: unknown): void => {
    const line = `${JSON.stringify({ type, object })}\n`;
    if (type !== 'BOOKMARK') past.push({ version, line });
    for (const response of open) response.write(line);
  };
  const versioned = (object: StoredInventory): StoredInventory => ({
    apiVersion: 'berth.dev/v1alpha1',
    kind: 'NodeNetworkInventory',
    ...object,
    metadata: { ...object.metadata, resourceVersion: String(version) },
  });

  const list = (query: URLSearchParams, response: ServerResponse): void => {
    const limit = Number(query.get('limit'));
    const from = Number(query.get('continue') ?? 0);
    const names = [...stored.keys()].sort();
    const page = names.slice(from, from + limit);
    const rest = from + limit < names.length ? { continue: String(from + limit) } : {};
    send(response, 200, {
      apiVersion: 'berth.dev/v1alpha1',
      kind: 'NodeNetworkInventoryList',
      metadata: { resourceVersion: String(version), ...rest },
      items: page.map((name) => stored.get(name)),
    });
  };

  const watch = (query: URLSearchParams, response: ServerResponse): void => {
    const from = Number(query.get('resourceVersion'));
    if (from < oldest) {
      failed(response, 410, `too old resource version: ${from} (${oldest})`);
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    for (const { line, version: at } of past) if (at > from) response.write(line);
    open.add(response);
    response.on('close', () => open.delete(response));
  };

  const answer = (incoming: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(incoming.url ?? '/', 'http://stand-in');
    const query = url.searchParams;
    const discovered = incoming.method === 'GET' ? discovery(url.pathname, api.served) : undefined;
    if (discovered !== undefined) {
      send(response, 200, discovered);
      return;
    }
    const kind = query.get('watch') === 'true' ? 'watch' : 'list';
    const from = query.get('continue');
    const isOurs =
      incoming.method === 'GET' &&
      url.pathname === PATH &&
      (kind === 'watch'
        ? Number(query.get('resourceVersion')) > 0 &&
          Number(query.get('timeoutSeconds')) > 0 &&
          query.get('allowWatchBookmarks') === 'true'
        : Number(query.get('limit')) > 0);
    if (!isOurs) {
      refused.push(`${incoming.method} ${incoming.url}`);
      failed(response, 403, 'not a request that Berth is meant to make');
      return;
    }
    const version_ = query.get('resourceVersion');
    requests.push(kind === 'watch' ? `WATCH ${version_}` : from === null ? 'LIST' : `LIST from ${from}`);
    const fault = api.faults[kind].shift();
    if (fault === 'silent') return;
    if (fault === 'close') incoming.socket.destroy();
    else if (fault !== undefined) {
      response.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers });
      response.end(fault.text ?? JSON.stringify(statusBody(fault.status, 'injected')));
    } else if (incoming.headers.authorization !== `Bearer ${api.token}`) failed(response, 401, 'Unauthorized');
    else if (!api.hasDefinition) response.writeHead(404).end('404 page not found\n');
    else if (!api.may[kind]) {
      const what = `nodenetworkinventories.berth.dev is forbidden: User "jane" cannot ${kind} resource`;
      failed(response, 403, what);
    } else if (kind === 'watch') watch(query, response);
    else list(query, response);
  };

  const server = tls === undefined ? createServer(answer) : createTlsServer(tls, answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const api: DashboardApi = {
    url,
    kubeconfig: kubeconfigFor(url, 'secret', tls?.cert),
    requests,
    refused,
    faults: { list: [], watch: [] },
    may: { list: true, watch: true },
    hasDefinition: true,
    served: [],
    token: 'secret',
    get watches() {
      return open.size;
    },
    put(object) {
      version += 1;
      const { name } = object.metadata;
      const isNew = !stored.has(name);
      const now = versioned(object);
      stored.set(name, now);
      tell(isNew ? 'ADDED' : 'MODIFIED', now);
    },
    remove(name) {
      version += 1;
      const last = stored.get(name);
      stored.delete(name);
      if (last !== undefined) tell('DELETED', versioned(last as StoredInventory));
    },
    bookmark: () => {
      version += 1;
      tell('BOOKMARK', { kind: 'NodeNetworkInventory', metadata: { resourceVersion: String(version) } });
    },
    compact: () => {
      version += 1;
      oldest = version;
      past.length = 0;
    },
    send: (text) => {
      for (const response of open) response.write(text);
    },
    endWatches: () => {
      for (const response of open) response.end();
      open.clear();
    },
    cutWatches: () => {
      for (const response of open) response.destroy();
      open.clear();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  for (const object of objects) api.put(object);
  past.length = 0;
  oldest = version;
  return api;
}

/** Of a user with that token, in context `test`, besides contexts that lead nowhere. */
export function kubeconfigFor(server: string, token: string, authority?: string): string {
  const trust =
    authority === undefined
      ? { 'insecure-skip-tls-verify': true }
      : { 'certificate-authority-data': Buffer.from(authority).toString('base64') };
  const context = (name: string) => ({ name, context: { cluster: name, user: 'jane' } });
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'test', cluster: { server, ...trust } },
      { name: 'nowhere', cluster: { server: 'http://127.0.0.1:9', 'insecure-skip-tls-verify': true } },
      { name: 'open', cluster: { server: 'http://127.0.0.1:9' } },
    ],
    users: [{ name: 'jane', user: { token } }],
    contexts: [context('test'), context('nowhere'), context('open')],
    'current-context': 'test',
  });
}

function failed(response: ServerResponse, status: number, message: string): void {
  send(response, status, statusBody(status, message));
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function statusBody(code: number, message: string): unknown {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code };
}
