/** Kubelet's pod-resources service: which pod has which device, for at most 100 questions a second from everybody. */
import { type handleUnaryCall, Server, status } from '@grpc/grpc-js';
import type { Device } from '../../../src/kubelet/gen/deviceplugin/v1beta1/device_plugin.ts';
import {
  type ContainerDevices,
  type PodResources,
  type PodResourcesListerServer,
  PodResourcesListerService,
} from '../../../src/kubelet/gen/podresources/v1/pod_resources.ts';
import type { DeviceManager } from './device-manager.ts';
import { serve, shuffled } from './grpc.ts';
import type { Pod } from './model.ts';

const QUERIES_PER_SECOND = 100;
const BURST = 10;

export interface PodResourcesSource {
  readonly manager: DeviceManager;
  /** Pods that have been admitted since the start of this kubelet; whole or still being admitted. */
  readonly pods: () => Iterable<Pod>;
  /** Counts every call, the refused ones too. */
  readonly onCall: (method: string, refused: boolean) => void;
}

export async function servePodResources(socket: string, source: PodResourcesSource): Promise<Server> {
  const server = new Server();
  const limit = new TokenBucket(QUERIES_PER_SECOND, BURST);
  const limited = <Request, Response>(
    method: string,
    handle: (request: Request) => Response | Error,
  ): handleUnaryCall<Request, Response> => {
    return (call, callback) => {
      const refused = !limit.take();
      source.onCall(method, refused);
      if (refused) {
        callback({ code: status.RESOURCE_EXHAUSTED, details: 'rejected by rate limit' });
        return;
      }
      const answer = handle(call.request);
      if (answer instanceof Error) callback({ code: status.UNKNOWN, details: answer.message });
      else callback(null, answer);
    };
  };
  const service: PodResourcesListerServer = {
    list: limited('List', () => ({
      podResources: shuffled([...source.pods()].map((pod) => resourcesOf(pod, source.manager))),
    })),
    get: limited('Get', ({ podName, podNamespace }) => {
      for (const pod of source.pods()) {
        if (pod.name === podName && pod.namespace === podNamespace) {
          return { podResources: resourcesOf(pod, source.manager) };
        }
      }
      return new Error(`pod ${podName} in namespace ${podNamespace} not found`);
    }),
    getAllocatableResources: limited('GetAllocatableResources', () => ({
      devices: source.manager
        .resources()
        .flatMap((resource) => shuffled(source.manager.healthy(resource)).map((device) => entry(resource, device))),
      cpuIds: [],
      memory: [],
    })),
  };
  server.addService(PodResourcesListerService, service);
  await serve(server, socket);
  return server;
}

/** Init containers are not listed, not even while they run. */
function resourcesOf(pod: Pod, manager: DeviceManager): PodResources {
  return {
    name: pod.name,
    namespace: pod.namespace,
    containers: pod.containers.map(({ name }) => ({
      name,
      devices: shuffled(
        [...(manager.allocationOf(pod, name) ?? [])].flatMap(([resource, ids]) =>
          ids.map((id) => entry(resource, manager.device(resource, id) ?? { ID: id, health: '', topology: undefined })),
        ),
      ),
      cpuIds: [],
      memory: [],
      dynamicResources: [],
    })),
  };
}

/** Every device is an entry of its own. */
function entry(resourceName: string, device: Device): ContainerDevices {
  return { resourceName, deviceIds: [device.ID], topology: device.topology };
}

class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #at = performance.now();

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
  }

  take(): boolean {
    const now = performance.now();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
