/**
 * Follows the inventories of all nodes: a list, then a watch from where it ended. Nothing is polled; a
 * list comes again only when the API server no longer knows the version that was seen last (410), or
 * said something that is none of its words. What goes wrong is a state that people see: since when, why
 * and what to do, while what was seen before stays.
 */
import type { Clock } from '../engine/clock.ts';
import {
  type ClusterConnection,
  type ClusterDocument,
  type ClusterIdentity,
  type ClusterNode,
  shareNode,
} from '../engine/cluster/document.ts';
import { BerthError } from '../engine/errors.ts';
import { ApiError, apiErrorOf } from './api-error.ts';
import type { InventoryEvent, InventoryListing } from './inventory-listing.ts';
import { readInventoryObject } from './inventory-reading.ts';

/** Somebody waits before a screen, and there are few who do: pauses stay short. */
const FIRST_MS = 1000;
const LIMIT_MS = 30_000;
/** What the API server asks for is heeded up to this. */
const LONGEST_ASKED_MS = 300_000;
/** A watch that ended earlier, without a word, was no watch. */
const SHORTEST_WATCH_MS = 5000;

export interface InventoryWatchOptions {
  readonly identity: ClusterIdentity;
  /** Anew after each failure, since credentials may have been renewed. Throws `Invalid` (`kubeconfig-unusable`). */
  readonly connect: () => InventoryListing;
  readonly clock: Clock;
  /** From 0 to less than 1. */
  readonly random: () => number;
}

export class InventoryWatch {
  readonly #options: InventoryWatchOptions;
  readonly #listeners = new Set<() => void>();
  readonly #nodes = new Map<string, ClusterNode>();
  #document: ClusterDocument;
  /** Since when the nodes are others than the document's. */
  #isDirty = false;
  #connection: ClusterConnection;
  #nameless = 0;
  #listing: InventoryListing | undefined;
  #version: string | undefined;
  #failures = 0;
  /** The newest failure but outages was that the version is too old. */
  #wasOld = false;
  /** A watch was open when it failed. */
  #isOpen = false;
  #seenAt: Date | undefined;

  constructor(options: InventoryWatchOptions) {
    this.#options = options;
    this.#connection = { state: 'connecting', since: options.clock.now().toISOString() };
    this.#document = { identity: options.identity, connection: this.#connection, nodes: new Map(), nameless: 0 };
  }

  /** As it stands; the same object until something changes. */
  get document(): ClusterDocument {
    if (this.#isDirty) {
      const { identity } = this.#options;
      this.#document = {
        identity,
        connection: this.#connection,
        nodes: new Map(this.#nodes),
        nameless: this.#nameless,
      };
      this.#isDirty = false;
    }
    return this.#document;
  }

