/**
 * Stands in for the API server in the few calls that the agent makes, and refuses every other one (those
 * of hack/e2e are in index.ts). It is a fault injector, no API server: it does not validate against
 * schemas, merge what others apply, watch, or check rights. That Berth's objects fit the schema other
 * tests show; that a real server takes them only `hack/e2e` can.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { discovery } from './discovery.ts';

/** Instead of the answer: a status with headers and text, the connection closed, or no answer at all. */
export type Fault =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly text?: string }
  | 'close'
  | 'silent';

export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly contentType: string;
  readonly body: unknown;
}

export interface ApiServer {
  readonly url: string;
  /** A kubeconfig for it, as YAML (JSON is YAML). */
  readonly kubeconfig: string;
  /** Every request, answered or not. */
  readonly requests: readonly ApiRequest[];
  /** What Berth is not meant to ask; a test ends by looking that there is none. */
  readonly refused: readonly ApiRequest[];
  readonly inventories: Map<string, unknown>;
  readonly events: unknown[];
  readonly taints: { key: string; effect: string }[];
  labels: Readonly<Record<string, string>>;
  /** Whether the definition of NodeNetworkInventory is there. */
  hasDefinition: boolean;
  /** Versions in which discovery tells the kind; for a definition that has not the one that is asked for. */
  served: readonly string[];
  /** Of the Node; `undefined` while the cluster has no such node. */
  nodeUid: string | undefined;
  /** Whether the agent has the right to read its Node. */
  mayReadNode: boolean;
  /** As the admission plugin OwnerReferencesPermissionEnforcement for who may not delete: an object keeps its owners. */
  guardsOwners: boolean;
  /** For the next requests, one each. */
  readonly faults: Fault[];
  /** Resolves when so many requests have come. */
  until(count: number): Promise<void>;
  close(): Promise<void>;
}

