/** What the agent shows of itself, gathered from its parts when it is asked for. */
import type { Spool } from '../cni/index.ts';
import type { GivenDevices } from '../engine/attachments/given-devices.ts';
import type { AttachmentEngine } from '../engine/attachments/index.ts';
import type { AttachmentSummary } from '../engine/attachments/model.ts';
import type { PodDevices } from '../engine/attachments/pod-devices.ts';
import type { LiveInventory } from '../engine/inventory/live.ts';
import type { NodeReader } from '../engine/inventory/port.ts';
import { inventoryView } from '../engine/inventory-view.ts';
import { exclusiveDevice } from '../engine/pools/holds.ts';
import type { PoolState } from '../engine/pools/model.ts';
import type { PoolSet } from '../engine/pools/pool-set.ts';
import type { Refusals, Tenancy } from '../engine/pools/tenancy.ts';
import {
  type AgentStatus,
  type AgentView,
  type ByDevice,
  type ClusterStatus,
  type DeviceAllocation,
  type DeviceOwner,
  type PageAccess,
  type ResourceStatus,
  unknownDevice,
} from '../engine/view.ts';
import type { KubeletFrontEnd, ResourceRegistration } from '../kubelet/index.ts';
import type { FollowedConfiguration } from './configuration.ts';
import { readCounters } from './counters.ts';
import type { KeptShim } from './kept-shim.ts';
import type { LoopDelay } from './loop-delay.ts';

export interface AgentParts {
  readonly version: string;
  readonly startedAt: Date;
  readonly configuration: FollowedConfiguration;
  readonly reader: NodeReader;
  readonly inventory: LiveInventory;
  readonly pools: PoolSet;
  readonly tenancy: Pick<Tenancy, 'refusals'>;
  readonly kubelet: KubeletFrontEnd;
  readonly attachments: AttachmentEngine;
  readonly podDevices: Pick<PodDevices, 'holders'>;
  readonly given: Pick<GivenDevices, 'current'>;
  readonly spool: Pick<Spool, 'state'>;
  readonly loop: LoopDelay;
  readonly page: () => PageAccess | undefined;
  readonly shim: Pick<KeptShim, 'status'> | undefined;
  readonly cluster: () => ClusterStatus | undefined;
}

export function createAgentView(parts: AgentParts): AgentView {
  const { attachments, given, inventory, pools } = parts;
  return {
    status: () => statusOf(parts),
    inventory: () => ({
      ...inventoryView(inventory.current, pools.plan(), ownersOf(attachments.list())),
      ...(given.current === undefined ? {} : { allocations: given.current }),
    }),
    plan: () => pools.plan(),
    attachments: () => attachments.list(),
    garbage: () => attachments.collectGarbage(true),
    counters: () => readCounters(inventory.current, parts.reader),
    allocations: () => allocationsOf(parts.podDevices),
    page: () => parts.page(),
    explain: (name) => {
      const explanation = pools.explain(name);
      if (explanation === undefined) throw unknownDevice(name);
      const owner = ownersOf(attachments.list())[explanation.device];
      const allocation = given.current?.[explanation.device];
      return {
        ...explanation,
        ...(owner === undefined ? {} : { owner }),
        ...(allocation === undefined ? {} : { allocation }),
      };
    },
  };
}

async function allocationsOf(podDevices: Pick<PodDevices, 'holders'>): Promise<readonly DeviceAllocation[]> {
  const holders = await podDevices.holders();
  return [...(holders ?? [])].flatMap(([device, list]) => list.map((holder) => ({ device, ...holder })));
}

function ownersOf(list: readonly AttachmentSummary[]): ByDevice<DeviceOwner> {
  const entries = list.flatMap(({ device, pod, containerId, ifname, since }) => {
    const id = exclusiveDevice(device);
    if (id === undefined) return [];
    const named = pod === undefined ? {} : { pod: `${pod.namespace}/${pod.name}` };
    return [[id, { ...named, containerId, ifname, since }] as const];
  });
  return Object.fromEntries(entries);
}

function statusOf(parts: AgentParts): AgentStatus {
  const { attachments, configuration, inventory, kubelet, loop, pools, spool, startedAt, tenancy, version } = parts;
  const cluster = parts.cluster();
  const list = attachments.list();
  const registrations = new Map(kubelet.status().map((entry) => [entry.resource, entry]));
  const refusals = tenancy.refusals();
  const { nics, node } = inventory.current;
  return {
    version,
    node: node.name,
    startedAt: startedAt.toISOString(),
    configuration: {
      source: configuration.source,
      ...(configuration.resourcePrefix === undefined ? {} : { resourcePrefix: configuration.resourcePrefix }),
      running: configuration.running,
      ...(configuration.takenAt === undefined ? {} : { takenAt: configuration.takenAt.toISOString() }),
      ...(configuration.brokenSince === undefined ? {} : { brokenSince: configuration.brokenSince.toISOString() }),
      reloads: configuration.reloads,
      problems: configuration.problems,
      warnings: configuration.warnings,
    },
    resources: pools
      .plan()
      .pools.map((pool) => resourceOf(pool, registrations.get(pool.spec.resource), refusals.get(pool.spec.resource))),
    attachments: {
      total: list.length,
      stuck: list.filter(({ state }) => state === 'stuck').length,
      unreadable: attachments.unreadable().length,
    },
    spool: spool.state(),
    inventory: {
      nics: nics.length,
      vfs: nics.reduce((sum, nic) => sum + nic.vfs.length, 0),
      readAt: inventory.readAt.toISOString(),
      ...(inventory.problem === undefined ? {} : { problem: inventory.problem }),
    },
    ...(parts.shim === undefined ? {} : { installation: parts.shim.status() }),
    ...(cluster === undefined ? {} : { cluster }),
    process: { rssBytes: process.memoryUsage.rss(), eventLoopMaxMs: loop.maxMs },
  };
}

function problemOf({ lastError, problems }: ResourceRegistration): string | undefined {
  const all = [...(lastError === undefined ? [] : [lastError]), ...problems];
  return all.length === 0 ? undefined : all.join('; ');
}

function resourceOf(
  { spec, devices }: PoolState,
  registration: ResourceRegistration | undefined,
  refused: Refusals | undefined,
): ResourceStatus {
  // Built-in pools without devices are not announced at all.
  const problem =
    registration === undefined ? 'not announced: this node has no device for it' : problemOf(registration);
  // In use by pods of another pool, or by another kind of link on the same uplink.
  const usedElsewhere = devices.filter(({ cause }) => cause === 'held' || cause === 'excluded').length;
  const reasons = new Set(devices.flatMap(({ reason }) => (reason === undefined ? [] : [reason])));
  return {
    resource: spec.resource,
    devices: devices.length,
    healthy: devices.filter(({ healthy }) => healthy).length,
    ...(usedElsewhere === 0 ? {} : { usedElsewhere }),
    reasons: [...reasons].slice(0, 5),
    registered: registration?.registered ?? false,
    registrations: registration?.registrations ?? 0,
    ...(registration?.mode === undefined ? {} : { mode: registration.mode }),
    ...(problem === undefined ? {} : { problem }),
    ...(spec.namespaces === undefined ? {} : { namespaces: spec.namespaces }),
    ...(refused === undefined ? {} : { refused }),
  };
}
