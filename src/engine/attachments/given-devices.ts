/**
 * Which devices kubelet gave to which pods, as it said last. Pods on userspace drivers have no attachment,
 * so nobody else knows of them; views show this without waiting for kubelet. Every answer is taken, whoever
 * asked for it. It asks by itself when something happened after which kubelet's list may be another one,
 * a few times, and only while that can matter: while a device was just given, or is given and not attached.
 * Nothing is polled.
 *
 * To debug: `GET /v1/allocations` asks kubelet; `GET /v1/inventory` has what is known here.
 */
import type { Clock } from '../clock.ts';
import { isSame } from '../inventory/share.ts';
import type { Logger } from '../logger.ts';
import { exclusiveDevice } from '../pools/holds.ts';
import type { ByDevice, PodContainer } from '../view.ts';
import type { DeviceHolder, PodDevices } from './pod-devices.ts';

/** Kubelet lists a device soon after it gave it, and forgets it some seconds after its pod's sandbox is gone. */
const ASK_AFTER_MS = [200, 800, 2000, 7000] as const;

export interface GivenDevicesOptions {
  readonly podDevices: Pick<PodDevices, 'holders' | 'onAnswer'>;
  /** Devices that pods have attached: of these it is known without kubelet. */
  readonly attached: () => ReadonlySet<string>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Of devices that one pod has for itself; slots are left out. */
export class GivenDevices {
  readonly #options: GivenDevicesOptions;
  readonly #listeners = new Set<() => void>();
  readonly #stopped = new AbortController();
  readonly #end: () => void;
  /** Given, and not listed yet. */
  readonly #awaited = new Set<string>();
  #known: ByDevice<PodContainer> | undefined;
  #hasAny = false;
  #isAsking = false;
  #isWanted = false;
  /** Kubelet has had its time: what it says now is so. */
  #isLast = false;

  constructor(options: GivenDevicesOptions) {
    this.#options = options;
    this.#end = options.podDevices.onAnswer((holders, listsAny) => this.#learn(holders, listsAny));
  }

  /** `undefined` until kubelet has answered. */
  get current(): ByDevice<PodContainer> | undefined {
    return this.#known;
  }

  /** Kubelet just gave them to a pod. */
  given(devices: readonly string[]): void {
    for (const device of devices) if (exclusiveDevice(device) !== undefined) this.#awaited.add(device);
    if (this.#awaited.size > 0) this.#ask();
  }

  /** Something ended or changed on the node, a pod perhaps. Cheap, and called often. */
  look(): void {
    if (this.#known === undefined || this.#hasAny || this.#awaited.size > 0) this.#ask();
  }

  /** Calls back when it is another one; answers the function that ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  stop(): void {
    this.#stopped.abort();
    this.#listeners.clear();
    this.#end();
  }

  #isUnsettled(): boolean {
    if (this.#known === undefined || this.#awaited.size > 0) return true;
    const attached = this.#options.attached();
    return Object.keys(this.#known).some((device) => !attached.has(device));
  }

  #ask(): void {
    this.#isWanted = true;
    if (this.#isAsking || this.#stopped.signal.aborted) return;
    this.#isAsking = true;
    this.#askSome()
      .catch((error: unknown) => this.#options.log.error({ err: error }, 'asking kubelet for its devices failed'))
      .finally(() => {
        this.#isAsking = false;
      });
  }

  /** One series at a time; what happens meanwhile is worth another one. */
  async #askSome(): Promise<void> {
    const { clock, podDevices } = this.#options;
    const { signal } = this.#stopped;
    while (this.#isWanted) {
      this.#isWanted = false;
      for (const [index, pauseMs] of ASK_AFTER_MS.entries()) {
        await clock.delay(pauseMs, signal);
        if (signal.aborted) return;
        if (!this.#isUnsettled()) break;
        this.#isLast = index === ASK_AFTER_MS.length - 1;
        await podDevices.holders();
      }
      // A pod that was rejected after kubelet had asked for its devices is never listed.
      this.#awaited.clear();
      this.#isLast = false;
    }
  }

  #learn(holders: ReadonlyMap<string, readonly DeviceHolder[]>, listsAny: boolean): void {
    // A kubelet that starts lists no pod for a while.
    if (!listsAny && !this.#isLast && this.#known !== undefined) return;
    const known: Record<string, PodContainer> = {};
    for (const [device, [holder]] of holders) {
      this.#awaited.delete(device);
      if (holder === undefined || exclusiveDevice(device) === undefined) continue;
      known[device] = { pod: `${holder.pod.namespace}/${holder.pod.name}`, container: holder.container };
    }
    if (this.#known !== undefined && isSame(this.#known, known)) return;
    this.#known = known;
    this.#hasAny = Object.keys(known).length > 0;
    for (const listener of this.#listeners) listener();
  }
}
