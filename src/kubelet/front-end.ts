/**
 * The agent towards kubelet: one registered plugin for each pool, following the pool set. It knows
 * kubelet's protocol and nothing of the kernel. To debug: `status()`, and the log by `resource`.
 */
import { join } from 'node:path';
import type { PodDevices } from '../engine/attachments/pod-devices.ts';
import type { Logger } from '../engine/logger.ts';
import type { NodeDevices } from '../engine/pools/node-devices.ts';
import type { PoolChange, PoolSet } from '../engine/pools/pool-set.ts';
import { BUILT_IN } from '../engine/pools/zero-config.ts';
import { CdiFolder } from './cdi-folder.ts';
import { Delivery } from './delivery.ts';
import { createDeviceInfoFolder } from './device-info.ts';
import { type FolderWatch, watchFolder } from './folder-watch.ts';
import { runningKubelet } from './kubelet-start.ts';
import { OfferedResources } from './offered-resources.ts';
import type { KubeletPaths } from './paths.ts';
import {
  DEFAULT_TIMINGS,
  Registration,
  type RegistrationChoice,
  type RegistrationTimings,
  type ResourceRegistration,
} from './registration.ts';
import { removeLeftovers } from './served-socket.ts';
import { StaleFiles } from './stale-files.ts';
import { removeUnfinished } from './whole-file.ts';

export interface KubeletFrontEndOptions {
  readonly pools: PoolSet;
  readonly paths: KubeletPaths;
  /** Root of the device-info files, `/var/run/k8s.cni.cncf.io/devinfo` on a node. */
  readonly deviceInfoDir: string;
  readonly registration: RegistrationChoice;
  readonly nodeDevices: NodeDevices;
  /** Give device nodes by CDI names. */
  readonly useCdi?: boolean;
  /** Where runtimes look for CDI specifications that do not outlive a boot. */
  readonly cdiDir: string;
  /** Where to remember which resources were offered, for the next agent of this boot; not at all when absent. */
  readonly offeredResourcesFile?: string;
  /** Who holds which device, asked before files of a device are removed. */
  readonly podDevices?: PodDevices;
  /** Told of devices that a pod is given. */
  readonly onGiven?: (devices: readonly string[]) => void;
  readonly log: Logger;
  /** Other delays than {@link DEFAULT_TIMINGS}, for tests. */
  readonly timings?: Partial<RegistrationTimings>;
}

export interface KubeletFrontEnd {
  /** Serves and begins to register; resolves at once, registration goes on by itself. */
  start(): Promise<void>;
  /** Ends every stream, server, socket file, watch and timer. */
  stop(): Promise<void>;
  /** One entry for each resource that is or should be registered, in the order of the pools. */
  status(): readonly ResourceRegistration[];
  /** Calls back when a resource is registered, or no longer; answers the function that ends it. */
  subscribe(listener: () => void): () => void;
  /** Calls back when another kubelet runs than before; answers the function that ends it. */
  onKubeletStart(listener: () => void): () => void;
}

export function createKubeletFrontEnd(options: KubeletFrontEndOptions): KubeletFrontEnd {
  return new FrontEnd(options);
}

class FrontEnd implements KubeletFrontEnd {
  readonly #options: KubeletFrontEndOptions;
  readonly #timings: RegistrationTimings;
  readonly #delivery: Delivery;
  readonly #staleFiles: StaleFiles;
  readonly #registrations = new Map<string, Registration>();
  readonly #watches: FolderWatch[] = [];
  readonly #stopping = new Set<Promise<void>>();
  readonly #listeners = new Set<() => void>();
  readonly #startListeners = new Set<() => void>();
  #kubelet: string | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(options: KubeletFrontEndOptions) {
    const { cdiDir, deviceInfoDir, log, nodeDevices, onGiven, podDevices, pools, useCdi = false } = options;
    this.#options = options;
    this.#timings = { ...DEFAULT_TIMINGS, ...options.timings };
    const deviceInfo = createDeviceInfoFolder(deviceInfoDir, log);
    const cdi = new CdiFolder(cdiDir, log);
    this.#delivery = new Delivery({
      pools,
      node: nodeDevices,
      deviceInfo,
      log,
      ...(useCdi ? { cdi } : {}),
      ...(onGiven === undefined ? {} : { onGiven }),
    });
    this.#staleFiles = new StaleFiles({
      pools,
      deviceInfo,
      cdi,
      usesCdi: useCdi,
      offered: new OfferedResources(options.offeredResourcesFile, log),
      ...(podDevices === undefined ? {} : { podDevices }),
      log,
      confirmMs: this.#timings.confirmStaleMs,
    });
  }

  async start(): Promise<void> {
    const { cdiDir, deviceInfoDir, pools, paths, log } = this.#options;
    const folders = [paths.devicePluginsDir, paths.pluginsRegistryDir];
    for (const folder of folders) await removeLeftovers(folder);
    for (const folder of [cdiDir, join(deviceInfoDir, 'dp')]) await removeUnfinished(folder);
    this.#unsubscribe = pools.subscribe((change) => this.#onChange(change));
    this.#onChange({ changed: pools.plan().pools, removed: [] });
    this.#kubelet = runningKubelet(paths);
    for (const folder of folders) {
      this.#watches.push(
        watchFolder(folder, this.#timings.checkMs, log, () => {
          for (const registration of this.#registrations.values()) registration.check();
          this.#lookForKubelet();
        }),
      );
    }
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    for (const watch of this.#watches.splice(0)) watch.close();
    for (const resource of [...this.#registrations.keys()]) this.#remove(resource);
    await Promise.all(this.#stopping);
    this.#delivery.stop();
    await this.#staleFiles.stop();
  }

  status(): readonly ResourceRegistration[] {
    return [...this.#registrations.values()].map((registration) => registration.status());
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  onKubeletStart(listener: () => void): () => void {
    this.#startListeners.add(listener);
    return () => void this.#startListeners.delete(listener);
  }

  #lookForKubelet(): void {
    const running = runningKubelet(this.#options.paths);
    if (running === undefined || running === this.#kubelet) return;
    this.#kubelet = running;
    for (const listener of this.#startListeners) listener();
  }

  #onChange({ changed, removed }: PoolChange): void {
    for (const resource of removed) this.#remove(resource);
    for (const { spec, devices } of changed) {
      const registration = this.#registrations.get(spec.resource);
      if (registration !== undefined) registration.publish();
      // A built-in pool shows up in the node's capacity once the node has something for it.
      else if (devices.length > 0 || spec.origin !== BUILT_IN) this.#add(spec.resource);
      this.#delivery.follow(spec.resource);
    }
    this.#staleFiles.look();
  }

  #add(resource: string): void {
    const { pools, paths, registration: choice, log } = this.#options;
    const registration = new Registration({
      resource,
      pools,
      delivery: this.#delivery,
      paths,
      choice,
      timings: this.#timings,
      log,
      onChange: () => {
        for (const listener of this.#listeners) listener();
      },
    });
    this.#registrations.set(resource, registration);
    registration.start();
  }

  #remove(resource: string): void {
    const registration = this.#registrations.get(resource);
    if (registration === undefined) return;
    this.#registrations.delete(resource);
    this.#delivery.forget(resource);
    const stopping = registration.stop().catch((error: unknown) => {
      this.#options.log.error({ resource, err: error }, 'plugin not stopped cleanly');
    });
    this.#stopping.add(stopping);
    void stopping.then(() => this.#stopping.delete(stopping));
  }
}
