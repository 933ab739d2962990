/**
 * The few requests of this test to an API server: get, list, server-side apply, patch, delete, a pod's
 * log, and whether its user may do something. Every request has a deadline; answers that say "later"
 * (409, 429, 5xx, a closed connection) are asked again.
 */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { ApiAccess } from './kube-config.ts';

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly generation?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
    readonly ownerReferences?: readonly { readonly kind: string; readonly uid: string }[];
    readonly managedFields?: readonly { readonly manager: string; readonly operation: string }[];
  };
  // biome-ignore lint/suspicious/noExplicitAny: the server's objects are looked into by their path
  readonly [field: string]: any;
}

/** The API's plural and whether objects lie in a namespace, for the kinds that are used here. */
const RESOURCES: Readonly<Record<string, { readonly plural: string; readonly namespaced: boolean }>> = {
  Namespace: { plural: 'namespaces', namespaced: false },
  Node: { plural: 'nodes', namespaced: false },
  ServiceAccount: { plural: 'serviceaccounts', namespaced: true },
  ConfigMap: { plural: 'configmaps', namespaced: true },
  Service: { plural: 'services', namespaced: true },
  Pod: { plural: 'pods', namespaced: true },
  Event: { plural: 'events', namespaced: true },
  DaemonSet: { plural: 'daemonsets', namespaced: true },
  ClusterRole: { plural: 'clusterroles', namespaced: false },
  ClusterRoleBinding: { plural: 'clusterrolebindings', namespaced: false },
  CustomResourceDefinition: { plural: 'customresourcedefinitions', namespaced: false },
  NodeNetworkInventory: { plural: 'nodenetworkinventories', namespaced: false },
  NetworkAttachmentDefinition: { plural: 'network-attachment-definitions', namespaced: true },
};

const ATTEMPTS = 6;
const TIMEOUT_MS = 30_000;
const FIELD_MANAGER = 'berth-e2e';

const LATER = [409, 429, 500, 502, 503, 504];
/** Errors that go by without anybody's doing. */
const PASSING = ['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN'];

export interface Reference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name?: string;
  readonly namespace?: string;
}

export interface JsonPatch {
  readonly op: 'add' | 'remove' | 'test';
  readonly path: string;
  readonly value?: unknown;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** What the server refused, with its own words. */
export class RefusedError extends Error {
  readonly status: number;

  constructor(method: string, path: string, { status, body }: Answer) {
    super(`${method} ${path}: ${status} ${messageOf(body)}${adviceFor(status)}`);
    this.status = status;
  }
}

export class KubeClient {
  readonly #access: ApiAccess;

  constructor(access: ApiAccess) {
    this.#access = access;
  }

  get server(): URL {
    return this.#access.server;
  }

  /** Whether there is anybody: one attempt, since a wrong address will not become right. Throws what is in the way. */
  async reach(): Promise<void> {
    try {
      await this.#once('GET', '/version');
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException;
      throw new Error(
        `${this.#access.server.origin} does not answer: ${message}${message.includes(code) ? '' : ` (${code})`}. ` +
          'Compare with `kubectl --kubeconfig FILE version` on this machine.',
      );
    }
    await this.#request('GET', '/version');
  }

  /** `undefined` when there is no such object (or no such kind). */
  async get(reference: Reference & { readonly name: string }): Promise<KubeObject | undefined> {
    const { status, body } = await this.#request('GET', pathOf(reference));
    return status === 404 ? undefined : (JSON.parse(body) as KubeObject);
  }

  async list(reference: Reference, query = ''): Promise<readonly KubeObject[]> {
    const { status, body } = await this.#request('GET', `${pathOf(reference)}${query}`);
    return status === 404 ? [] : (JSON.parse(body) as { items: readonly KubeObject[] }).items;
  }

