/**
 * The few calls of an API server that `hack/e2e` makes, over HTTP and with faults on order. It stores
 * what is applied and answers it; what a cluster's controllers would do is the test's to do in `react`.
 *
 * What it does not prove: that a real server takes the objects (schemas, defaults, admission), that
 * field ownership, watches and rights are as Berth expects, or how long anything takes. A request that
 * Berth is not meant to make is answered with 501 and fails the test that looks at `refused`.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';

export interface StoredObject {
  readonly kind: string;
  metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly uid?: string;
  };
  // biome-ignore lint/suspicious/noExplicitAny: objects of every kind
  [field: string]: any;
}

export type Fault = 409 | 429 | 500 | 503 | 'closed' | 'slow';

export interface ApiServer {
  readonly url: string;
  readonly objects: Map<string, StoredObject>;
  /** Requests, as `PATCH /api/v1/...`, without their query. */
  readonly requests: readonly string[];
  /** Those that it does not know. */
  readonly refused: readonly string[];
  /** The next requests meet these, one each. */
  inject(...faults: readonly Fault[]): void;
  close(): Promise<void>;
}

export interface Reactions {
  /** After an object was applied or before it is answered: may change it in place. */
  applied?(path: string, object: StoredObject): void;
  /** Instead of forgetting the object at once: `forget` is called when it is gone. */
  deleted?(path: string, object: StoredObject, forget: () => void): void;
  /** Before an object is answered. */
  read?(path: string, object: StoredObject): void;
  /** After a JSON patch. */
  patched?(path: string, object: StoredObject): void;
  /** Objects that somebody else keeps: of one path, or below it. */
  elsewhere?(path: string): readonly StoredObject[];
}

interface Answer {
  readonly status: number;
  readonly body: object;
}

const CLUSTER_WIDE =
  '(rbac\\.authorization\\.k8s\\.io/v1/(clusterroles|clusterrolebindings)|apiextensions\\.k8s\\.io/v1/customresourcedefinitions)';

const KNOWN: readonly (readonly [method: string, path: RegExp])[] = [
  ['GET', /^\/version$/],
  ['POST', /^\/apis\/authorization\.k8s\.io\/v1\/selfsubjectaccessreviews$/],
  ['GET', /^\/apis\/k8s\.cni\.cncf\.io\/v1$/],
  ['GET', /^\/api\/v1\/nodes(\/[^/]+)?$/],
  ['PATCH', /^\/api\/v1\/nodes\/[^/]+$/],
  ['GET', /^\/api\/v1\/namespaces\/[^/]+$/],
  ['GET', /^\/api\/v1\/namespaces\/default\/services\/kubernetes$/],
  ['GET', /^\/api\/v1\/namespaces\/[^/]+\/(pods|events)(\/[^/]+)?$/],
  ['GET', /^\/api\/v1\/namespaces\/[^/]+\/pods\/[^/]+\/log$/],
  ['GET', /^\/apis\/berth\.dev\/v1alpha1\/nodenetworkinventories\/[^/]+$/],
  ['GET', new RegExp(`^/apis/${CLUSTER_WIDE}/[^/]+$`)],
  ['PATCH', new RegExp(`^/apis/${CLUSTER_WIDE}/[^/]+$`)],
  ['DELETE', new RegExp(`^/apis/${CLUSTER_WIDE}/[^/]+$`)],
  ['PATCH', /^\/api\/v1\/namespaces\/[^/]+(\/(serviceaccounts|configmaps|pods)\/[^/]+)?$/],
  ['PATCH', /^\/apis\/apps\/v1\/namespaces\/[^/]+\/daemonsets\/[^/]+$/],
  ['PATCH', /^\/apis\/k8s\.cni\.cncf\.io\/v1\/namespaces\/[^/]+\/network-attachment-definitions\/[^/]+$/],
  ['DELETE', /^\/api\/v1\/namespaces\/[^/]+(\/pods\/[^/]+)?$/],
  ['DELETE', /^\/apis\/k8s\.cni\.cncf\.io\/v1\/namespaces\/[^/]+\/network-attachment-definitions\/[^/]+$/],
];

