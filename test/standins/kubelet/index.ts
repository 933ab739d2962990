/**
 * A strict kubelet for tests and for the demo: both ways to register, allocation at admission,
 * capacity and allocatable, pod resources, restarts. It behaves as recorded in
 * test/fixtures/exchanges, random orders included. It starts no containers and asks no CNI: that is
 * the runtime's stand-in.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Server } from '@grpc/grpc-js';
import { type KubeletPaths, kubeletPaths } from '../../../src/kubelet/paths.ts';
import { DeviceManager } from './device-manager.ts';
import { EventLog } from './event-log.ts';
import { type RegisterHook, serveRegistration } from './legacy-registration.ts';
import { type AdmittedPod, type KubeletEvent, type KubeletTimings, type Pod, podKey, TEST_TIMINGS } from './model.ts';
import { PluginWatcher } from './plugin-watcher.ts';
import { servePodResources } from './pod-resources-server.ts';

export {
  AdmissionError,
  type AdmittedContainer,
  type AdmittedPod,
  type Container,
  type KubeletEvent,
  type Pod,
} from './model.ts';

export interface StandInKubeletOptions {
  /** Kubelet's root folder; its subfolders are made. Keep it short: socket paths have 107 bytes. */
  readonly dir: string;
  /** False for a kubelet without plugin watcher (its folder is not made). */
  readonly watcher?: boolean;
  readonly timings?: Partial<KubeletTimings>;
}

export interface StandInKubelet {
  readonly paths: KubeletPaths;
  /** Everything that happened since it was made, over restarts. */
  readonly events: readonly KubeletEvent[];
  /** Calls to pod resources, with those that the limit refused. */
  readonly podResourcesCalls: { readonly served: number; readonly refused: number };
  /** Allocates devices for a pod, or throws AdmissionError with kubelet's text. */
  admit(pod: Pod): Promise<AdmittedPod>;
  /** Before each start of a container: PreStartContainer where the plugin wants it. */
  startContainer(pod: Pod, container: string): Promise<void>;
  /** The pod is gone: its devices are free at once, as after a forced deletion. */
  remove(pod: Pick<Pod, 'namespace' | 'name'>): void;
  /** Capacity and allocatable by resource, as the node object shows them. */
  node(): { readonly capacity: Record<string, number>; readonly allocatable: Record<string, number> };
  isRegistered(resource: string): boolean;
  /** Ends streams and servers, as a killed kubelet does; the plugins' sockets stay behind. */
  stop(): Promise<void>;
  /** Starts after `stop`: plugins' sockets in device-plugins are deleted, those in plugins_registry called. */
  start(): Promise<void>;
  /** `stop` and `start`. Pod resources are empty until `readmit`. */
  restart(): Promise<void>;
  /** After a restart kubelet takes its running pods in again: they are listed from now on. */
  readmit(): void;
  /** Answers of Register from now on go through the hook; `undefined` ends that. */
  onRegister(hook: RegisterHook | undefined): void;
  /** Resolves once the condition holds; looked at after every event. */
  until(condition: () => boolean, what: string, timeoutMs?: number): Promise<void>;
}

/** Makes the folders and starts. */
export async function createKubelet(options: StandInKubeletOptions): Promise<StandInKubelet> {
  const kubelet = new Kubelet(options);
  await kubelet.start();
  return kubelet;
}

class Kubelet implements StandInKubelet {
  readonly paths: KubeletPaths;
  readonly podResourcesCalls = { served: 0, refused: 0 };
  readonly #log = new EventLog();
  readonly #timings: KubeletTimings;
  readonly #hasWatcher: boolean;
  /** Survives restarts, as kubelet's checkpoint file does. */
  readonly #checkpoint = new Map<string, Map<string, Map<string, readonly string[]>>>();
  readonly #pods = new Map<string, Pod>();
  readonly #listed = new Set<string>();
  #manager: DeviceManager;
  #watcher: PluginWatcher | undefined;
  #servers: Server[] = [];
  #hook: RegisterHook | undefined;

  constructor(options: StandInKubeletOptions) {
    this.paths = kubeletPaths(options.dir);
    this.#timings = { ...TEST_TIMINGS, ...options.timings };
    this.#hasWatcher = options.watcher ?? true;
    this.#manager = new DeviceManager(this.#log, this.#timings, this.#checkpoint);
  }

  get events(): readonly KubeletEvent[] {
    return this.#log.events;
  }

  async start(): Promise<void> {
    const { devicePluginsDir, pluginsRegistryDir, podResourcesSocket } = this.paths;
    mkdirSync(devicePluginsDir, { recursive: true });
    mkdirSync(join(podResourcesSocket, '..'), { recursive: true });
    if (this.#hasWatcher) mkdirSync(pluginsRegistryDir, { recursive: true });
    for (const name of readdirSync(devicePluginsDir)) rmSync(join(devicePluginsDir, name));
    rmSync(podResourcesSocket, { force: true });
    this.#manager = new DeviceManager(this.#log, this.#timings, this.#checkpoint);
    this.#servers = [
      await serveRegistration(devicePluginsDir, this.#manager, this.#log, () => this.#hook),
      await servePodResources(podResourcesSocket, {
        manager: this.#manager,
        pods: () => [...this.#pods.values()].filter((pod) => this.#listed.has(podKey(pod))),
        onCall: (_method, refused) => {
          this.podResourcesCalls[refused ? 'refused' : 'served'] += 1;
        },
      }),
    ];
    if (this.#hasWatcher) {
      this.#watcher = new PluginWatcher(pluginsRegistryDir, this.#manager, this.#log, this.#timings);
      this.#watcher.start();
    }
    this.#log.add('kubelet started');
  }

  stop(): Promise<void> {
    this.#watcher?.close();
    this.#manager.close();
    for (const server of this.#servers.splice(0)) server.forceShutdown();
    this.#listed.clear();
    this.#log.add('kubelet stopped');
    return Promise.resolve();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  readmit(): void {
    for (const key of this.#pods.keys()) this.#listed.add(key);
  }

  async admit(pod: Pod): Promise<AdmittedPod> {
    const key = podKey(pod);
    if (this.#pods.has(key)) throw new Error(`pod ${key} is here already`);
    this.#pods.set(key, pod);
    this.#listed.add(key);
    try {
      return await this.#manager.admit(pod);
    } catch (error) {
      this.#pods.delete(key);
      this.#listed.delete(key);
      throw error;
    }
  }

  startContainer(pod: Pod, container: string): Promise<void> {
    return this.#manager.startContainer(pod, container);
  }

  remove(pod: Pick<Pod, 'namespace' | 'name'>): void {
    this.#pods.delete(podKey(pod));
    this.#listed.delete(podKey(pod));
    this.#manager.free(pod);
  }

  node(): { readonly capacity: Record<string, number>; readonly allocatable: Record<string, number> } {
    return { capacity: this.#manager.capacity(), allocatable: this.#manager.allocatable() };
  }

  isRegistered(resource: string): boolean {
    return this.#manager.isRegistered(resource);
  }

  onRegister(hook: RegisterHook | undefined): void {
    this.#hook = hook;
  }

  until(condition: () => boolean, what: string, timeoutMs?: number): Promise<void> {
    return this.#log.until(condition, what, timeoutMs);
  }
}
