/**
 * Removes what is left of devices that no pool offers and no pod holds: their device-info files and
 * their entries in CDI specifications, also those of resources that only an earlier agent offered.
 * Kubelet's list of pods is proof of a holder and no proof of none: after its restart the list is
 * empty for some seconds, so a device must be missing there for a while. To debug: every removal is logged.
 */
import type { PodDevices } from '../engine/attachments/pod-devices.ts';
import type { Logger } from '../engine/logger.ts';
import type { PoolSet } from '../engine/pools/pool-set.ts';
import { asPciAddress } from '../engine/values.ts';
import type { CdiFolder } from './cdi-folder.ts';
import type { DeviceInfoFile, DeviceInfoFolder } from './device-info.ts';
import type { OfferedResources } from './offered-resources.ts';

export interface StaleFilesOptions {
  readonly pools: PoolSet;
  readonly deviceInfo: DeviceInfoFolder;
  readonly cdi: CdiFolder;
  /** CDI is used: what pools offer stays in its files. */
  readonly usesCdi: boolean;
  readonly offered: OfferedResources;
  /** Absent where there is no kubelet to ask: then attachments alone tell who holds a device. */
  readonly podDevices?: PodDevices;
  readonly log: Logger;
  /** How long kubelet must not have listed a device, in milliseconds. */
  readonly confirmMs: number;
}

export class StaleFiles {
  readonly #options: StaleFilesOptions;
  /** Since when a device is neither offered nor held, by resource and id. */
  readonly #since = new Map<string, number>();
  #running: Promise<void> | undefined;
  #again = false;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: StaleFilesOptions) {
    this.#options = options;
  }

  /** Looks soon; what is asked for meanwhile is one more look. */
  look(): void {
    if (this.#stopped) return;
    this.#again = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false;
      clearTimeout(this.#timer);
      try {
        await this.#lookOnce();
      } catch (error) {
        this.#options.log.warn({ err: error }, 'stale files not looked for');
      }
    }
  }

  async #lookOnce(): Promise<void> {
    const { cdi, deviceInfo, offered, pools } = this.#options;
    const configured = pools.plan().pools.map(({ spec }) => spec.resource);
    const resources = [...new Set([...configured, ...offered.list()])];
    const infos = await deviceInfo.list(resources);
    const entries = [...(await cdi.list())].flatMap(([resource, ids]) => ids.map((id) => ({ resource, id })));
    const stale = await this.#unheld([
      ...infos.filter((file) => !this.#isOffered(file)),
      ...entries.filter((entry) => !this.#options.usesCdi || !this.#isOffered(entry)),
    ]);
    const gone = new Set(stale.map(keyOf));
    for (const file of infos) if (gone.has(keyOf(file)) && !this.#isOffered(file)) await deviceInfo.remove(file);
    const byResource = Map.groupBy(
      entries.filter((entry) => gone.has(keyOf(entry))),
      ({ resource }) => resource,
    );
    for (const [resource, dropped] of byResource)
      await cdi.drop(
        resource,
        dropped.map(({ id }) => id),
      );
    const left = infos.filter((file) => !gone.has(keyOf(file)) || this.#isOffered(file));
    offered.set([...configured, ...left.map(({ resource }) => resource)]);
  }

  #isOffered({ resource, id }: DeviceInfoFile): boolean {
    return this.#options.pools.deviceOf(resource, id) !== undefined;
  }

  /** Those that nobody holds, and for long enough. */
  async #unheld(candidates: readonly DeviceInfoFile[]): Promise<readonly DeviceInfoFile[]> {
    const { confirmMs, podDevices, pools } = this.#options;
    const free = candidates.filter(({ id }) => {
      const address = asPciAddress(id);
      return address === undefined || !pools.isHeld(address);
    });
    const seen = new Set(free.map(keyOf));
    for (const key of this.#since.keys()) if (!seen.has(key)) this.#since.delete(key);
    if (podDevices === undefined || free.length === 0) return free;
    const holders = await podDevices.holders();
    const now = performance.now();
    const unlisted = free.filter((entry) => {
      const held = holders?.get(entry.id)?.some(({ resource }) => resource === entry.resource) ?? holders === undefined;
      if (held) this.#since.delete(keyOf(entry));
      else if (!this.#since.has(keyOf(entry))) this.#since.set(keyOf(entry), now);
      return !held;
    });
    const ready = unlisted.filter((entry) => now - (this.#since.get(keyOf(entry)) ?? now) >= confirmMs);
    if (ready.length < free.length) this.#lookLater();
    return ready;
  }

  #lookLater(): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    this.#timer = setTimeout(() => this.look(), this.#options.confirmMs + 1);
    this.#timer.unref();
  }
}

function keyOf({ resource, id }: DeviceInfoFile): string {
  return `${resource} ${id}`;
}