export async function createApiServer(
  reactions: Reactions,
  options: { readonly token: string; readonly withMultus: boolean; readonly forbidden?: readonly string[] },
): Promise<ApiServer> {
  const objects = new Map<string, StoredObject>();
  const requests: string[] = [];
  const refused: string[] = [];
  const faults: Fault[] = [];

  const handle = async (request: IncomingMessage): Promise<Answer | undefined> => {
    const { method = '', headers } = request;
    const url = new URL(request.url ?? '/', 'http://api');
    const body = await bodyOf(request);
    requests.push(`${method} ${url.pathname}`);
    if (headers.authorization !== `Bearer ${options.token}`) return { status: 401, body: { message: 'who are you?' } };
    const fault = faults.shift();
    if (fault === 'closed') return undefined;
    if (fault === 'slow') await delay(300);
    else if (fault !== undefined) return { status: fault, body: { message: `fault ${fault}` } };
    if (!KNOWN.some(([known, path]) => known === method && path.test(url.pathname))) {
      refused.push(`${method} ${url.pathname}`);
      return { status: 501, body: { message: 'not a request that Berth is meant to make' } };
    }
    return respond(method, url, body, headers['content-type'] ?? '');
  };

  const respond = (method: string, url: URL, body: string, contentType: string): Answer => {
    const path = url.pathname;
    if (path === '/version') return { status: 200, body: { gitVersion: 'v0.0.0' } };
    if (method === 'POST') return { status: 201, body: review(body) };
    if (path === '/apis/k8s.cni.cncf.io/v1') return { status: options.withMultus ? 200 : 404, body: {} };
    if (path.endsWith('/log')) return { status: 200, body: { log: 'none' } };
    if (method === 'PATCH') return contentType.includes('json-patch') ? jsonPatch(path, body) : apply(url, body);
    const isList = /\/(pods|events|nodes)$/.test(path);
    const found = objects.get(path) ?? (isList ? undefined : reactions.elsewhere?.(path)[0]);
    if (found === undefined && method === 'GET' && isList) return list(url);
    if (found === undefined) return { status: 404, body: {} };
    if (method === 'GET') reactions.read?.(path, found);
    else {
      const forget = (): void => void objects.delete(path);
      if (reactions.deleted === undefined) forget();
      else reactions.deleted(path, found, forget);
    }
    return { status: 200, body: found };
  };

  const list = (url: URL): Answer => {
    const wanted = (url.searchParams.get('labelSelector') ?? '').split(',').filter((part) => part !== '');
    const stored = [...objects].filter(([key]) => key.startsWith(`${url.pathname}/`)).map(([, object]) => object);
    const items = [...stored, ...(reactions.elsewhere?.(url.pathname) ?? [])].filter(({ metadata }) =>
      wanted.every((part) => metadata.labels?.[part.split('=')[0] ?? ''] === part.split('=')[1]),
    );
    return { status: 200, body: { items } };
  };

  const review = (body: string): object => {
    const { verb, resource } = JSON.parse(body).spec.resourceAttributes;
    return { status: { allowed: options.forbidden?.includes(`${verb} ${resource}`) !== true } };
  };

  const jsonPatch = (path: string, body: string): Answer => {
    const found = objects.get(path);
    if (found === undefined) return { status: 404, body: {} };
    // As the real one: nothing is changed when a part cannot be.
    const copy = structuredClone(found);
    for (const change of JSON.parse(body) as readonly JsonPatch[]) {
      if (!applyChange(copy, change)) return { status: 422, body: { message: `${change.op} ${change.path}` } };
    }
    objects.set(path, copy);
    reactions.patched?.(path, copy);
    return { status: 200, body: copy };
  };

  const apply = (url: URL, body: string): Answer => {
    if (!url.searchParams.has('fieldManager')) return { status: 400, body: { message: 'fieldManager is required' } };
    const object = JSON.parse(body) as StoredObject;
    if (object.metadata.name !== url.pathname.split('/').at(-1)) return { status: 400, body: { message: 'name' } };
    const inNamespace = /\/namespaces\/([^/]+)\/./.exec(url.pathname)?.[1];
    if (inNamespace !== undefined && !objects.has(`/api/v1/namespaces/${inNamespace}`)) {
      return { status: 404, body: { message: 'no such namespace' } };
    }
    objects.set(url.pathname, object);
    reactions.applied?.(url.pathname, object);
    return { status: 200, body: object };
  };

  const server: Server = createServer((request, response) => {
    handle(request)
      .catch((error: unknown) => ({ status: 500, body: { message: String(error) } }))
      .then((answer) => {
        if (answer === undefined) request.socket.destroy();
        else response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body));
      });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    objects,
    requests,
    refused,
    inject: (...wanted) => void faults.push(...wanted),
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
}

interface JsonPatch {
  readonly op: string;
  readonly path: string;
  readonly value?: unknown;
}

/** One step of a JSON patch (RFC 6902) on keys of objects and places in lists; false when it cannot be done. */
function applyChange(object: StoredObject, { op, path, value }: JsonPatch): boolean {
  const keys = path
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  const last = keys.pop() ?? '';
  // biome-ignore lint/suspicious/noExplicitAny: objects of every kind
  const holder = keys.reduce<any>((inner, key) => inner?.[key], object);
  if (holder === undefined) return false;
  if (op === 'add') holder[last] = value;
  if (op === 'test') return isDeepStrictEqual(holder[last], value);
  if (op !== 'remove') return op === 'add';
  if (!(last in holder)) return false;
  if (Array.isArray(holder)) holder.splice(Number(last), 1);
  else delete holder[last];
  return true;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
