/**
 * Keeps the node's object in the cluster as the node is: one write for each change, gathered and at a
 * random moment, none when nothing changed, and never a poll. What a person edits in the object stays
 * until the next change or the agent's next start, which write every field of Berth's.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../engine/clock.ts';
import type { Logger } from '../engine/logger.ts';
import type { AgentStatus, InventoryView } from '../engine/view.ts';
import type { ClusterApi } from './api.ts';
import { ApiError } from './api-error.ts';
import { ChangeFlag } from './change-flag.ts';
import { type Condition, conditionsOf } from './conditions.ts';
import { inventoryObject, type NodeNetworkInventory } from './inventory-object.ts';
import { type NodeOwner, nodeOwner, nodeOwnersOf } from './node-owner.ts';
import type { Retry } from './retry.ts';

/** A change is written after this time and up to as much again: a pod that starts is several changes. */
const GATHER_MS = 2000;
/** Least time between two writes of one node: a link that flaps is not the cluster's concern. */
const BETWEEN_MS = 10_000;

export interface PublisherOptions {
  readonly api: Pick<ClusterApi, 'readInventory' | 'applyInventory' | 'readNodeUid'>;
  readonly node: string;
  readonly view: () => InventoryView;
  readonly status: () => AgentStatus;
  readonly retry: Retry;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: () => number;
}

export class InventoryPublisher {
  readonly #options: PublisherOptions;
  #written: NodeNetworkInventory | undefined;
  #conditions: readonly Condition[] = [];
  readonly #change = new ChangeFlag(true);
  #writes = 0;
  #kubeletStarts = 0;
  /** Those before the last look at the Node; `undefined` before the first. */
  #startsSeen: number | undefined;
  #problem: string | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Writes since the agent's start. */
  get writes(): number {
    return this.#writes;
  }

  /** Why the object will stay when its Node goes; `undefined` when it will go too. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Something may have changed: cheap, and called often. */
  changed(): void {
    this.#change.raise();
  }

  /** Perhaps because its Node was made anew: then the object is written for that one. */
  kubeletStarted(): void {
    this.#kubeletStarts += 1;
    this.#change.raise();
  }

  /** Runs until the signal aborts. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, node, random, retry } = this.#options;
    if (!(await retry.until(`reading the inventory of ${node}`, signal, () => this.#adopt(signal)))) return;
    while (!signal.aborted) {
      await this.#change.wait(signal);
      await clock.delay(GATHER_MS * (1 + random()), signal);
      const before = this.#writes;
      await retry.until(`writing the inventory of ${node}`, signal, () => this.#write(signal));
      if (this.#writes > before) await clock.delay(BETWEEN_MS, signal);
    }
  }

  /** What an earlier agent wrote: a restart alone changes nothing in the cluster. */
  async #adopt(signal: AbortSignal): Promise<void> {
    const found = await this.#options.api.readInventory(this.#options.node, signal);
    if (typeof found !== 'object' || found === null) return;
    const { status } = found as { status?: { conditions?: unknown } };
    if (Array.isArray(status?.conditions)) this.#conditions = status.conditions.filter(isCondition);
    const { apiVersion, kind, metadata } = found as NodeNetworkInventory;
    const owned = { name: this.#options.node, ...ownedBy(nodeOwnersOf(metadata)) };
    this.#written = { apiVersion, kind, metadata: owned, status } as NodeNetworkInventory;
  }

  /** As the node is at the moment of the attempt: an older state is never written after a newer one. */
  async #write(signal: AbortSignal): Promise<void> {
    const { clock, status, view } = this.#options;
    const now = status();
    this.#conditions = conditionsOf(now, this.#conditions, clock.now());
    const told = inventoryObject(view(), now, this.#conditions);
    const starts = this.#kubeletStarts;
    if (starts === this.#startsSeen && isDeepStrictEqual(told.status, this.#written?.status)) return;
    const { owners, refusal } = await this.#owners(signal);
    const object = { ...told, metadata: { ...told.metadata, ...ownedBy(owners) } };
    const refused = isDeepStrictEqual(object, this.#written) ? undefined : await this.#apply(object, signal);
    this.#tell(refusal ?? refused);
    this.#startsSeen = starts;
  }

  /** The Node as it is now. An agent without the right to read it goes on with what is known. */
  async #owners(signal: AbortSignal): Promise<{ readonly owners: readonly NodeOwner[]; readonly refusal?: ApiError }> {
    const { api, node } = this.#options;
    try {
      return { owners: [nodeOwner(node, await api.readNodeUid(node, signal))] };
    } catch (error) {
      if (!isForbidden(error)) throw error;
      return { owners: this.#written?.metadata.ownerReferences ?? [], refusal: error };
    }
  }

  /** Answers why the object was written without its owner. */
  async #apply(object: NodeNetworkInventory, signal: AbortSignal): Promise<ApiError | undefined> {
    const { api, node } = this.#options;
    let written = object;
    let refusal: ApiError | undefined;
    try {
      await api.applyInventory(object, signal);
    } catch (error) {
      // An admission plugin lets nobody give an object another owner who may not delete it.
      if (!isForbidden(error) || !error.message.includes('ownerRef')) throw error;
      refusal = error;
      written = { ...object, metadata: this.#written?.metadata ?? { name: node } };
      await api.applyInventory(written, signal);
    }
    this.#written = written;
    this.#writes += 1;
    return refusal;
  }

  #tell(refusal: ApiError | undefined): void {
    const { log, node } = this.#options;
    if (refusal !== undefined && this.#problem === undefined) {
      const remedy = `Apply the roles of this release; an object of an older one is removed once: kubectl delete nni ${node}`;
      log.warn({ problem: refusal.message, remedy }, 'the inventory will stay when its node goes');
    }
    this.#problem =
      refusal === undefined ? undefined : `it stays when its node is removed: ${refusal.message} [${refusal.reason}]`;
  }
}

function isForbidden(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 403;
}

function ownedBy(owners: readonly NodeOwner[]): Pick<NodeNetworkInventory['metadata'], 'ownerReferences'> {
  return owners.length === 0 ? {} : { ownerReferences: owners };
}

function isCondition(value: unknown): value is Condition {
  if (typeof value !== 'object' || value === null) return false;
  const { type, status, lastTransitionTime } = value as Partial<Record<keyof Condition, unknown>>;
  return (
    typeof type === 'string' && (status === 'True' || status === 'False') && typeof lastTransitionTime === 'string'
  );
}
