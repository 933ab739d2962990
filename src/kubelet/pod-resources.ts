/**
 * Asks kubelet which pod has which device. Kubelet answers 100 calls a second for all its clients
 * together (Multus needs one for each ADD), so one call is in flight for everybody here, and its
 * answer serves for a moment. To debug: an unanswered question is logged at level debug.
 */
import { existsSync } from 'node:fs';
import { type Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { PodIdentity } from '../engine/attachments/model.ts';
import type { DeviceHolder, PodDevices, PodDevicesListener } from '../engine/attachments/pod-devices.ts';
import { type Clock, systemClock } from '../engine/clock.ts';
import type { Logger } from '../engine/logger.ts';
import {
  type AllocatableResourcesResponse,
  type ListPodResourcesResponse,
  PodResourcesListerClient,
} from './gen/podresources/v1/pod_resources.ts';
import { describeFailure } from './status.ts';

export interface PodResourcesOptions {
  /** Kubelet's pod-resources socket. */
  readonly socketPath: string;
  /**
   * Which resources count; all unless given, because a device that a pod has under another plugin's
   * resource is as much in use.
   */
  readonly isOurs?: (resource: string) => boolean;
  readonly log: Logger;
  readonly clock?: Clock;
}

export interface PodResources extends PodDevices {
  close(): void;
}

/** How long an answer serves; the port allows 100 ms. */
const CACHE_MS = 75;
const TIMEOUT_MS = 2_000;
/** Throttled by kubelet: it refills by 100 a second, so a moment later there is room. */
const RETRY_DELAYS_MS = [15, 30, 60];
/** Kubelet's own limit for this interface. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

type Holders = ReadonlyMap<string, readonly DeviceHolder[]>;

interface Answer {
  readonly holders: Holders;
  /** `namespace/name` of every pod that is listed. */
  readonly pods: ReadonlySet<string>;
}

/** Connects when first asked. */
export function createPodResources(options: PodResourcesOptions): PodResources {
  return new KubeletPodResources(options);
}

class KubeletPodResources implements PodResources {
  readonly #options: PodResourcesOptions;
  readonly #clock: Clock;
  readonly #closed = new AbortController();
  readonly #listeners = new Set<PodDevicesListener>();
  #client: PodResourcesListerClient | undefined;
  #inFlight: Promise<Answer | undefined> | undefined;
  #answer: (Answer & { readonly at: number }) | undefined;

  constructor(options: PodResourcesOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  async holders(): Promise<Holders | undefined> {
    return (await this.#current())?.holders;
  }

  async lists(pod: PodIdentity): Promise<boolean> {
    return (await this.#current())?.pods.has(`${pod.namespace}/${pod.name}`) ?? false;
  }

  async listsAny(): Promise<boolean> {
    return ((await this.#current())?.pods.size ?? 0) > 0;
  }

  async manages(device: string): Promise<boolean> {
    const response = await this.#patiently<AllocatableResourcesResponse>((client, options, done) =>
      client.getAllocatableResources({}, new Metadata(), options, done),
    );
    return response?.devices.some(({ deviceIds }) => deviceIds.includes(device)) ?? false;
  }

  onAnswer(listener: PodDevicesListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  isThere(): boolean {
    return existsSync(this.#options.socketPath);
  }

  #current(): Promise<Answer | undefined> {
    const answer = this.#answer;
    if (answer !== undefined && this.#clock.now().getTime() - answer.at < CACHE_MS) {
      return Promise.resolve(answer);
    }
    this.#inFlight ??= this.#ask().finally(() => {
      this.#inFlight = undefined;
    });
    return this.#inFlight;
  }

  close(): void {
    this.#closed.abort();
    this.#disconnect();
  }

  async #ask(): Promise<Answer | undefined> {
    // The answer is as old as the question: kubelet may have looked at once.
    let at = 0;
    const response = await this.#patiently<ListPodResourcesResponse>((client, options, done) => {
      at = this.#clock.now().getTime();
      client.list({}, new Metadata(), options, done);
    });
    if (response === undefined) return undefined;
    const answer = {
      holders: holdersOf(response, this.#options.isOurs ?? (() => true)),
      pods: new Set(response.podResources.map(({ namespace, name }) => `${namespace}/${name}`)),
    };
    this.#answer = { ...answer, at };
    for (const listener of this.#listeners) listener(answer.holders, answer.pods.size > 0);
    return answer;
  }

  /** Asks again when throttled; `undefined` when there is no answer. */
  async #patiently<T>(
    ask: (
      client: PodResourcesListerClient,
      options: { readonly deadline: number },
      done: (error: ServiceError | null, response: T) => void,
    ) => void,
  ): Promise<T | undefined> {
    for (const delayMs of [...RETRY_DELAYS_MS, undefined]) {
      // A connection that cannot succeed costs gRPC some milliseconds, at each ADD of a node without kubelet.
      if (this.#closed.signal.aborted || !this.isThere()) return undefined;
      this.#client ??= new PodResourcesListerClient(`unix:${this.#options.socketPath}`, credentials.createInsecure(), {
        'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
      });
      const client = this.#client;
      const { response, error } = await new Promise<{ response?: T; error?: ServiceError }>((resolve) => {
        ask(client, { deadline: Date.now() + TIMEOUT_MS }, (failure, answered) =>
          resolve(failure === null ? { response: answered } : { error: failure }),
        );
      });
      if (response !== undefined) return response;
      if (error?.code !== status.RESOURCE_EXHAUSTED || delayMs === undefined) {
        this.#disconnect();
        const why = error === undefined ? 'no answer' : describeFailure(error);
        this.#options.log.debug({ socket: this.#options.socketPath, why }, 'kubelet did not tell of pod resources');
        return undefined;
      }
      await this.#clock.delay(delayMs, this.#closed.signal);
    }
    return undefined;
  }

  /** A new connection next time, instead of gRPC's own back-off towards a kubelet that restarts. */
  #disconnect(): void {
    const client: Client | undefined = this.#client;
    this.#client = undefined;
    client?.close();
  }
}

/** Holders by device id. Kubelet lists each device as an entry of its own, in any order. */
export function holdersOf(response: ListPodResourcesResponse, isOurs: (resource: string) => boolean): Holders {
  const holders = new Map<string, DeviceHolder[]>();
  for (const pod of response.podResources) {
    for (const container of pod.containers) {
      for (const { resourceName, deviceIds } of container.devices) {
        if (!isOurs(resourceName)) continue;
        for (const id of deviceIds) {
          const holder = {
            resource: resourceName,
            pod: { namespace: pod.namespace, name: pod.name },
            container: container.name,
          };
          const list = holders.get(id);
          if (list === undefined) holders.set(id, [holder]);
          else list.push(holder);
        }
      }
    }
  }
  return holders;
}