  /** True when the server serves the group and version, `k8s.cni.cncf.io/v1`. */
  async serves(apiVersion: string): Promise<boolean> {
    return (await this.#request('GET', `/apis/${apiVersion}`)).status !== 404;
  }

  /** Server-side apply: makes the object, or what we own of it, as given. */
  async apply(object: KubeObject): Promise<KubeObject> {
    const { apiVersion, kind, metadata } = object;
    const { name, namespace } = metadata;
    const path = pathOf({ apiVersion, kind, name, ...(namespace === undefined ? {} : { namespace }) });
    const query = `?fieldManager=${FIELD_MANAGER}&force=true`;
    const { status, body } = await this.#request('PATCH', `${path}${query}`, 'apply-patch+yaml', object);
    if (status === 404) throw new Error(`apply ${kind} ${name}: the server has no such kind or namespace: ${body}`);
    return JSON.parse(body) as KubeObject;
  }

  /** Throws {@link RefusedError} 422 when a `test` of the patch fails. */
  async patch(reference: Reference & { readonly name: string }, changes: readonly JsonPatch[]): Promise<void> {
    await this.#request('PATCH', `${pathOf(reference)}?fieldManager=${FIELD_MANAGER}`, 'json-patch+json', changes);
  }

  /** What is gone already is fine. */
  async delete(reference: Reference & { readonly name: string }): Promise<void> {
    await this.#request('DELETE', pathOf(reference));
  }

  async log(namespace: string, pod: string): Promise<string> {
    const { body } = await this.#request('GET', `/api/v1/namespaces/${namespace}/pods/${pod}/log?tailLines=40`);
    return body;
  }

  /** Whether the user of the kubeconfig may do that everywhere. */
  async may(verb: string, group: string, resource: string): Promise<boolean> {
    const [name, subresource] = resource.split('/');
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { verb, group, resource: name, ...(subresource && { subresource }) } },
    };
    const { body } = await this.#request(
      'POST',
      '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      'json',
      review,
    );
    return (JSON.parse(body) as KubeObject).status?.allowed === true;
  }

  async #request(method: string, path: string, type?: string, body?: object): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await this.#once(method, path, type, body);
        const { status } = answer;
        if (status < 300 || status === 404) return answer;
        if (!LATER.includes(status) || attempt === ATTEMPTS) throw new RefusedError(method, path, answer);
      } catch (error) {
        const isPassing = PASSING.includes((error as NodeJS.ErrnoException).code ?? '');
        if (!isPassing || attempt === ATTEMPTS) throw error;
      }
      await delay(250 * 2 ** attempt);
    }
  }

  #once(method: string, path: string, type?: string, body?: object): Promise<Answer> {
    const { server, ca, cert, key, token, insecure } = this.#access;
    const start = server.protocol === 'https:' ? httpsRequest : httpRequest;
    const text = body === undefined ? '' : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const outgoing = start(
        new URL(`${server.pathname.replace(/\/$/, '')}${path}`, server),
        {
          method,
          ca,
          cert,
          key,
          rejectUnauthorized: !insecure,
          timeout: TIMEOUT_MS,
          headers: {
            accept: 'application/json',
            ...(text === ''
              ? {}
              : { 'content-type': `application/${type}`, 'content-length': Buffer.byteLength(text) }),
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          },
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.on('end', () =>
            resolve({ status: incoming.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
          );
          incoming.on('error', reject);
        },
      );
      outgoing.on('timeout', () =>
        outgoing.destroy(new Error(`${method} ${path}: no answer in ${TIMEOUT_MS / 1000} s`)),
      );
      outgoing.on('error', reject);
      outgoing.end(text);
    });
  }
}

/** What a `Status` of the API server says, or the beginning of whatever else answered. */
function messageOf(body: string): string {
  try {
    const { message } = JSON.parse(body) as { message?: unknown };
    if (typeof message === 'string') return message;
  } catch {
    // A proxy's page, for example.
  }
  return body.trim().slice(0, 300);
}

function adviceFor(status: number): string {
  if (status === 401) return '. The server does not accept the credentials of the kubeconfig.';
  if (status === 403) return '. The user of the kubeconfig has not the right for it.';
  return '';
}

function pathOf({ apiVersion, kind, name, namespace }: Reference): string {
  const resource = RESOURCES[kind];
  if (resource === undefined) throw new Error(`this test knows no kind ${kind}`);
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const place = resource.namespaced ? `/namespaces/${namespace ?? 'default'}` : '';
  return `${group}${place}/${resource.plural}${name === undefined ? '' : `/${name}`}`;
}
