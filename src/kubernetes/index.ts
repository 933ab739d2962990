/**
 * What Berth does in the cluster, each part switched on by itself: the node's inventory as an object,
 * events, labels, and the removal of the start-up taint. All of it runs beside the agent: nothing on
 * the node waits for the API server, and without it only these parts stand still, visibly.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Clock, systemClock } from '../engine/clock.ts';
import type { Logger } from '../engine/logger.ts';
import type { AgentStatus, ClusterStatus, InventoryView } from '../engine/view.ts';
import { type ClusterApi, createClusterApi } from './api.ts';
import { ChangeFlag } from './change-flag.ts';
import { type Condition, conditionsOf } from './conditions.ts';
import { EventRecorder, type NewEvent } from './event-recorder.ts';
import { InventoryPublisher } from './inventory-publisher.ts';
import { nodeLabels } from './node-labels.ts';
import { Retry, type RetryOptions } from './retry.ts';
import { removeStartupTaint } from './startup-taint.ts';

/** Longer than kubelet takes to look at a plugin that is new: an agent that starts is no trouble. */
const EVENT_GATHER_MS = 5000;
const LABEL_GATHER_MS = 5000;

/** The parts that are wanted. */
export interface ClusterParts {
  readonly inventory?: boolean;
  readonly events?: boolean;
  readonly labels?: boolean;
  readonly startupTaint?: boolean;
}

export interface ClusterOptions {
  readonly parts: ClusterParts;
  /** The node's name in the cluster. */
  readonly node: string;
  /** The service account of the pod when absent. */
  readonly kubeconfig?: string;
  readonly view: () => InventoryView;
  readonly status: () => AgentStatus;
  /** Calls back for whatever may change either; answers the functions that end it. */
  readonly changes: readonly ((listener: () => void) => () => void)[];
  /** Calls back when kubelet has started anew; answers the function that ends it. */
  readonly kubeletStarts: (listener: () => void) => () => void;
  readonly log: Logger;
  readonly clock?: Clock;
  readonly random?: () => number;
  /** Instead of the API server, for tests. */
  readonly api?: ClusterApi;
}

/** Made by {@link startCluster}. */
export interface Cluster {
  status(): ClusterStatus;
  /** An event, if events are switched on; about this node when nothing else is said. */
  event(event: Omit<NewEvent, 'about'> & { readonly about?: NewEvent['about'] }): void;
  stop(): Promise<void>;
}

/** Starts what is wanted. Throws `Invalid` (`kubeconfig-unusable`) without credentials; nothing runs then. */
export function startCluster(options: ClusterOptions): Cluster {
  const { changes, clock = systemClock, kubeletStarts, log, node, parts, random = Math.random, status, view } = options;
  const api = options.api ?? createClusterApi(options.kubeconfig);
  const retryOptions: RetryOptions = { clock, log, random };
  const stopped = new AbortController();
  const { signal } = stopped;
  const running: Promise<unknown>[] = [];
  const retries = {
    inventory: new Retry(retryOptions),
    events: new Retry(retryOptions),
    node: new Retry(retryOptions),
  };

  const publisher =
    parts.inventory === true
      ? new InventoryPublisher({ api, node, view, status, retry: retries.inventory, log, clock, random })
      : undefined;
  const recorder = parts.events === true ? new EventRecorder({ api, node, retry: retries.events, clock }) : undefined;
  const about: NewEvent['about'] = { kind: 'Node', namespace: 'default', name: node };
  const flags: ChangeFlag[] = [];
  const follow = (gatherMs: number, work: () => Promise<void>): Promise<void> => {
    const flag = new ChangeFlag(true);
    flags.push(flag);
    return whenever(flag, gatherMs, work, clock, signal);
  };

  let taintRemoved = false;
  const onNode = async (): Promise<void> => {
    if (parts.startupTaint === true) taintRemoved = await removeStartupTaint(api, node, retries.node, signal);
    if (parts.labels === true) await follow(LABEL_GATHER_MS, labelling(api, options, retries.node, signal));
  };

  if (publisher !== undefined) running.push(publisher.run(signal));
  if (recorder !== undefined) {
    running.push(recorder.run(signal));
    const watch = watchConditions(status, clock, (event) => recorder.record({ ...event, about }));
    running.push(follow(EVENT_GATHER_MS, watch));
  }
  running.push(onNode());
  for (const work of running) {
    work.catch((error: unknown) => log.error({ err: error }, 'a part of the cluster side has ended'));
  }
  const ends = changes.map((subscribe) =>
    subscribe(() => {
      publisher?.changed();
      for (const flag of flags) flag.raise();
    }),
  );
  if (publisher !== undefined) ends.push(kubeletStarts(() => publisher.kubeletStarted()));

  return {
    status: () => ({
      ...(publisher === undefined
        ? {}
        : { inventory: { writes: publisher.writes, ...inventoryProblem(publisher, retries.inventory) } }),
      ...(recorder === undefined ? {} : { events: { ...recorder.counts, ...problemOf(retries.events) } }),
      ...(parts.startupTaint === true ? { startupTaint: { removed: taintRemoved, ...problemOf(retries.node) } } : {}),
      ...(parts.labels === true ? { labels: problemOf(retries.node) } : {}),
    }),
    event: (event) => recorder?.record({ ...event, about: event.about ?? about }),
    async stop() {
      stopped.abort();
      for (const end of ends) end();
      await Promise.allSettled(running);
    },
  };
}

function problemOf(retry: Retry): { readonly problem?: string } {
  const { problem } = retry.standing;
  return problem === undefined ? {} : { problem };
}

function inventoryProblem({ problem }: InventoryPublisher, retry: Retry): { readonly problem?: string } {
  return { ...(problem === undefined ? {} : { problem }), ...problemOf(retry) };
}

/** Calls `work` once for all changes of a while, until the signal aborts. */
async function whenever(
  flag: ChangeFlag,
  gatherMs: number,
  work: () => Promise<void>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await flag.wait(signal);
    await clock.delay(gatherMs, signal);
    if (signal.aborted) return;
    await work();
  }
}

/** Tells of each condition that changed since the last call; at the start only of what is wrong. */
function watchConditions(
  status: () => AgentStatus,
  clock: Clock,
  tell: (event: Omit<NewEvent, 'about'>) => void,
): () => Promise<void> {
  let before: readonly Condition[] = [];
  return async () => {
    const now = conditionsOf(status(), before, clock.now());
    for (const { message, reason, status: stands, type } of now) {
      const earlier = before.find((condition) => condition.type === type)?.status ?? 'True';
      if (earlier !== stands) tell({ type: stands === 'True' ? 'Normal' : 'Warning', reason, note: message });
    }
    before = now;
  };
}

/** Writes the labels when they are others than those written last. */
function labelling(
  api: Pick<ClusterApi, 'applyLabels'>,
  { node, view }: Pick<ClusterOptions, 'node' | 'view'>,
  retry: Retry,
  signal: AbortSignal,
): () => Promise<void> {
  let written: Readonly<Record<string, string>> | undefined;
  return async () => {
    const labels = nodeLabels(view().inventory);
    if (isDeepStrictEqual(labels, written)) return;
    const done = await retry.until('labelling the node', signal, () => api.applyLabels(node, labels, signal));
    if (done) written = labels;
  };
}
