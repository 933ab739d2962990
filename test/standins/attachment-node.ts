/**
 * A node with two uplinks, an SR-IOV NIC and an attachment engine, all in memory: the table that the
 * engine's tests are played on. `restart` is what a killed agent's successor is: a new engine on the
 * same kernel and the same stores.
 */
import type { AllocationMode } from '../../src/engine/attachments/allocation.ts';
import type { DevicePolicy } from '../../src/engine/attachments/device-policy.ts';
import { type AttachmentEngine, createAttachments } from '../../src/engine/attachments/index.ts';
import type {
  AttachRequest,
  AttachResult,
  HostDeviceLinkSpec,
  HostDeviceName,
  IpvlanLinkSpec,
  LinkSpec,
  MacvlanLinkSpec,
  MacvtapLinkSpec,
  PodIdentity,
  VfLinkSpec,
  VlanLinkSpec,
} from '../../src/engine/attachments/model.ts';
import type { Predecessor } from '../../src/engine/attachments/peers/port.ts';
import type { PodDevices } from '../../src/engine/attachments/pod-devices.ts';
import type { MacvlanMode } from '../../src/engine/attachments/port.ts';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import type { IpamSpec } from '../../src/engine/ipam/model.ts';
import type { IpamPrograms } from '../../src/engine/ipam/port.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { parseContainerId, parseIfName, parseNetworkName } from '../../src/engine/values.ts';
import { FakeKernel, type FakeNamespace } from './fake-kernel.ts';
import { World, type WorldVf } from './fake-world.ts';
import { ManualClock } from './manual-clock.ts';
import { MemoryIpam } from './memory-ipam.ts';
import { MemoryOwnedAddresses, MemoryRecordStore, MemoryReservations } from './memory-stores.ts';
import { MemorySriovCni } from './sriov-cni.ts';

export const DATA_DIR = '/var/lib/cni/networks';

export interface PodNode {
  readonly world: World;
  readonly kernel: FakeKernel;
  readonly clock: ManualClock;
  readonly records: MemoryRecordStore;
  readonly reservations: MemoryReservations;
  readonly owned: MemoryOwnedAddresses;
  readonly sriovCni: MemorySriovCni;
  /** What the agent executes by itself. */
  readonly ipam: MemoryIpam;
  readonly vfs: readonly WorldVf[];
  /** The VF with that index; throws when there is none. */
  device(index: number): WorldVf;
  engine: AttachmentEngine;
  podDevices: PodDevices | undefined;
  allocation: AllocationMode;
  /** Devices of pools. */
  readonly offered: Set<string>;
  /** What uplinks are chosen from by what they are. */
  inventory: Inventory | undefined;
  /** Slots whose ids do not tell their uplinks. */
  readonly slots: Map<string, { uplink: string; mode?: MacvlanMode }>;
  policy: DevicePolicy | undefined;
  isShimBeingRemoved: boolean;
  bootId: string;
  /** Drops the engine as `kill -9` does, and starts another on what it left. */
  restart(): AttachmentEngine;
  attach(container: string, link: LinkSpec, options?: AttachOptions): Promise<AttachResult>;
  detach(
    container: string,
    options?: {
      ifname?: string;
      path?: string;
      signal?: AbortSignal;
      ipamPrograms?: IpamPrograms;
      predecessor?: Predecessor;
    },
  ): Promise<void>;
  /** Opens the container's sandbox as a front end does; to be closed. */
  openSandbox(container: string): FakeNamespace;
  /** Everything that an undone attachment must leave as it found it, as text. */
  snapshot(): string;
}

export interface AttachOptions {
  readonly ifname?: string;
  readonly path?: string;
  readonly pod?: PodIdentity;
  readonly ipam?: IpamSpec | null;
  readonly signal?: AbortSignal;
  readonly ipamPrograms?: IpamPrograms;
  readonly detectDuplicates?: boolean;
}

