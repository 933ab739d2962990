/**
 * Listing and watching `NodeNetworkInventory` objects (Kubernetes, "API Concepts", efficient detection
 * of changes). Reads, and nothing else. The client library's own `Watch` loses what a refusal says and
 * lines that it cannot parse, so its parts are used: credentials, trust and transport.
 *
 * To debug: `kubectl get nni -w -v=8` makes the same requests.
 */
import {
  ApiException,
  CustomObjectsApi,
  createConfiguration,
  HttpMethod,
  type KubeConfig,
  RequestContext,
} from '@kubernetes/client-node';
import { limitTime } from '../engine/cancellation.ts';
import { BerthError } from '../engine/errors.ts';
import { CALL_MS, callApi, noAnswer } from './api-call.ts';
import { ApiError, apiErrorOf } from './api-error.ts';
import { withVersions } from './definition.ts';
import { INVENTORY_GROUP, INVENTORY_PLURAL, INVENTORY_VERSION } from './inventory-object.ts';

/** Objects in one answer: one with 2,048 VFs and its managed fields is about a megabyte. */
const PAGE = 50;
/** The API server ends a watch after this time and up to a fifth more; the transport's own limit is five minutes. */
const WATCH_SECONDS = 230;
/** Bookmarks come each minute from a server that sends them: two that are missing are a dead connection. */
const SILENT_MS = 150_000;
/** No line is as long; this only stops a runaway peer. */
const MOST_LINE_LETTERS = 32 * 1024 * 1024;

export interface InventoryList {
  readonly items: readonly unknown[];
  /** Where a watch goes on from here. */
  readonly version: string;
}

/** `BOOKMARK` tells a newer version alone. `version` is absent when the object tells none. */
export interface InventoryEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: unknown;
  readonly version: string | undefined;
}

/** Both throw {@link ApiError}; with status 410 the version is too old, and a list tells a new one. */
export interface InventoryListing {
  list(signal: AbortSignal): Promise<InventoryList>;
  /** Calls back when it is open, then for each event; resolves when the server ends it. */
  watch(version: string, handler: WatchHandler, signal: AbortSignal): Promise<void>;
}

export interface WatchHandler {
  opened(): void;
  event(event: InventoryEvent): void;
}

/** How long the server may say nothing. */
export interface SilenceLimits {
  /** Until it answers. */
  readonly answerMs?: number;
  /** In a watch in which bookmarks came. */
  readonly silentMs?: number;
}

/** Connects nothing yet: calls do. `random` is from 0 to less than 1. */
export function createInventoryListing(
  config: KubeConfig,
  random: () => number,
  { answerMs = CALL_MS, silentMs = SILENT_MS }: SilenceLimits = {},
): InventoryListing {
  const objects = config.makeApiClient(CustomObjectsApi);
  const kind = { group: INVENTORY_GROUP, version: INVENTORY_VERSION, plural: INVENTORY_PLURAL };
  return {
    async list(signal) {
      const items: unknown[] = [];
      await addCredentials(config, new RequestContext(config.getCurrentCluster()?.server ?? '', HttpMethod.GET));
      for (let next: string | undefined; ; ) {
        const from = next === undefined ? {} : { _continue: next };
        const answer = await callApi(
          'listing NodeNetworkInventories',
          signal,
          undefined,
          (options) => objects.listClusterCustomObject({ ...kind, limit: PAGE, ...from }, options),
          answerMs,
        )
          .catch((error: unknown) => {
            throw isUnreadable(error) ? unreadable('the list of NodeNetworkInventories is no JSON', error) : error;
          })
          .catch(async (error: unknown) => {
            throw await withVersions(error, config, signal);
          });
        const page = readPage(answer);
        items.push(...page.items);
        if (page.next === undefined) return { items, version: page.version };
        next = page.next;
      }
    },

    async watch(version, handler, signal) {
      const what = 'watching NodeNetworkInventories';
      const seconds = Math.round(WATCH_SECONDS * (1 + random() / 5));
      const url = new URL(`${config.getCurrentCluster()?.server}/apis/${kind.group}/${kind.version}/${kind.plural}`);
      const query = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion: version, timeoutSeconds: seconds };
      for (const [key, value] of Object.entries(query)) url.searchParams.set(key, String(value));
      const silence = new Silence(what, signal, answerMs);
      try {
        const body = await open(config, url, silence.signal);
        silence.allow((seconds + 30) * 1000);
        handler.opened();
        for await (const line of linesOf(body)) {
          const event = readEvent(line);
          silence.allow(event.type === 'BOOKMARK' || silence.hasBookmarks ? silentMs : (seconds + 30) * 1000);
          if (event.type === 'BOOKMARK') silence.hasBookmarks = true;
          handler.event(event);
        }
      } catch (error) {
        throw apiErrorOf(what, silence.signal.aborted ? silence.signal.reason : error);
      } finally {
        silence.end();
      }
    },
  };
}

