/**
 * The few requests of this test to an API server: get, server-side apply, delete, and a pod's log. Every
 * request has a deadline; answers that say "later" (429, 500, 503, a closed connection) are asked again.
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
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
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
  NetworkAttachmentDefinition: { plural: 'network-attachment-definitions', namespaced: true },
};

const ATTEMPTS = 6;
const TIMEOUT_MS = 30_000;
const FIELD_MANAGER = 'berth-e2e';

export interface Reference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name?: string;
  readonly namespace?: string;
}

export class KubeClient {
  readonly #access: ApiAccess;

  constructor(access: ApiAccess) {
    this.#access = access;
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
    const { status, body } = await this.#request('PATCH', `${path}?fieldManager=${FIELD_MANAGER}&force=true`, object);
    if (status === 404) throw new Error(`apply ${kind} ${name}: the server has no such kind or namespace: ${body}`);
    return JSON.parse(body) as KubeObject;
  }

  /** What is gone already is fine. */
  async delete(reference: Reference & { readonly name: string }, graceSeconds?: number): Promise<void> {
    const grace = graceSeconds === undefined ? '' : `?gracePeriodSeconds=${graceSeconds}`;
    await this.#request('DELETE', `${pathOf(reference)}${grace}`);
  }

  async log(namespace: string, pod: string): Promise<string> {
    const { body } = await this.#request('GET', `/api/v1/namespaces/${namespace}/pods/${pod}/log?tailLines=40`);
    return body;
  }

  async #request(method: string, path: string, body?: object): Promise<{ status: number; body: string }> {
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await this.#once(method, path, body);
        const { status } = answer;
        if (status < 300 || status === 404) return answer;
        const error = new Error(`${method} ${path}: ${status} ${answer.body.slice(0, 500)}`);
        if (![409, 429, 500, 502, 503, 504].includes(status) || attempt === ATTEMPTS) throw error;
      } catch (error) {
        if (!isPassing(error) || attempt === ATTEMPTS) throw error;
      }
      await delay(250 * 2 ** attempt);
    }
  }

  #once(method: string, path: string, body?: object): Promise<{ status: number; body: string }> {
    const { server, ca, cert, key, token, insecure } = this.#access;
    const start = server.protocol === 'https:' ? httpsRequest : httpRequest;
    const text = body === undefined ? '' : JSON.stringify(body);
    const type = method === 'PATCH' ? 'application/apply-patch+yaml' : 'application/json';
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
            ...(text === '' ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(text) }),
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

function isPassing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return ['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN'].includes(code);
}

function pathOf({ apiVersion, kind, name, namespace }: Reference): string {
  const resource = RESOURCES[kind];
  if (resource === undefined) throw new Error(`this test knows no kind ${kind}`);
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const place = resource.namespaced ? `/namespaces/${namespace ?? 'default'}` : '';
  return `${group}${place}/${resource.plural}${name === undefined ? '' : `/${name}`}`;
}