const never = new AbortController().signal;
const EMPTY_INVENTORY: Inventory = { node: { name: 'node' }, nics: [], virtual: [], findings: [], unread: [] };

export function createPodNode(options: { vfAddresses?: readonly string[]; withSettings?: boolean } = {}): PodNode {
  const world = new World();
  const kernel = new FakeKernel(world);
  world.addLink(world.host, {
    name: 'eth0',
    up: true,
    carrier: true,
    altnames: ['lan'],
    routes: [{ dst: '0.0.0.0/0', gateway: '192.0.2.1' }],
    addresses: [{ address: '192.0.2.10/24', family: 4, scope: 'global', tentative: false, dadFailed: false }],
  });
  world.addLink(world.host, { name: 'eth1', up: true, carrier: true });
  const vfs = world.addNic('pf0', '41', 4, {
    ...(options.vfAddresses === undefined ? {} : { addresses: options.vfAddresses }),
    ...(options.withSettings === undefined ? {} : { withSettings: options.withSettings }),
  });
  const records = new MemoryRecordStore();
  const reservations = new MemoryReservations();
  const owned = new MemoryOwnedAddresses();
  const ipam = new MemoryIpam();
  const sriovCni = new MemorySriovCni();
  const clock = new ManualClock();
  const start = (): AttachmentEngine =>
    createAttachments({
      kernel,
      records,
      reservations,
      ownedAddresses: owned,
      ipamPrograms: ipam,
      sriovCni,
      podDevices: {
        holders: async () => node.podDevices?.holders(),
        lists: async (pod) => (await node.podDevices?.lists(pod)) ?? false,
        onAnswer: () => () => undefined,
        listsAny: async () => (await node.podDevices?.listsAny()) ?? false,
        manages: async (device) => (await node.podDevices?.manages(device)) ?? false,
        isThere: () => node.podDevices !== undefined,
      },
      offers: (device) => node.offered.has(device),
      allocation: () => node.allocation,
      inventory: () => node.inventory ?? EMPTY_INVENTORY,
      slotNamed: (id) => node.slots.get(id),
      policy: { admit: (use) => node.policy?.admit(use) },
      isShimBeingRemoved: () => node.isShimBeingRemoved,
      clock,
      log: silentLogger,
      bootId: node.bootId,
    });
  const node: PodNode = {
    world,
    kernel,
    clock,
    records,
    reservations,
    owned,
    ipam,
    sriovCni,
    vfs,
    device: (index) => {
      const found = vfs[index];
      if (found === undefined) throw new Error(`there is no VF ${index}`);
      return found;
    },
    engine: undefined as never,
    podDevices: undefined,
    allocation: 'enforce',
    offered: new Set(),
    inventory: undefined,
    slots: new Map(),
    policy: undefined,
    isShimBeingRemoved: false,
    bootId: 'boot-1',
    restart: () => {
      kernel.intercept(undefined);
      node.engine = start();
      return node.engine;
    },
    attach: async (container, link, attachOptions = {}) => {
      const path = attachOptions.path ?? `/run/netns/${container}`;
      if (!world.paths.has(path)) world.addSandbox(path);
      const sandbox = kernel.openUnwatched(path) as FakeNamespace;
      const ipam = attachOptions.ipam === undefined ? hostLocal() : attachOptions.ipam;
      const request: AttachRequest = {
        key: { containerId: parseContainerId(container), ifname: parseIfName(attachOptions.ifname ?? 'net1') },
        network: parseNetworkName('net-a'),
        sandbox,
        sandboxPath: path,
        link,
        ...(ipam === null ? {} : { ipam }),
        ...(attachOptions.pod === undefined ? {} : { pod: attachOptions.pod }),
        ...(attachOptions.detectDuplicates === undefined ? {} : { detectDuplicates: attachOptions.detectDuplicates }),
      };
      try {
        return await node.engine.attach(request, {
          requestId: `add-${container}`,
          signal: attachOptions.signal ?? never,
          ...(attachOptions.ipamPrograms === undefined ? {} : { ipamPrograms: attachOptions.ipamPrograms }),
        });
      } finally {
        sandbox.close();
      }
    },
    detach: async (container, detachOptions = {}) => {
      const sandbox = kernel.openUnwatched(detachOptions.path ?? `/run/netns/${container}`);
      try {
        await node.engine.detach(
          { containerId: parseContainerId(container), ifname: parseIfName(detachOptions.ifname ?? 'net1') },
          sandbox,
          {
            requestId: `del-${container}`,
            signal: detachOptions.signal ?? never,
            ...(detachOptions.predecessor === undefined ? {} : { predecessor: detachOptions.predecessor }),
            ...(detachOptions.ipamPrograms === undefined ? {} : { ipamPrograms: detachOptions.ipamPrograms }),
          },
        );
      } finally {
        sandbox?.close();
      }
    },
    openSandbox: (container) => {
      const sandbox = kernel.openUnwatched(`/run/netns/${container}`);
      if (sandbox === undefined) throw new Error(`${container} has no sandbox`);
      return sandbox;
    },
    snapshot: () => snapshot(node),
  };
  node.engine = start();
  return node;
}

