/** Kubelet's plugin watcher: calls every socket that appears in plugins_registry. */
import { type FSWatcher, lstatSync, readdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { RegistrationClient } from '../../../src/kubelet/gen/pluginregistration/v1/plugin_registration.ts';
import type { DeviceManager } from './device-manager.ts';
import type { EventLog } from './event-log.ts';
import { call, goError } from './grpc.ts';
import type { KubeletTimings } from './model.ts';
import { resourceNameProblem } from './resource-name.ts';

interface Known {
  /** Tells one socket file from the next of the same name. */
  readonly identity: string;
  timer: NodeJS.Timeout | undefined;
  client: RegistrationClient | undefined;
  resource: string | undefined;
}

export class PluginWatcher {
  readonly #directory: string;
  readonly #manager: DeviceManager;
  readonly #log: EventLog;
  readonly #timings: KubeletTimings;
  readonly #known = new Map<string, Known>();
  #watcher: FSWatcher | undefined;

  constructor(directory: string, manager: DeviceManager, log: EventLog, timings: KubeletTimings) {
    this.#directory = directory;
    this.#manager = manager;
    this.#log = log;
    this.#timings = timings;
  }

  start(): void {
    this.#watcher = watch(this.#directory, () => this.#look());
    this.#look();
  }

  close(): void {
    this.#watcher?.close();
    for (const path of [...this.#known.keys()]) this.#forget(path);
  }

  #look(): void {
    const present = new Map<string, string>();
    for (const name of readdirSync(this.#directory)) {
      // Hidden names are not plugins.
      if (name.startsWith('.')) continue;
      const path = join(this.#directory, name);
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat?.isSocket() === true) present.set(path, `${stat.ino}:${stat.ctimeMs}`);
    }
    for (const [path, known] of [...this.#known]) {
      if (present.get(path) === known.identity) continue;
      this.#forget(path);
      if (known.resource !== undefined) this.#manager.disconnect(known.resource);
    }
    for (const [path, identity] of present) {
      if (this.#known.has(path)) continue;
      const known: Known = { identity, timer: undefined, client: undefined, resource: undefined };
      this.#known.set(path, known);
      const [least, most] = this.#timings.noticeMs;
      this.#later(path, known, least + Math.random() * (most - least), this.#timings.retryMs);
    }
  }

  #later(path: string, known: Known, delayMs: number, retryMs: number): void {
    known.timer = setTimeout(() => {
      this.#register(path, known).catch((error: Error) => {
        known.client?.close();
        if (this.#known.get(path) !== known) return;
        this.#log.add('registration failed', { msg: { path, err: error.message } });
        this.#later(path, known, retryMs, retryMs * 2);
      });
    }, delayMs);
  }

  #forget(path: string): void {
    const known = this.#known.get(path);
    this.#known.delete(path);
    clearTimeout(known?.timer);
    known?.client?.close();
  }

  async #register(path: string, known: Known): Promise<void> {
    const client = new RegistrationClient(`unix:${path}`, credentials.createInsecure(), {
      'grpc.default_authority': encodeURIComponent(path),
    });
    known.client = client;
    const info = await call(client.getInfo.bind(client), {}, this.#timings.getInfoTimeoutMs);
    this.#log.add('GetInfo', { resource: info.name, msg: info });
    const problem = this.#problemOf(info);
    if (problem !== undefined) {
      await this.#notify(client, info.name, { pluginRegistered: false, error: problem });
      return;
    }
    let plugin: Awaited<ReturnType<DeviceManager['connect']>>;
    try {
      plugin = await this.#manager.connect(info.name, info.endpoint === '' ? path : info.endpoint);
    } catch (error) {
      const why = goError(error as Error);
      await this.#notify(client, info.name, { pluginRegistered: false, error: why });
      return;
    }
    known.resource = info.name;
    // Either order was recorded.
    const watchFirst = Math.random() < 0.5;
    if (watchFirst) this.#manager.run(plugin);
    await this.#notify(client, info.name, { pluginRegistered: true, error: '' });
    if (!watchFirst) this.#manager.run(plugin);
  }

  async #notify(
    client: RegistrationClient,
    resource: string,
    msg: { pluginRegistered: boolean; error: string },
  ): Promise<void> {
    this.#log.add('NotifyRegistrationStatus', { resource, msg });
    await call(client.notifyRegistrationStatus.bind(client), msg, this.#timings.getInfoTimeoutMs);
    client.close();
  }

  #problemOf(info: { type: string; name: string; supportedVersions: readonly string[] }): string | undefined {
    if (info.type !== 'DevicePlugin') return `no handler registered for plugin type: ${info.type}`;
    if (!info.supportedVersions.includes('v1beta1')) {
      return `requested API version "${info.supportedVersions}" is not supported by kubelet. Supported version is v1beta1`;
    }
    return resourceNameProblem(info.name);
  }
}
