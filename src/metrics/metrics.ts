/**
 * The agent's metrics: what happens is counted when it happens, what is so is read at each scrape.
 * It serves nothing; src/http does. To look: `berth agent --listen 127.0.0.1:9717`, then
 * `curl http://127.0.0.1:9717/metrics`.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { OperationObserver } from '../engine/attachments/observer.ts';
import type { VfCounters } from '../engine/inventory/model.ts';
import type { ResourceStatus } from '../engine/view.ts';
import { DEFINITIONS, DURATION_BUCKETS, type MetricDefinition } from './definitions.ts';
import type { CallMeasurement, MetricSources } from './port.ts';
import { type Traffic, TrafficReader } from './traffic.ts';

type Name = keyof typeof DEFINITIONS;
type Labels = Readonly<Record<string, string>>;

export interface Metrics extends OperationObserver {
  called(call: CallMeasurement): void;
  /** The text format 0.0.4. */
  render(): Promise<string>;
  readonly contentType: string;
}

export function createMetrics(sources: MetricSources): Metrics {
  return new AgentMetrics(sources);
}

class AgentMetrics implements Metrics {
  readonly #sources: MetricSources;
  readonly #registry = new Registry();
  readonly #traffic: TrafficReader;
  #rendering: Promise<string> = Promise.resolve('');
  readonly #metrics = new Map<Name, Gauge | Counter | Histogram>();

