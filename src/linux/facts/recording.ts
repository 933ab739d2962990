/** A fact source that remembers its answers, in the form of `berth/facts.json`. */
import type { VfCountersAnswer, VfSettingsAnswer } from '../../engine/inventory/port.ts';
import type { PciAddress } from '../../engine/values.ts';
import type { FactsDocument } from './recorded.ts';
import type { DriverFacts, FactSource, LinkFacts, LinkRef, QueueFacts } from './source.ts';

export class RecordingFacts implements FactSource {
  readonly #inner: FactSource;
  readonly #settings = new Map<number, VfSettingsAnswer>();
  readonly #counters = new Map<number, VfCountersAnswer>();
  readonly #drivers = new Map<PciAddress, DriverFacts>();
  #links: ReadonlyMap<number, LinkFacts> | undefined;
  #routes: ReadonlySet<number> | undefined;
  #queues: ReadonlyMap<number, QueueFacts> | undefined;

  constructor(inner: FactSource) {
    this.#inner = inner;
  }

  async links(): Promise<ReadonlyMap<number, LinkFacts> | undefined> {
    this.#links = await this.#inner.links();
    return this.#links;
  }

  async link(ifindex: number): Promise<LinkFacts | undefined> {
    return await this.#inner.link(ifindex);
  }

  async defaultRoutes(): Promise<ReadonlySet<number> | undefined> {
    this.#routes = await this.#inner.defaultRoutes();
    return this.#routes;
  }

  async vfSettings(pf: LinkRef): Promise<VfSettingsAnswer> {
    const answer = await this.#inner.vfSettings(pf);
    this.#settings.set(pf.ifindex, answer);
    return answer;
  }

  async vfCounters(pf: LinkRef): Promise<VfCountersAnswer> {
    const answer = await this.#inner.vfCounters(pf);
    this.#counters.set(pf.ifindex, answer);
    return answer;
  }

  async queues(): Promise<ReadonlyMap<number, QueueFacts> | undefined> {
    this.#queues = await this.#inner.queues();
    return this.#queues;
  }

  async queuesOf(link: LinkRef): Promise<QueueFacts | undefined> {
    return await this.#inner.queuesOf(link);
  }

  async driver(address: PciAddress, netdev: LinkRef | undefined): Promise<DriverFacts | undefined> {
    const answer = await this.#inner.driver(address, netdev);
    if (answer !== undefined) this.#drivers.set(address, answer);
    return answer;
  }

  /** `undefined` when nothing was known of the links. */
  document(): FactsDocument | undefined {
    if (this.#links === undefined) return undefined;
    const links = [...this.#links.values()].map((link) => {
      const vfs = this.#settings.get(link.ifindex);
      const counters = this.#counters.get(link.ifindex);
      return {
        ...link,
        altnames: [...link.altnames],
        addresses: [...link.addresses],
        defaultRoute: this.#routes?.has(link.ifindex) ?? false,
        ...(vfs === undefined ? {} : { vfs: vfs === 'none' ? vfs : Object.fromEntries(vfs.settings) }),
        ...this.#queues?.get(link.ifindex),
        ...(counters === undefined ? {} : { vfCounters: Object.fromEntries(counters) }),
      };
    });
    const functions = [...this.#drivers].map(([address, { offloads, ...facts }]) => [
      address,
      { ...facts, ...(offloads === undefined ? {} : { offloads: [...offloads] }) },
    ]);
    return { schema: 1, links, functions: Object.fromEntries(functions) };
  }
}
