/**
 * The gRPC services of one resource: the device plugin, and for the plugin watcher the registration
 * service. It answers kubelet; when and where it is served is registration.ts's business.
 */
import type { handleUnaryCall, Server, ServerUnaryCall } from '@grpc/grpc-js';
import { BerthError } from '../engine/errors.ts';
import type { Logger } from '../engine/logger.ts';
import type { PoolState } from '../engine/pools/model.ts';
import type { PoolSet } from '../engine/pools/pool-set.ts';
import { preferDevices } from '../engine/pools/preferred.ts';
import { asPciAddress } from '../engine/values.ts';
import { allocateContainer, resolveDevices } from './allocate.ts';
import type { DeviceInfoFolder } from './device-info.ts';
import { DeviceStream } from './device-stream.ts';
import {
  type AllocateRequest,
  type AllocateResponse,
  type DevicePluginOptions,
  type DevicePluginServer,
  DevicePluginService,
  type ListAndWatchResponse,
  type PreferredAllocationRequest,
  type PreferredAllocationResponse,
} from './gen/deviceplugin/v1beta1/device_plugin.ts';
import { type RegistrationServer, RegistrationService } from './gen/pluginregistration/v1/plugin_registration.ts';
import { toStatus } from './status.ts';
import { fitMessage, listOf } from './topology.ts';

/** The only version of the device plugin interface that kubelet has had since 1.10. */
export const API_VERSION = 'v1beta1';

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
  readonly deviceInfo: DeviceInfoFolder;
  readonly calls: KubeletCalls;
  readonly log: Logger;
}

export class PluginService {
  readonly #options: PluginServiceOptions;
  readonly #streams = new Set<DeviceStream>();
  #truncated = false;

  constructor(options: PluginServiceOptions) {
    this.#options = options;
  }

  /** Open ListAndWatch streams. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Adds the services to a server; the registration service only for the plugin watcher. */
  addTo(server: Server, withRegistration: boolean): void {
    server.addService(DevicePluginService, this.#devicePlugin());
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

  #list(): ListAndWatchResponse {
    const { pools, resource, log } = this.#options;
    const state = pools.state(resource);
    // Between the pool's removal from the configuration and the end of this stream nothing is offered.
    if (state === undefined) return { devices: [] };
    const list = listOf(state);
    const fitting = fitMessage(list);
    const truncated = fitting.devices.length < list.devices.length;
    if (truncated && !this.#truncated) {
      log.error(
        { resource, devices: list.devices.length, offered: fitting.devices.length },
        'too many devices for one message to kubelet; lower the capacity or split the pool',
      );
    }
    this.#truncated = truncated;
    return fitting;
  }

  #devicePlugin(): DevicePluginServer {
    return {
      getDevicePluginOptions: answer(() => PLUGIN_OPTIONS),
      listAndWatch: (call) => {
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
    return {
      containerResponses: containerRequests.map((request) => ({
        deviceIDs: [
          ...preferDevices({
            available: request.availableDeviceIDs,
            mustInclude: request.mustIncludeDeviceIDs,
            size: request.allocationSize,
            groupOf: (id) => this.#groupOf(id),
          }),
        ],
      })),
    };
  }

  /** What devices are packed by: PF or uplink. */
  #groupOf(id: string): string | undefined {
    const address = asPciAddress(id);
    if (address !== undefined) {
      const found = this.#options.pools.functionAt(address);
      return (found?.pf ?? found?.pci)?.address;
    }
    return id.slice(0, id.lastIndexOf('-'));
  }

  async #allocate({ containerRequests }: AllocateRequest): Promise<AllocateResponse> {
    const { resource, pools, deviceInfo, log } = this.#options;
    const state = this.#state();
    const containerResponses = [];
    for (const { devicesIds } of containerRequests) {
      const devices = resolveDevices(pools, state, devicesIds);
      containerResponses.push(allocateContainer(state, devices));
      for (const { id, function: given } of devices) {
        if (given === undefined) continue;
        try {
          deviceInfo.write(resource, given);
        } catch (error) {
          // The pod works without the file; only its network status lacks the device.
          log.warn({ resource, device: id, err: error }, 'device-info file not written');
        }
      }
      log.info({ resource, devices: devicesIds }, 'devices allocated');
    }
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