  /** Calls back for every change; answers the function that ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Until the signal aborts. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#follow(signal);
      } catch (thrown) {
        if (signal.aborted) return;
        const error = apiErrorOf('following the inventories', thrown);
        await clock.delay(this.#failed(error), signal);
      }
    }
  }

  /** A list where one is needed, and one watch. Throws {@link ApiError}. */
  async #follow(signal: AbortSignal): Promise<void> {
    const { clock, connect } = this.#options;
    this.#listing ??= connect();
    if (this.#version === undefined) {
      const { items, version } = await this.#listing.list(signal);
      this.#version = version;
      this.#replace(items);
    }
    const begin = clock.now().getTime();
    let heard = false;
    await this.#listing.watch(
      this.#version,
      {
        opened: () => this.#opened(),
        event: (event) => {
          heard = true;
          this.#take(event);
        },
      },
      signal,
    );
    if (!heard && !signal.aborted && clock.now().getTime() - begin < SHORTEST_WATCH_MS) throw endedAtOnce();
    this.#failures = 0;
    this.#wasOld = false;
    this.#isOpen = false;
  }

  #opened(): void {
    this.#seen();
    this.#isOpen = true;
    if (this.#connection.state === 'live') return;
    this.#connection = { state: 'live', since: this.#options.clock.now().toISOString() };
    this.#changed();
  }

  #replace(items: readonly unknown[]): void {
    this.#seen();
    const before = new Map(this.#nodes);
    this.#nodes.clear();
    this.#nameless = 0;
    for (const item of items) {
      const node = readInventoryObject(item);
      if (node === undefined) this.#nameless += 1;
      else this.#nodes.set(node.facts.name, shareNode(before.get(node.facts.name), node));
    }
    this.#changed();
  }

  #take({ object, type, version }: InventoryEvent): void {
    this.#seen();
    this.#failures = 0;
    this.#wasOld = false;
    if (version !== undefined) this.#version = version;
    if (type === 'BOOKMARK') return;
    const node = readInventoryObject(object);
    if (node === undefined) {
      this.#nameless += type === 'ADDED' ? 1 : 0;
    } else if (type === 'DELETED') {
      this.#nodes.delete(node.facts.name);
    } else {
      const before = this.#nodes.get(node.facts.name);
      const shared = shareNode(before, node);
      if (shared === before) return;
      this.#nodes.set(node.facts.name, shared);
    }
    this.#changed();
  }

  /** Answers the pause before the next attempt, in milliseconds. */
  #failed(error: ApiError): number {
    const { clock, random } = this.#options;
    this.#listing = undefined;
    const isOld = error.status === 410;
    if (isOld || error.reason === 'api-server-answer') this.#version = undefined;
    const wasOpen = this.#isOpen;
    this.#isOpen = false;
    // Also after an outage: a server that starts knows no older versions. A list at once tells a newer one.
    if (isOld && !this.#wasOld) {
      this.#wasOld = true;
      return Math.round(random() * FIRST_MS);
    }
    const failures = this.#failures++;
    // A connection that was cut is no trouble if the next attempt goes well.
    if (wasOpen && error.reason === 'api-server-unreachable' && failures === 0) return Math.round(random() * FIRST_MS);
    this.#connection = {
      state: 'lost',
      since: this.#connection.state === 'lost' ? this.#connection.since : clock.now().toISOString(),
      ...(this.#seenAt === undefined ? {} : { seenAt: this.#seenAt.toISOString() }),
      problem: { reason: error.reason, message: error.message, remedy: remedyOf(error) },
    };
    this.#changed();
    const grown = Math.min(LIMIT_MS, FIRST_MS * 2 ** Math.min(failures, 10));
    return Math.max(Math.round(grown * (0.5 + random() / 2)), Math.min(error.retryAfterMs ?? 0, LONGEST_ASKED_MS));
  }

  #seen(): void {
    this.#seenAt = this.#options.clock.now();
  }

  #changed(): void {
    this.#isDirty = true;
    for (const listener of this.#listeners) listener();
  }
}

/** For a person with a kubeconfig, who is not the agent with its service account. */
function remedyOf({ cause, reason, remedy, status }: ApiError): string {
  switch (reason) {
    case 'api-server-refused':
      return status === 401
        ? 'The credentials are wrong or have expired: log in again, as for kubectl; the kubeconfig is read anew.'
        : 'Let somebody bind the ClusterRole of deploy/dashboard/rbac.yaml to you: get, list and watch of nodenetworkinventories.';
    case 'api-resource-missing':
      return 'Apply deploy/components/cluster-inventory of this release, which has the definition and lets the agents write.';
    case 'api-server-unreachable':
      return 'See whether `kubectl get nodes` works from here; it is tried again.';
    case 'api-server-untrusted':
      return "The server's certificate has expired or is not of the kubeconfig's authority: get a new kubeconfig, or renew it.";
    default:
      return remedy ?? (cause instanceof BerthError ? cause.remedy : undefined) ?? 'It is tried again.';
  }
}

function endedAtOnce(): ApiError {
  return new ApiError(
    {},
    {
      code: 'Busy',
      reason: 'api-server-busy',
      message: 'watching NodeNetworkInventories: the server ended the watch at once',
      remedy: 'It is tried again; a proxy between here and the API server may not let watches through.',
    },
  );
}
