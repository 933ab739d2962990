/**
 * Keeps one resource registered with kubelet, come what may: kubelet restarts, removed sockets,
 * failed, late or unanswered registrations, and kubelet's habit of disconnecting a plugin when an
 * older one of the same resource ends. The rule is one: whenever no ListAndWatch stream is open and
 * we did not end it, register again, with back-off. A resource is never registered both ways at
 * once. To debug: `berth status` shows `status()`; every step is logged with the resource.
 */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { type ClientUnaryCall, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { Logger } from '../engine/logger.ts';
import type { PoolSet } from '../engine/pools/pool-set.ts';
import { Backoff } from './backoff.ts';
import type { Delivery } from './delivery.ts';
import { RegistrationClient } from './gen/deviceplugin/v1beta1/device_plugin.ts';
import { kubeletSocket, runningKubelet } from './kubelet-start.ts';
import { type KubeletPaths, pluginSocketPath, type RegistrationMode } from './paths.ts';
import { API_VERSION, PLUGIN_OPTIONS, PluginService } from './plugin-service.ts';
import { type ServedSocket, serveSocket } from './served-socket.ts';
import { describeFailure, withRemedy } from './status.ts';

/** Delays and limits, in milliseconds. */
export interface RegistrationTimings {
  /** First and longest delay between attempts. */
  readonly retryFirstMs: number;
  readonly retryLimitMs: number;
  /** Register answers only after kubelet has dialled back, for which it takes up to 10 s. */
  readonly registerTimeoutMs: number;
  /** After Register or GetInfo kubelet opens ListAndWatch; later than this it has forgotten. */
  readonly streamTimeoutMs: number;
  /** A stream that lived this long makes the next attempt the first again. */
  readonly stableMs: number;
  /** How often sockets are looked after without any news of them. */
  readonly checkMs: number;
  /** Kubelet reads a list at once; one that it has not read for so long is told. */
  readonly stalledMs: number;
  /** How long kubelet must not have listed a device before its files go. */
  readonly confirmStaleMs: number;
}

export const DEFAULT_TIMINGS: RegistrationTimings = {
  retryFirstMs: 200,
  retryLimitMs: 30_000,
  registerTimeoutMs: 15_000,
  streamTimeoutMs: 15_000,
  stableMs: 5_000,
  checkMs: 5_000,
  stalledMs: 10_000,
  confirmStaleMs: 30_000,
};

/** `auto` is the plugin watcher where kubelet has its folder, else the legacy way. */
export type RegistrationChoice = RegistrationMode | 'auto';

export interface ResourceRegistration {
  readonly resource: string;
  /** Kubelet has a ListAndWatch stream open. */
  readonly registered: boolean;
  /** Absent before the first attempt. */
  readonly mode?: RegistrationMode;
  /** Since when it is registered or not; RFC 3339. */
  readonly since: string;
  /** Times that kubelet opened the stream. */
  readonly registrations: number;
  /** Why it is not registered, or what went wrong last. */
  readonly lastError?: string;
  /** What is wrong besides the registration: a list that is too long, files that cannot be written. */
  readonly problems: readonly string[];
}

export interface RegistrationOptions {
  readonly resource: string;
  readonly pools: PoolSet;
  readonly delivery: Delivery;
  readonly paths: KubeletPaths;
  readonly choice: RegistrationChoice;
  readonly timings: RegistrationTimings;
  readonly log: Logger;
  /** `status()` is another one now. */
  readonly onChange?: () => void;
}

export class Registration {
  readonly #options: RegistrationOptions;
  readonly #service: PluginService;
  readonly #backoff: Backoff;
  #mode: RegistrationMode | undefined;
  #socket: ServedSocket | undefined;
  #since = new Date();
  #registrations = 0;
  #openedAt = 0;
  #lastError: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** One step at a time: attempts, checks and the stop wait for each other here. */
  #step: Promise<void> = Promise.resolve();
  #checkWaits = false;
  #stopped = false;
  #registering: ClientUnaryCall | undefined;
  /** Identity of the kubelet.sock that was called last, or tried: another one is a kubelet that knows nothing of us. */
  #calledKubelet: string | undefined;
  /** Kubelet's folder was not there when the socket was to be served. */
  #missingFolder: string | undefined;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.timings.retryFirstMs, options.timings.retryLimitMs);
    this.#service = new PluginService({
      ...options,
      calls: {
        onGetInfo: () => this.#expectStream('kubelet asked who we are and opened no ListAndWatch'),
        onRegistrationStatus: (registered, error) => this.#onStatus(registered, error),
        onStreamOpened: () => this.#onStreamOpened(),
        onStreamsGone: () => this.#onStreamsGone(),
      },
    });
  }

  start(): void {
    this.#enqueue(() => this.#register());
  }

  /** Sends the newest device list to kubelet. */
  publish(): void {
    this.#service.publish();
  }

  /**
   * Something changed in kubelet's folders, or it is time to look: makes a removed socket anew, and
   * registers at once with a kubelet that has just come. All else is left to the pending retry, so
   * that our own changes of the folders start nothing.
   */
  check(): void {
    if (this.#checkWaits) return;
    this.#checkWaits = true;
    this.#enqueue(async () => {
      this.#checkWaits = false;
      if (this.#socket === undefined) {
        if (this.#missingFolder !== undefined && existsSync(this.#missingFolder)) await this.#register();
      } else if ((await this.#socket.look()) === 'missing') {
        // A socket that was replaced is another agent's: taking it back would begin a fight.
        this.#options.log.info(this.#fields(), 'socket was removed; making it anew');
        await this.#register();
      } else if (this.#mode === 'legacy' && this.#service.streams === 0 && this.#isNewKubelet()) {
        await this.#register();
      }
    });
  }

  status(): ResourceRegistration {
    return {
      resource: this.#options.resource,
      registered: this.#service.streams > 0,
      ...(this.#mode === undefined ? {} : { mode: this.#mode }),
      since: this.#since.toISOString(),
      registrations: this.#registrations,
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
      problems: this.#problems(),
    };
  }

  #problems(): readonly string[] {
    const { delivery, resource } = this.#options;
    const refusal = this.#service.refusal;
    const refused = refusal === undefined ? [] : [`not offered: ${withRemedy(refusal)}`];
    const waitsS = Math.floor(this.#service.waitsMs / 1000);
    const stuck =
      this.#service.waitsMs < this.#options.timings.stalledMs
        ? []
        : [`kubelet has not read the list of devices for ${waitsS} s. Look at its log; restart it if it hangs.`];
    return [...refused, ...stuck, ...delivery.problems(resource)];
  }

  /** Ends streams, server, socket file and timers; resolves when all are gone. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#registering?.cancel();
    await this.#step;
    await this.#closeSocket();
  }

  #enqueue(step: () => Promise<void>): void {
    this.#step = this.#step.then(async () => {
      if (this.#stopped) return;
      try {
        await step();
      } catch (error) {
        this.#retry(error instanceof Error ? error.message : String(error));
      }
    });
  }

  async #register(): Promise<void> {
    clearTimeout(this.#timer);
    const mode = this.#chooseMode();
    await this.#serve(mode);
    if (this.#stopped) return;
    if (mode === 'legacy') await this.#callRegister();
    else this.#expectStream('kubelet has not asked for the socket (before 1.27 it needs kubelet.registration: legacy)');
  }

  #chooseMode(): RegistrationMode {
    const { choice, paths } = this.#options;
    if (choice !== 'auto') return choice;
    return existsSync(paths.pluginsRegistryDir) ? 'watcher' : 'legacy';
  }

  async #serve(mode: RegistrationMode): Promise<void> {
    const { paths, resource } = this.#options;
    const path = pluginSocketPath(directoryOf(paths, mode), resource);
    // The legacy way keeps its socket between attempts; the watcher only takes a new one for news.
    if (mode === 'legacy' && this.#socket?.path === path && (await this.#socket.look()) === 'in-place') return;
    await this.#closeSocket();
    this.#mode = mode;
    const other = mode === 'legacy' ? 'watcher' : 'legacy';
    await rm(pluginSocketPath(directoryOf(paths, other), resource), { force: true });
    this.#missingFolder = existsSync(dirname(path)) ? undefined : dirname(path);
    this.#socket = await serveSocket(path, (server) => this.#service.addTo(server, mode === 'watcher'));
    this.#options.log.info({ ...this.#fields(), socket: path }, 'serving');
  }

  async #callRegister(): Promise<void> {
    const { paths, resource, timings } = this.#options;
    this.#calledKubelet = runningKubelet(paths);
    const client = new RegistrationClient(`unix:${kubeletSocket(paths)}`, credentials.createInsecure());
    const request = {
      version: API_VERSION,
      endpoint: basename(this.#socket?.path ?? ''),
      resourceName: resource,
      options: PLUGIN_OPTIONS,
    };
    try {
      const error = await new Promise<ServiceError | null>((resolve) => {
        this.#registering = client.register(
          request,
          new Metadata(),
          { deadline: Date.now() + timings.registerTimeoutMs },
          resolve,
        );
      });
      if (error !== null) this.#retry(`Register failed: ${describeFailure(error)}`);
      else if (this.#service.streams === 0)
        this.#expectStream('kubelet took the registration and opened no ListAndWatch');
    } finally {
      this.#registering = undefined;
      client.close();
    }
  }

  #isNewKubelet(): boolean {
    const now = runningKubelet(this.#options.paths);
    return now !== undefined && now !== this.#calledKubelet;
  }

  #expectStream(otherwise: string): void {
    this.#schedule(this.#options.timings.streamTimeoutMs, () => {
      if (this.#service.streams === 0) this.#retry(otherwise);
    });
  }

  #onStatus(registered: boolean, error: string): void {
    if (!registered) this.#retry(`kubelet refused the registration: ${error}`);
  }

  #onStreamOpened(): void {
    clearTimeout(this.#timer);
    this.#openedAt = performance.now();
    if (this.#service.streams > 1) return;
    this.#registrations += 1;
    this.#since = new Date();
    this.#lastError = undefined;
    this.#options.log.info(this.#fields(), 'registered with kubelet');
    this.#options.onChange?.();
  }

  #onStreamsGone(): void {
    this.#since = new Date();
    if (performance.now() - this.#openedAt >= this.#options.timings.stableMs) this.#backoff.reset();
    this.#retry('kubelet ended the ListAndWatch stream');
  }

  #retry(why: string): void {
    if (this.#stopped) return;
    this.#lastError = why;
    this.#options.onChange?.();
    const delayMs = this.#backoff.next();
    this.#options.log.warn({ ...this.#fields(), why, retryInMs: delayMs }, 'not registered with kubelet');
    this.#schedule(delayMs, () =>
      this.#enqueue(async () => {
        // While this waited for its turn kubelet may have come by itself.
        if (this.#service.streams === 0) await this.#register();
      }),
    );
  }

  #schedule(delayMs: number, action: () => void): void {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(action, delayMs);
  }

  async #closeSocket(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#service.endStreams();
    await socket?.close();
  }

  #fields(): object {
    return { resource: this.#options.resource, mode: this.#mode };
  }
}

function directoryOf(paths: KubeletPaths, mode: RegistrationMode): string {
  return mode === 'legacy' ? paths.devicePluginsDir : paths.pluginsRegistryDir;
}