const INVENTORY = /^\/apis\/berth\.dev\/v1alpha1\/nodenetworkinventories\/([^/]+)$/;
const EVENTS = /^\/api\/v1\/namespaces\/([^/]+)\/events$/;
const NODE = /^\/api\/v1\/nodes\/([^/]+)$/;

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Listens on a free port of loopback. */
export async function startApiServer(node: string): Promise<ApiServer> {
  const requests: ApiRequest[] = [];
  const refused: ApiRequest[] = [];
  const waiting = new Set<() => void>();
  const server = createServer((incoming, response) => void serve(incoming, response));

  const serve = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request = await read(incoming);
    requests.push(request);
    for (const look of waiting) look();
    const fault = api.faults.shift();
    if (fault === 'silent') return;
    if (fault === 'close') {
      incoming.socket.destroy();
      return;
    }
    if (fault !== undefined) {
      response.writeHead(fault.status, fault.headers);
      response.end(fault.text ?? JSON.stringify(statusBody(fault.status, 'injected')));
      return;
    }
    const answer = answerTo(request) ?? refuse(request);
    response.writeHead(answer.status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer.body));
  };

  const refuse = (request: ApiRequest): Answer => {
    refused.push(request);
    return { status: 403, body: statusBody(403, `${request.method} ${request.path} is not allowed`) };
  };

  const answerTo = (request: ApiRequest): Answer | undefined => {
    const discovered = request.method === 'GET' ? discovery(request.path, api.served) : undefined;
    if (discovered !== undefined) return { status: 200, body: discovered };
    const named = INVENTORY.exec(request.path)?.[1];
    if (named !== undefined) return named === node ? inventory(request, named) : undefined;
    const namespace = EVENTS.exec(request.path)?.[1];
    if (namespace !== undefined) return event(request, namespace);
    return NODE.exec(request.path)?.[1] === node ? ofNode(request) : undefined;
  };

  const inventory = (request: ApiRequest, name: string): Answer | undefined => {
    if (!api.hasDefinition) return { status: 404, body: '404 page not found\n' };
    if (request.method === 'GET') {
      const found = api.inventories.get(name);
      return found === undefined
        ? { status: 404, body: statusBody(404, `nodenetworkinventories "${name}" not found`, name) }
        : { status: 200, body: found };
    }
    if (!isApply(request, 'berth')) return undefined;
    const before = api.inventories.get(name);
    if (api.guardsOwners && before !== undefined && !isDeepStrictEqual(ownersOf(before), ownersOf(request.body))) {
      const message = `"${name}" is forbidden: cannot set an ownerRef on a resource you can't delete: , <nil>`;
      return { status: 403, body: statusBody(403, message) };
    }
    api.inventories.set(name, request.body);
    return { status: 200, body: request.body };
  };

  const event = (request: ApiRequest, namespace: string): Answer | undefined => {
    const body = request.body as { metadata?: { generateName?: string; namespace?: string }; involvedObject?: object };
    if (request.method !== 'POST' || body.metadata?.generateName === undefined) return undefined;
    // As the real one: the event of a namespaced object is in its namespace, that of a node in `default`.
    const { namespace: of } = body.involvedObject as { namespace?: string };
    if (body.metadata.namespace !== namespace || (of ?? 'default') !== namespace) return undefined;
    api.events.push(body);
    return { status: 201, body };
  };

  const ofNode = (request: ApiRequest): Answer | undefined => {
    const object = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: node, uid: api.nodeUid, labels: api.labels },
      spec: { taints: api.taints },
    };
    if (api.nodeUid === undefined) {
      const details = { name: node, kind: 'nodes' };
      return { status: 404, body: { ...statusBody(404, `nodes "${node}" not found`), details } };
    }
    if (request.method === 'GET' && !api.mayReadNode) {
      return { status: 403, body: statusBody(403, `nodes "${node}" is forbidden: cannot get resource "nodes"`) };
    }
    if (request.method === 'GET') return { status: 200, body: object };
    if (request.method === 'PATCH' && request.contentType === 'application/json-patch+json') {
      return patchTaints(request.body, object);
    }
    if (!isApply(request, 'berth-node-labels')) return undefined;
    const { metadata } = request.body as { metadata: { labels: Readonly<Record<string, string>> } };
    if (Object.keys(metadata.labels).some((key) => !key.startsWith('network.berth.dev/'))) return undefined;
    api.labels = metadata.labels;
    return { status: 200, body: object };
  };

  const patchTaints = (body: unknown, object: unknown): Answer | undefined => {
    const [test, remove] = body as readonly { op: string; path: string; value?: string }[];
    const at = Number(/^\/spec\/taints\/(\d+)$/.exec(remove?.path ?? '')?.[1] ?? -1);
    if (test?.op !== 'test' || remove?.op !== 'remove' || test.path !== `${remove.path}/key`) return undefined;
    if (api.taints[at]?.key !== test.value) return { status: 422, body: statusBody(422, 'the test failed') };
    api.taints.splice(at, 1);
    return { status: 200, body: object };
  };

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const api: ApiServer = {
    url,
    kubeconfig: JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'test', cluster: { server: url, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'test', user: { token: 'secret' } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      'current-context': 'test',
    }),
    requests,
    refused,
    inventories: new Map(),
    events: [],
    taints: [],
    labels: {},
    hasDefinition: true,
    served: [],
    nodeUid: 'uid-1',
    mayReadNode: true,
    guardsOwners: false,
    faults: [],
    until: (count) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (requests.length < count) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return api;
}

function isApply({ method, contentType, query }: ApiRequest, manager: string): boolean {
  const forced = query.fieldManager === manager && query.force === 'true';
  return method === 'PATCH' && contentType === 'application/apply-patch+yaml' && forced;
}

function ownersOf(object: unknown): unknown {
  return (object as { metadata: { ownerReferences?: unknown } }).metadata.ownerReferences;
}

function statusBody(code: number, message: string, name?: string): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    status: 'Failure',
    message,
    code,
    ...(name === undefined ? {} : { details: { name } }),
  };
}

async function read(incoming: IncomingMessage): Promise<ApiRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  const url = new URL(incoming.url ?? '/', 'http://stand-in');
  return {
    method: incoming.method ?? '',
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    contentType: incoming.headers['content-type'] ?? '',
    body: text === '' ? undefined : JSON.parse(text),
  };
}
