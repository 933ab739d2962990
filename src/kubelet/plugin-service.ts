/**
 * The gRPC services of one resource: the device plugin, and for the plugin watcher the registration
 * service. It answers kubelet; when and where it is served is registration.ts's business.
 */
import type { handleUnaryCall, Server, ServerUnaryCall } from '@grpc/grpc-js';
import { BerthError, toBerthError } from '../engine/errors.ts';
import type { Logger } from '../engine/logger.ts';
import type { PoolState } from '../engine/pools/model.ts';
import type { PoolSet } from '../engine/pools/pool-set.ts';
import type { Delivery } from './delivery.ts';
import { DeviceListEncoder, EMPTY_LIST } from './device-list.ts';
import { type DeviceListCall, DeviceStream } from './device-stream.ts';
import {
  type AllocateRequest,
  type AllocateResponse,
  type DevicePluginOptions,
  type DevicePluginServer,
  DevicePluginService,
  type PreferredAllocationRequest,
  type PreferredAllocationResponse,
} from './gen/deviceplugin/v1beta1/device_plugin.ts';
import { type RegistrationServer, RegistrationService } from './gen/pluginregistration/v1/plugin_registration.ts';
import { toStatus } from './status.ts';

/** The only version of the device plugin interface that kubelet has had since 1.10. */
export const API_VERSION = 'v1beta1';

/** The lists come encoded: see device-list.ts. */
const PLUGIN_SERVICE = {
  ...DevicePluginService,
  listAndWatch: { ...DevicePluginService.listAndWatch, responseSerialize: (list: Buffer) => list },
};

type PluginHandlers = Omit<DevicePluginServer, 'listAndWatch'> & {
  readonly listAndWatch: (call: DeviceListCall) => void;
};

/** Kubelet asks for them at every registration. */
export const PLUGIN_OPTIONS: DevicePluginOptions = {
  preStartRequired: false,
  getPreferredAllocationAvailable: true,
};

/** What kubelet does, for the one who keeps the resource registered. */
export interface KubeletCalls {
  onGetInfo(): void;
  onRegistrationStatus(registered: boolean, error: string): void;
  onStreamOpened(): void;
  /** The last open stream has ended, and we did not end it. */
  onStreamsGone(): void;
}

export interface PluginServiceOptions {
  readonly resource: string;
  readonly pools: PoolSet;
  readonly delivery: Delivery;
  readonly calls: KubeletCalls;
  readonly log: Logger;
}

export class PluginService {
  readonly #options: PluginServiceOptions;
  readonly #streams = new Set<DeviceStream>();
  readonly #encoder = new DeviceListEncoder();
  #refusal: BerthError | undefined;

  constructor(options: PluginServiceOptions) {
    this.#options = options;
  }

  /** Open ListAndWatch streams. */
  get streams(): number {
    return this.#streams.size;
  }

  /** How long kubelet has not taken a list that waits for it, in milliseconds; 0 when none waits. */
  get waitsMs(): number {
    return Math.max(0, ...[...this.#streams].map((stream) => stream.waitsMs));
  }

  /** Why the pool is not offered as it is; `undefined` when it is. */
  get refusal(): BerthError | undefined {
    return this.#refusal;
  }

  /** Adds the services to a server; the registration service only for the plugin watcher. */
  addTo(server: Server, withRegistration: boolean): void {
    server.addService(PLUGIN_SERVICE, this.#devicePlugin());
    if (withRegistration) server.addService(RegistrationService, this.#registration());
  }

  /** Sends the newest list on every stream. */
  publish(): void {
    for (const stream of this.#streams) stream.publish();
  }

  /** Ends the streams; what they report afterwards is ours and is not passed on. */
  endStreams(): void {
    const open = [...this.#streams];
    this.#streams.clear();
    for (const stream of open) stream.end();
  }

  #state(): PoolState {
    const { pools, resource } = this.#options;
    const state = pools.state(resource);
    if (state !== undefined) return state;
    throw new BerthError({
      code: 'NotFound',
      reason: 'pool-gone',
      message: `${resource} is not configured any more`,
      remedy: 'Ask for a resource that the node offers; "berth plan" lists them.',
    });
  }

  #list(): Buffer {
    const { pools, resource, log } = this.#options;
    const state = pools.state(resource);
    // Between the pool's removal from the configuration and the end of this stream nothing is offered.
    if (state === undefined) return EMPTY_LIST;
    try {
      const list = this.#encoder.encode(state);
      this.#refusal = undefined;
      return list;
    } catch (error) {
      const refusal = toBerthError(error);
      if (this.#refusal === undefined) log.error({ resource, error: refusal.message }, 'pool not offered');
      this.#refusal = refusal;
      return EMPTY_LIST;
    }
  }

  #devicePlugin(): PluginHandlers {
    return {
      getDevicePluginOptions: answer(() => PLUGIN_OPTIONS),
      listAndWatch: (call: DeviceListCall) => {
        const stream: DeviceStream = new DeviceStream(
          call,
          () => this.#list(),
          () => {
            if (this.#streams.delete(stream) && this.#streams.size === 0) this.#options.calls.onStreamsGone();
          },
        );
        this.#streams.add(stream);
        this.#options.calls.onStreamOpened();
      },
      getPreferredAllocation: answer((request) => this.#prefer(request)),
      allocate: answer((request) => this.#allocate(request)),
      preStartContainer: answer(() => ({})),
    };
  }

  #registration(): RegistrationServer {
    const { resource, calls } = this.#options;
    return {
      getInfo: answer(() => {
        calls.onGetInfo();
        // An empty endpoint is this socket.
        return { type: 'DevicePlugin', name: resource, endpoint: '', supportedVersions: [API_VERSION] };
      }),
      notifyRegistrationStatus: answer(({ pluginRegistered, error }) => {
        calls.onRegistrationStatus(pluginRegistered, error);
        return {};
      }),
    };
  }

  #prefer({ containerRequests }: PreferredAllocationRequest): PreferredAllocationResponse {
    const { pools, resource } = this.#options;
    return {
      containerResponses: containerRequests.map((request) => ({
        deviceIDs: [
          ...pools.prefer(resource, {
            available: request.availableDeviceIDs,
            mustInclude: request.mustIncludeDeviceIDs,
            size: request.allocationSize,
          }),
        ],
      })),
    };
  }

  #allocate({ containerRequests }: AllocateRequest): AllocateResponse {
    const { delivery, log, pools, resource } = this.#options;
    const state = this.#state();
    const containerResponses = containerRequests.map(({ devicesIds }) => delivery.give(state, devicesIds));
    const devices = containerRequests.flatMap(({ devicesIds }) => devicesIds);
    pools.noteUse(devices);
    // Kubelet has its answer first: a line of the log is a system call.
    setImmediate(() => log.info({ resource, devices }, 'devices allocated'));
    return { containerResponses };
  }
}

/** A unary handler from a function that answers or throws. */
function answer<Request, Response>(
  handle: (request: Request) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call: ServerUnaryCall<Request, Response>, callback) => {
    const running = (async () => handle(call.request))();
    running.then(
      (response) => callback(null, response),
      (error: unknown) => callback(toStatus(error)),
    );
  };
}
