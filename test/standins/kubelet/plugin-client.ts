/** Kubelet's client of one device plugin: the endpoint of a resource. */
import { type ClientReadableStream, credentials } from '@grpc/grpc-js';
import {
  type ContainerAllocateResponse,
  type Device,
  DevicePluginClient,
  type DevicePluginOptions,
  type ListAndWatchResponse,
} from '../../../src/kubelet/gen/deviceplugin/v1beta1/device_plugin.ts';
import type { EventLog } from './event-log.ts';
import { call, dial, shuffled } from './grpc.ts';

export class PluginClient {
  readonly resource: string;
  readonly socket: string;
  readonly #client: DevicePluginClient;
  readonly #log: EventLog;
  #stream: ClientReadableStream<ListAndWatchResponse> | undefined;
  #options: DevicePluginOptions = { preStartRequired: false, getPreferredAllocationAvailable: false };

  constructor(resource: string, socket: string, log: EventLog) {
    this.resource = resource;
    this.socket = socket;
    this.#log = log;
    // Messages of more than 4 MiB end the call, which is what kubelet's client does.
    this.#client = new DevicePluginClient(`unix:${socket}`, credentials.createInsecure());
  }

  get preStartRequired(): boolean {
    return this.#options.preStartRequired;
  }

  get hasPreference(): boolean {
    return this.#options.getPreferredAllocationAvailable;
  }

  /** Connects and asks for the options, as kubelet does within Register. */
  async connect(timeoutMs: number): Promise<void> {
    await dial(this.#client, timeoutMs);
    this.#options = await call(this.#client.getDevicePluginOptions.bind(this.#client), {});
    this.#log.add('GetDevicePluginOptions', { resource: this.resource, msg: this.#options });
  }

  /** Opens the stream; `onEnd` comes once, when it is over for whatever reason. */
  listAndWatch(onDevices: (devices: readonly Device[]) => void, onEnd: () => void): void {
    this.#log.add('ListAndWatch', { resource: this.resource });
    const stream = this.#client.listAndWatch({});
    this.#stream = stream;
    stream.on('data', (message: ListAndWatchResponse) => {
      onDevices(message.devices);
      this.#log.add('ListAndWatch.send', { resource: this.resource, msg: message });
    });
    let over = false;
    const end = (why: string): void => {
      if (over) return;
      over = true;
      this.#log.add('ListAndWatch.done', { resource: this.resource, msg: { err: why } });
      onEnd();
    };
    stream.on('error', (error) => end(error.message));
    stream.on('end', () => end('EOF'));
  }

  async getPreferredAllocation(available: readonly string[], mustInclude: readonly string[], size: number) {
    const request = {
      containerRequests: [
        {
          availableDeviceIDs: shuffled(available),
          mustIncludeDeviceIDs: shuffled(mustInclude),
          allocationSize: size,
        },
      ],
    };
    this.#log.add('GetPreferredAllocation', { resource: this.resource, msg: request });
    const answer = await call(this.#client.getPreferredAllocation.bind(this.#client), request);
    this.#log.add('GetPreferredAllocation.answer', { resource: this.resource, msg: answer });
    return answer.containerResponses[0]?.deviceIDs ?? [];
  }

  /** Without a deadline, as recorded. */
  async allocate(ids: readonly string[]): Promise<ContainerAllocateResponse | undefined> {
    const request = { containerRequests: [{ devicesIds: shuffled(ids) }] };
    this.#log.add('Allocate', { resource: this.resource, msg: request });
    return (await call(this.#client.allocate.bind(this.#client), request)).containerResponses[0];
  }

  async preStartContainer(ids: readonly string[]): Promise<void> {
    const request = { devicesIds: shuffled(ids) };
    this.#log.add('PreStartContainer', { resource: this.resource, msg: request });
    await call(this.#client.preStartContainer.bind(this.#client), request);
  }

  /** Ends the stream and the connection. */
  disconnect(): void {
    this.#stream?.cancel();
    this.#client.close();
  }
}