export function hostLocal(
  subnet = '10.1.0.0/24',
  routes: readonly { dst: string }[] = [{ dst: '0.0.0.0/0' }],
): IpamSpec {
  return { type: 'host-local', rangeSets: [[{ subnet }]], routes, dataDir: DATA_DIR, requested: [], dns: {} };
}

export function macvlan(spec: Partial<MacvlanLinkSpec> = {}): MacvlanLinkSpec {
  return { kind: 'macvlan', uplink: 'eth1', mode: 'bridge', ...spec };
}

export function ipvlan(spec: Partial<IpvlanLinkSpec> = {}): IpvlanLinkSpec {
  return { kind: 'ipvlan', uplink: 'eth1', mode: 'l2', flag: 'bridge', ...spec };
}

export function hostDevice(device: HostDeviceName = { by: 'name', name: 'nic0' }): HostDeviceLinkSpec {
  return { kind: 'host-device', device };
}

export function macvtap(spec: Partial<MacvtapLinkSpec> = {}): MacvtapLinkSpec {
  return { kind: 'macvtap', uplink: 'eth1', owner: { uid: 107, gid: 107 }, ...spec };
}

export function vlan(spec: Partial<VlanLinkSpec> = {}): VlanLinkSpec {
  return { kind: 'vlan', uplink: 'eth1', vlanId: 7, ...spec };
}

export function vf(device: WorldVf, spec: Partial<VfLinkSpec> = {}): VfLinkSpec {
  return { kind: 'vf', device: device.address, ...spec };
}

function snapshot(node: PodNode): string {
  const { world } = node;
  const lines: string[] = [];
  for (const [where, namespace] of [
    ['node', world.host] as const,
    ...[...world.paths].sort(([a], [b]) => a.localeCompare(b)),
  ]) {
    for (const link of [...namespace.links.values()].sort((a, b) => a.name.localeCompare(b.name))) {
      const { name, kind, mac, mtu, up, alias, pci } = link;
      lines.push(
        `${where} ${name} ${kind ?? '-'} ${pci ?? '-'} ${mac} ${mtu} ${up ? 'up' : 'down'} ${alias ?? ''} ${link.addresses.map((entry) => entry.address).join(',')}`,
      );
    }
  }
  for (const each of world.vfs.values())
    lines.push(`${each.address} ${JSON.stringify(each.settings, Object.keys(each.settings ?? {}).sort())}`);
  for (const [name, { at }] of world.rdma) lines.push(`${name} ${at === world.host ? 'on the node' : 'away'}`);
  lines.push(
    `records ${[...node.records.files.keys()].join(',')}`,
    `reserved ${node.reservations.reserved().join(',')}`,
    `notes ${[...node.owned.notes.keys()].join(',')}`,
    `delegated ${[...node.ipam.given.keys()].join(',')}`,
  );
  return lines.join('\n');
}
