import type { ContainerAllocateResponse, Device } from '../../../src/kubelet/gen/deviceplugin/v1beta1/device_plugin.ts';
import type { EventLog } from './event-log.ts';
import { goError, shuffled } from './grpc.ts';
import {
  AdmissionError,
  type AdmittedContainer,
  type AdmittedPod,
  type Container,
  type KubeletTimings,
  type Pod,
  podKey,
} from './model.ts';
import { PluginClient } from './plugin-client.ts';

/** Device ids by resource. */
type Allocation = Map<string, readonly string[]>;

export class DeviceManager {
  readonly #log: EventLog;
  readonly #timings: KubeletTimings;
  /** One client for each resource, whoever registered last. */
  readonly #clients = new Map<string, PluginClient>();
  readonly #connections = new Set<PluginClient>();
  readonly #devices = new Map<string, Map<string, Device>>();
  readonly #removals = new Map<string, NodeJS.Timeout>();
  /** By pod, then container: kubelet's checkpoint. */
  readonly #allocations: Map<string, Map<string, Allocation>>;

  constructor(log: EventLog, timings: KubeletTimings, checkpoint: Map<string, Map<string, Allocation>>) {
    this.#log = log;
    this.#timings = timings;
    this.#allocations = checkpoint;
  }

  /** Dials back and asks for the options; `run` opens ListAndWatch afterwards. Rejects when the plugin does not answer. */
  async connect(resource: string, socket: string): Promise<PluginClient> {
    const client = new PluginClient(resource, socket, this.#log);
    try {
      await client.connect(this.#timings.dialTimeoutMs);
    } catch (error) {
      client.disconnect();
      throw error;
    }
    this.#connections.add(client);
    this.#clients.set(resource, client);
    return client;
  }

  run(client: PluginClient): void {
    const { resource } = client;
    clearTimeout(this.#removals.get(resource));
    client.listAndWatch(
      (devices) => {
        this.#devices.set(resource, new Map(devices.map((device) => [device.ID, device])));
      },
      () => {
        client.disconnect();
        this.#connections.delete(client);
        // The takeover bug: by now this may be the client of somebody who registered after it.
        this.disconnect(resource);
      },
    );
  }

  /** Disconnects whoever is registered for the resource now; its devices turn unhealthy at once. */
  disconnect(resource: string): void {
    const client = this.#clients.get(resource);
    this.#clients.delete(resource);
    client?.disconnect();
    for (const device of this.#devices.get(resource)?.values() ?? []) device.health = 'Unhealthy';
    clearTimeout(this.#removals.get(resource));
    const removal = setTimeout(() => this.#devices.delete(resource), this.#timings.graceMs);
    removal.unref();
    this.#removals.set(resource, removal);
    this.#log.changed();
  }

  close(): void {
    for (const timer of this.#removals.values()) clearTimeout(timer);
    for (const client of this.#connections) client.disconnect();
  }

  isRegistered(resource: string): boolean {
    return this.#clients.has(resource);
  }

  capacity(): Record<string, number> {
    return Object.fromEntries([...this.#devices].map(([resource, devices]) => [resource, devices.size]));
  }

  allocatable(): Record<string, number> {
    return Object.fromEntries([...this.#devices.keys()].map((resource) => [resource, this.healthy(resource).length]));
  }

  resources(): readonly string[] {
    return [...this.#devices.keys()];
  }

  healthy(resource: string): readonly Device[] {
    return [...(this.#devices.get(resource)?.values() ?? [])].filter((device) => device.health === 'Healthy');
  }

  device(resource: string, id: string): Device | undefined {
    return this.#devices.get(resource)?.get(id);
  }

  allocationOf(pod: { readonly namespace: string; readonly name: string }, container: string): Allocation | undefined {
    return this.#allocations.get(podKey(pod))?.get(container);
  }

  /** Allocates for all containers in order, or throws AdmissionError and frees what it had taken. */
  async admit(pod: Pod): Promise<AdmittedPod> {
    const mine = new Map<string, Allocation>();
    this.#allocations.set(podKey(pod), mine);
    const reusable = new Map<string, Set<string>>();
    try {
      const containers: AdmittedContainer[] = [];
      for (const container of pod.initContainers ?? []) {
        await this.#allocateContainer(container, mine, reusable);
        for (const [resource, ids] of mine.get(container.name) ?? []) {
          reusable.set(resource, new Set([...(reusable.get(resource) ?? []), ...ids]));
        }
      }
      for (const container of pod.containers) {
        containers.push(await this.#allocateContainer(container, mine, reusable));
      }
      return { pod, containers };
    } catch (error) {
      this.#allocations.delete(podKey(pod));
      throw error;
    }
  }

  /** A pod's devices are free at once, whatever CNI still has to do. */
  free(pod: { readonly namespace: string; readonly name: string }): void {
    this.#allocations.delete(podKey(pod));
  }

  async startContainer(pod: Pod, container: string): Promise<void> {
    for (const [resource, ids] of this.allocationOf(pod, container) ?? []) {
      const client = this.#clients.get(resource);
      if (client?.preStartRequired === true) await client.preStartContainer(ids);
    }
  }

  async #allocateContainer(
    container: Container,
    mine: Map<string, Allocation>,
    reusable: Map<string, Set<string>>,
  ): Promise<AdmittedContainer> {
    const allocation: Allocation = new Map();
    mine.set(container.name, allocation);
    const envs: Record<string, string> = {};
    const deviceNodes: { path: string; permissions: string }[] = [];
    const cdiDevices: string[] = [];
    for (const [resource, size] of Object.entries(container.resources)) {
      const ids = await this.#choose(resource, size, reusable.get(resource) ?? new Set());
      allocation.set(resource, ids);
      for (const id of ids) reusable.get(resource)?.delete(id);
      const answer = await this.#allocate(resource, ids);
      Object.assign(envs, answer?.envs);
      for (const node of answer?.devices ?? []) {
        deviceNodes.push({ path: node.hostPath, permissions: node.permissions });
      }
      for (const { name } of answer?.cdiDevices ?? []) cdiDevices.push(name);
    }
    return { name: container.name, devices: Object.fromEntries(allocation), envs, deviceNodes, cdiDevices };
  }

  async #allocate(resource: string, ids: readonly string[]): Promise<ContainerAllocateResponse | undefined> {
    try {
      return await this.#clients.get(resource)?.allocate(ids);
    } catch (error) {
      throw new AdmissionError(goError(error as Error));
    }
  }

  async #choose(resource: string, size: number, reusable: ReadonlySet<string>): Promise<readonly string[]> {
    if (!this.#devices.has(resource)) throw new AdmissionError(`cannot allocate unregistered device ${resource}`);
    const healthy = this.healthy(resource).map((device) => device.ID);
    if (healthy.length === 0) {
      throw new AdmissionError(`no healthy devices present; cannot allocate unhealthy devices ${resource}`);
    }
    const used = this.#used(resource);
    const chosen = new Set([...reusable].slice(0, size));
    const available = healthy.filter((id) => !used.has(id));
    const needed = size - chosen.size;
    if (available.length < needed) {
      throw new AdmissionError(
        `requested number of devices unavailable for ${resource}. Requested: ${needed}, Available: ${available.length}`,
      );
    }
    const client = this.#clients.get(resource);
    if (needed > 0 && client?.hasPreference === true) {
      const allowed = new Set(available);
      for (const id of await this.#preferred(client, [...available, ...chosen], [...chosen], size)) {
        if (chosen.size < size && allowed.has(id)) chosen.add(id);
      }
    }
    // Kubelet fills up what the plugin left open, in whatever order.
    for (const id of shuffled(available)) if (chosen.size < size) chosen.add(id);
    return [...chosen];
  }

  async #preferred(
    client: PluginClient,
    available: string[],
    must: string[],
    size: number,
  ): Promise<readonly string[]> {
    try {
      return await client.getPreferredAllocation(available, must, size);
    } catch (error) {
      throw new AdmissionError(`device plugin GetPreferredAllocation rpc failed with err: ${goError(error as Error)}`);
    }
  }

  #used(resource: string): ReadonlySet<string> {
    const used = new Set<string>();
    for (const containers of this.#allocations.values()) {
      for (const allocation of containers.values()) for (const id of allocation.get(resource) ?? []) used.add(id);
    }
    return used;
  }
}
