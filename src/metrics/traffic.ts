/**
 * Traffic of VFs with the pods that have them. Bounded: VFs of pods come first, then the others, up
 * to a fixed number of series, and PFs are asked at most every few seconds however often is scraped.
 */
import type { AttachmentSummary } from '../engine/attachments/model.ts';
import type { VfCounters } from '../engine/inventory/model.ts';
import type { CountersView } from '../engine/view.ts';
import { MOST_TRAFFIC_SERIES } from './definitions.ts';
import type { MetricSources } from './port.ts';

/** Drivers ask firmware, some milliseconds for each VF. */
const FRESH_MS = 10_000;

export interface VfTraffic {
  readonly labels: Readonly<Record<string, string>>;
  /** By an attachment. */
  readonly isHeld: boolean;
  readonly counters: VfCounters;
}

export interface Traffic {
  readonly vfs: readonly VfTraffic[];
  readonly omitted: number;
}

/** Answers from memory while what it has is fresh, and to all who ask at once with one reading. */
export class TrafficReader {
  readonly #sources: MetricSources;
  readonly #nowMs: () => number;
  #readMs = Number.NEGATIVE_INFINITY;
  #counters: Promise<CountersView> = Promise.resolve({});

  constructor(sources: MetricSources, nowMs: () => number = () => performance.now()) {
    this.#sources = sources;
    this.#nowMs = nowMs;
  }

  async read(): Promise<Traffic> {
    if (this.#nowMs() - this.#readMs >= FRESH_MS) {
      this.#readMs = this.#nowMs();
      this.#counters = this.#sources.counters();
      // What cannot be read is asked for again by the next scrape.
      this.#counters.catch(() => {
        this.#readMs = Number.NEGATIVE_INFINITY;
      });
    }
    return trafficOf(await this.#counters, this.#sources);
  }
}

function trafficOf(counters: CountersView, sources: MetricSources): Traffic {
  const owners = new Map<string, AttachmentSummary>(sources.attachments().map((entry) => [entry.device, entry]));
  const resources = new Map<string, string>();
  for (const { spec, devices } of sources.plan().pools) {
    for (const { pci } of devices) if (pci !== undefined) resources.set(pci, spec.resource);
  }
  const vfs: VfTraffic[] = [];
  for (const nic of sources.inventory().nics) {
    for (const { address, index } of nic.vfs) {
      const counted = counters[address];
      if (counted === undefined) continue;
      const owner = owners.get(address);
      vfs.push({
        labels: {
          pci: address,
          pf: nic.ifname ?? nic.address,
          vf: String(index),
          resource: resources.get(address) ?? '',
          namespace: owner?.pod?.namespace ?? '',
          pod: owner?.pod?.name ?? '',
          interface: owner?.ifname ?? '',
        },
        isHeld: owner !== undefined,
        counters: counted,
      });
    }
  }
  const ranked = vfs.toSorted((a, b) => Number(b.isHeld) - Number(a.isHeld));
  return { vfs: ranked.slice(0, MOST_TRAFFIC_SERIES), omitted: Math.max(0, vfs.length - MOST_TRAFFIC_SERIES) };
}