/** Aborts when nothing is allowed to be waited for any longer. */
class Silence {
  hasBookmarks = false;
  readonly #what: string;
  readonly #outer: AbortSignal;
  readonly #aborted = new AbortController();
  #limit: ReturnType<typeof limitTime> | undefined;

  constructor(what: string, outer: AbortSignal, firstMs: number) {
    this.#what = what;
    this.#outer = outer;
    this.allow(firstMs);
  }

  get signal(): AbortSignal {
    return this.#aborted.signal;
  }

  /** From now on, for so long. */
  allow(ms: number): void {
    this.end();
    this.#limit = limitTime(this.#outer, ms, () => noAnswer(this.#what, ms));
    const { signal } = this.#limit;
    const forward = (): void => this.#aborted.abort(signal.reason);
    if (signal.aborted) forward();
    else signal.addEventListener('abort', forward, { once: true });
  }

  end(): void {
    this.#limit?.end();
  }
}

async function open(config: KubeConfig, url: URL, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const request = new RequestContext(url.href, HttpMethod.GET);
  await addCredentials(config, request);
  request.setHeaderParam('Accept', 'application/json');
  request.setSignal(signal);
  const response = await createConfiguration().httpApi.send(request).toPromise();
  const { body, headers, httpStatusCode: status } = response;
  if (status !== 200) throw new ApiException(status, '', await body.text(), headers);
  const stream = body.stream();
  if (stream === null) throw unreadable('the watch has no answer');
  return stream;
}

/** Files and programs that the kubeconfig names for credentials fail apart from the server. Throws `Invalid`. */
async function addCredentials(config: KubeConfig, request: RequestContext): Promise<void> {
  try {
    await config.applySecurityAuthentication(request);
  } catch (cause) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'kubeconfig-unusable',
      message: `the credentials of the kubeconfig cannot be had: ${cause instanceof Error ? cause.message : String(cause)}`,
      remedy: 'See whether `kubectl get nodes` works from here, or log in again; it is tried again.',
      cause,
    });
  }
}

async function* linesOf(body: ReadableStream<Uint8Array>): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MOST_LINE_LETTERS) throw unreadable('an event of the watch has no end');
    for (const line of lines) if (line.trim() !== '') yield line;
  }
}

/** Throws {@link ApiError} for what the server says went wrong, and for what is no event. */
function readEvent(line: string): InventoryEvent {
  const event = parse(line);
  const type = property(event, 'type');
  const object = property(event, 'object');
  if (type === 'ERROR') {
    const code = property(object, 'code');
    throw new ApiException(typeof code === 'number' ? code : 500, '', object, {});
  }
  const version = property(property(object, 'metadata'), 'resourceVersion');
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED' && type !== 'BOOKMARK') {
    throw unreadable(`an event of the watch is of type ${JSON.stringify(type)?.slice(0, 60)}`);
  }
  return { type, object, version: typeof version === 'string' ? version : undefined };
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw unreadable('an event of the watch is no JSON', error);
  }
}

function readPage(answer: unknown): InventoryList & { readonly next: string | undefined } {
  const items = property(answer, 'items');
  const metadata = property(answer, 'metadata');
  const version = property(metadata, 'resourceVersion');
  const next = property(metadata, 'continue');
  if (!Array.isArray(items) || typeof version !== 'string' || version === '') {
    throw unreadable('what should be the list of NodeNetworkInventories is none');
  }
  return { items, version, next: typeof next === 'string' && next !== '' ? next : undefined };
}

function property(of: unknown, key: string): unknown {
  return typeof of === 'object' && of !== null ? (of as Readonly<Record<string, unknown>>)[key] : undefined;
}

function isUnreadable(error: unknown): boolean {
  return error instanceof ApiError && error.cause instanceof SyntaxError;
}

function unreadable(message: string, cause?: unknown): ApiError {
  return new ApiError(
    {},
    {
      code: 'Io',
      reason: 'api-server-answer',
      message,
      remedy: 'Something else than an API server answers there, a proxy perhaps: compare with `kubectl get nni -v=8`.',
      ...(cause === undefined ? {} : { cause }),
    },
  );
}