  constructor(sources: MetricSources) {
    this.#sources = sources;
    this.#traffic = new TrafficReader(sources);
    for (const [name, definition] of Object.entries(DEFINITIONS)) {
      this.#metrics.set(name as Name, this.#make(definition));
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  called({ code, command, durationsMs, kind, reason }: CallMeasurement): void {
    const durations = this.#histogram('requests');
    for (const phase of ['parse', 'engine', 'total'] as const) {
      durations.observe({ command, kind: kind ?? 'none', phase }, durationsMs[phase] / 1000);
    }
    if (code !== 0) this.#counter('errors').inc({ command, code: String(code), reason: reason ?? 'unknown' });
  }

  phase(operation: 'add' | 'del', kind: string, phase: string, durationMs: number): void {
    this.#histogram('phases').observe({ operation, kind, phase }, durationMs / 1000);
  }

  restored(cause: string, complete: boolean): void {
    this.#counter('restores').inc({ cause, result: complete ? 'complete' : 'incomplete' });
  }

  render(): Promise<string> {
    // One after the other: a scrape must not reset what another one is writing down.
    this.#rendering = this.#rendering.then(
      () => this.#render(),
      () => this.#render(),
    );
    return this.#rendering;
  }

  async #render(): Promise<string> {
    const { omitted, vfs } = await this.#readTraffic();
    // From here on nothing waits, so that a scrape shows one moment.
    this.#readStatus();
    this.#readPools();
    this.#readProcess();
    const counted = (name: Name, field: keyof VfCounters) =>
      this.#mirror(
        name,
        vfs.map(({ counters, labels }) => [labels, counters[field]] as const),
      );
    counted('vfRxBytes', 'rxBytes');
    counted('vfTxBytes', 'txBytes');
    counted('vfRxPackets', 'rxPackets');
    counted('vfTxPackets', 'txPackets');
    counted('vfRxDropped', 'rxDropped');
    counted('vfTxDropped', 'txDropped');
    this.#set('trafficOmitted', [[{}, omitted]]);
    return await this.#registry.metrics();
  }

  /** A PF that does not answer costs the traffic, not the scrape. */
  async #readTraffic(): Promise<Traffic> {
    try {
      return await this.#traffic.read();
    } catch {
      this.#counter('trafficFailures').inc();
      return { vfs: [], omitted: 0 };
    }
  }

  #readStatus(): void {
    const { attachments, configuration, installation, inventory, resources, spool, startedAt, version } =
      this.#sources.status();
    this.#set('buildInfo', [[{ version, nodejs_version: process.version }, 1]]);
    this.#set(
      'registered',
      resources.filter(isAnnounced).map(({ registered, resource }) => [{ resource }, Number(registered)]),
    );
    this.#mirror(
      'registrations',
      resources.filter(isAnnounced).map(({ registrations = 0, resource }) => [{ resource }, registrations]),
    );
    this.#mirror(
      'refusals',
      resources.flatMap(({ refused, resource }) =>
        refused === undefined ? [] : [[{ resource }, refused.count] as const],
      ),
    );
    this.#set('unreadable', [[{}, attachments.unreadable]]);
    this.#set(
      'shim',
      installation === undefined ? [] : [[{ folder: installation.folder }, Number(installation.problem === undefined)]],
    );
    this.#set('spool', [
      [{ state: 'waiting' }, spool.entries],
      [{ state: 'unreadable' }, spool.unreadable],
    ]);
    this.#set('configBroken', [[{}, Number(configuration.problems.length > 0)]]);
    const { takenAt } = configuration;
    this.#set('configTaken', takenAt === undefined ? [] : [[{}, secondsOf(takenAt)]]);
    this.#mirror('reloads', [
      [{ result: 'taken' }, configuration.reloads?.taken ?? 0],
      [{ result: 'refused' }, configuration.reloads?.refused ?? 0],
    ]);
    this.#set('nics', [[{}, inventory.nics]]);
    this.#set('vfs', [[{}, inventory.vfs]]);
    this.#set('inventoryRead', [[{}, secondsOf(inventory.readAt)]]);
    this.#set('inventoryBroken', [[{}, Number(inventory.problem !== undefined)]]);
    this.#set('started', [[{}, secondsOf(startedAt)]]);
  }

  #readPools(): void {
    const { pools: all, unused } = this.#sources.plan();
    const pools = all.filter(({ devices }) => devices.length > 0);
    const attachments = this.#sources.attachments();
    const held = new Set(attachments.map(({ device, slot }) => slot ?? device));
    this.#set(
      'devices',
      pools.flatMap(({ devices, spec: { resource } }) => {
        const healthy = devices.filter((device) => device.healthy).length;
        return [
          [{ resource, state: 'healthy' }, healthy],
          [{ resource, state: 'unhealthy' }, devices.length - healthy],
        ] as const;
      }),
    );
    this.#set(
      'unhealthy',
      pools.flatMap(({ devices, spec: { resource } }) => {
        const byCause = Map.groupBy(devices, ({ cause }) => cause);
        return [...byCause].flatMap(([cause, group]) =>
          cause === undefined ? [] : [[{ resource, cause }, group.length] as const],
        );
      }),
    );
    this.#set(
      'held',
      pools.map(({ devices, spec: { resource } }) => [{ resource }, devices.filter(({ id }) => held.has(id)).length]),
    );
    this.#set('unused', [[{}, unused.length]]);
    const byKind = Map.groupBy(attachments, ({ kind, state }) => `${kind} ${state}`);
    this.#set(
      'attachments',
      [...byKind.values()].map((group) => [{ kind: group[0]?.kind ?? '', state: group[0]?.state ?? '' }, group.length]),
    );
  }

  #readProcess(): void {
    const { maxMs, p50Ms, p99Ms } = this.#sources.loop();
    this.#set('loopP50', [[{}, p50Ms / 1000]]);
    this.#set('loopP99', [[{}, p99Ms / 1000]]);
    this.#set('loopMax', [[{}, maxMs / 1000]]);
    const { system, user } = process.cpuUsage();
    this.#mirror('cpu', [[{}, (system + user) / 1e6]]);
    this.#set('rss', [[{}, process.memoryUsage.rss()]]);
    const files = this.#sources.openFiles();
    this.#set('fds', files === undefined ? [] : [[{}, files]]);
  }

  /** What is not there any more is not served any more. */
  #set(name: Name, values: readonly (readonly [Labels, number])[]): void {
    const gauge = this.#metrics.get(name) as Gauge;
    gauge.reset();
    // Without labels a reset leaves a zero, which would be a lie for what is unknown.
    if (values.length === 0 && DEFINITIONS[name].labels.length === 0) gauge.remove();
    for (const [labels, value] of values) gauge.set(labels, value);
  }

  /** A counter that somebody else counts. */
  #mirror(name: Name, values: readonly (readonly [Labels, number])[]): void {
    const counter = this.#counter(name);
    counter.reset();
    for (const [labels, value] of values) counter.inc(labels, value);
  }

  #counter(name: Name): Counter {
    return this.#metrics.get(name) as Counter;
  }

  #histogram(name: Name): Histogram {
    return this.#metrics.get(name) as Histogram;
  }

  #make({ help, labels, name, type }: MetricDefinition): Gauge | Counter | Histogram {
    const fields = { name, help, labelNames: [...labels], registers: [this.#registry] };
    switch (type) {
      case 'gauge':
        return new Gauge(fields);
      case 'counter':
        return new Counter(fields);
      case 'histogram':
        return new Histogram({ ...fields, buckets: [...DURATION_BUCKETS] });
      default:
        return type satisfies never;
    }
  }
}

/** A built-in pool without devices is not announced, and would only be noise. */
function isAnnounced({ devices, registered }: ResourceStatus): boolean {
  return devices > 0 || registered;
}

function secondsOf(time: string): number {
  return Date.parse(time) / 1000;
}
