/**
 * A node's inventory as an object of the cluster. It holds what changes when somebody does something,
 * and nothing that changes by itself (counters, ages, memory): the object is written for each change.
 * Its schema is deploy/components/cluster-inventory/crd.yaml; a test holds the two together.
 */

import type { Nic, ScalableFunction, Vf } from '../engine/inventory/model.ts';
import { type DeviceState, standingOf } from '../engine/inventory-view.ts';
import type { AgentStatus, InventoryView, ResourceStatus } from '../engine/view.ts';
import type { Condition } from './conditions.ts';
import type { NodeOwner } from './node-owner.ts';
import { present } from './present.ts';

export const INVENTORY_GROUP = 'berth.dev';
export const INVENTORY_VERSION = 'v1alpha1';
export const INVENTORY_PLURAL = 'nodenetworkinventories';

/** What is beyond is counted and left out: an object has room for 1.5 MB (etcd). */
const MOST_FINDINGS = 100;
const MOST_REASONS = 5;

export interface NodeNetworkInventory {
  readonly apiVersion: string;
  readonly kind: 'NodeNetworkInventory';
  /** The Node, once its uid is known. */
  readonly metadata: { readonly name: string; readonly ownerReferences?: readonly NodeOwner[] };
  readonly status: InventoryStatus;
}

export interface InventoryStatus {
  readonly agentVersion: string;
  readonly node: {
    readonly kernel?: string;
    readonly architecture?: string;
    readonly machine?: string;
    readonly numaNodes?: readonly number[];
    readonly iommu?: boolean;
  };
  /** For the columns that kubectl prints. */
  readonly summary: Readonly<Record<DeviceState | 'nics' | 'vfs' | 'findings', number>>;
  readonly resources: readonly ResourceEntry[];
  readonly nics: readonly NicEntry[];
  readonly findings: readonly FindingEntry[];
  readonly conditions: readonly Condition[];
}

export interface ResourceEntry {
  readonly name: string;
  readonly devices: number;
  readonly healthy: number;
  readonly registered: boolean;
  readonly reasons?: readonly string[];
}

interface StandingEntry {
  readonly state: DeviceState;
  readonly ifname?: string;
  readonly driver?: string;
  readonly resource?: string;
  /** `namespace/name` */
  readonly pod?: string;
  readonly podIfname?: string;
  /** Why it is broken. */
  readonly reason?: string;
}

interface DeviceEntry extends StandingEntry {
  readonly address: string;
}

export interface NicEntry extends DeviceEntry {
  readonly name?: string;
  readonly serial?: string;
  readonly mac?: string;
  readonly numaNode?: number;
  readonly firmware?: string;
  readonly speedMbps?: number;
  readonly mtu?: number;
  readonly up?: boolean;
  readonly carrier?: boolean;
  readonly totalVfs?: number;
  readonly numVfs?: number;
  readonly vfs?: readonly VfEntry[];
  readonly scalable?: readonly ScalableEntry[];
}

export interface VfEntry extends DeviceEntry {
  readonly index: number;
  /** What its PF set, or its own; absent when the PF set none and it is in a pod. */
  readonly mac?: string;
}

export interface ScalableEntry extends StandingEntry {
  /** On the auxiliary bus, as kubelet knows it. */
  readonly name: string;
  readonly sfnum: number;
  /** PCI address of the VF that it lies below; absent when that is the NIC. */
  readonly parent?: string;
}

export interface FindingEntry {
  readonly id: string;
  readonly severity: string;
  readonly subject: string;
  readonly evidence: string;
  readonly remedy: string;
}

/** Pure: the same facts give the same object. */
export function inventoryObject(
  view: InventoryView,
  status: AgentStatus,
  conditions: readonly Condition[],
): NodeNetworkInventory {
  const { node, nics, findings } = view.inventory;
  const ids = nics.flatMap(({ address, scalable = [], vfs }) => [
    address,
    ...vfs.map((vf) => vf.address),
    ...scalable.map(({ name }) => name),
  ]);
  const states = ids.map((id) => standingOf(id, view).state);
  const counted = (state: DeviceState): number => states.filter((each) => each === state).length;
  return {
    apiVersion: `${INVENTORY_GROUP}/${INVENTORY_VERSION}`,
    kind: 'NodeNetworkInventory',
    metadata: { name: node.name },
    status: {
      agentVersion: status.version,
      node: present({
        kernel: node.kernel,
        architecture: node.architecture,
        machine: node.machine,
        numaNodes: node.numaNodes,
        iommu: node.iommu,
      }),
      summary: {
        nics: nics.length,
        vfs: nics.reduce((sum, { vfs }) => sum + vfs.length, 0),
        free: counted('free'),
        taken: counted('taken'),
        broken: counted('broken'),
        unused: counted('unused'),
        findings: findings.length,
      },
      resources: status.resources.filter(isOffered).map(({ resource, devices, healthy, registered, reasons }) => ({
        name: resource,
        devices,
        healthy,
        registered,
        ...(reasons.length === 0 ? {} : { reasons: reasons.slice(0, MOST_REASONS) }),
      })),
      nics: nics.map((nic) => nicEntry(nic, view)),
      findings: findings
        .slice(0, MOST_FINDINGS)
        .map(({ id, severity, subject, evidence, remedy }) => ({ id, severity, subject, evidence, remedy })),
      conditions,
    },
  };
}

/** Built-in resources for which a node has no device are nobody's concern. */
function isOffered({ devices, registered }: ResourceStatus): boolean {
  return devices > 0 || registered;
}

function nicEntry(nic: Nic, view: InventoryView): NicEntry {
  const { netdev, sriov } = nic;
  return {
    ...deviceEntry(nic, view),
    ...present({
      name: [nic.vendorName, nic.deviceName].filter((part) => part !== undefined).join(' ') || undefined,
      serial: nic.serial,
      mac: netdev?.permanentMac ?? netdev?.mac,
      numaNode: nic.numaNode,
      firmware: nic.firmware,
      speedMbps: netdev?.speedMbps,
      mtu: netdev?.mtuBytes,
      up: netdev?.adminUp,
      carrier: netdev?.carrier,
      totalVfs: sriov?.totalVfs,
      numVfs: sriov?.numVfs,
    }),
    ...(nic.vfs.length === 0 ? {} : { vfs: nic.vfs.map((vf) => vfEntry(vf, view)) }),
    ...present({ scalable: nic.scalable?.map((sf) => scalableEntry(sf, nic, view)) }),
  };
}

function vfEntry(vf: Vf, view: InventoryView): VfEntry {
  const { adminMac } = vf.settings ?? {};
  const mac = adminMac === undefined || /^[0:]+$/.test(adminMac) ? vf.netdev?.mac : adminMac;
  return { index: vf.index, ...deviceEntry(vf, view), ...present({ mac }) };
}

function scalableEntry(sf: ScalableFunction, { address }: Nic, view: InventoryView): ScalableEntry {
  const { name, parent, sfnum } = sf;
  return { name, sfnum, ...(parent === address ? {} : { parent }), ...standingEntry(name, sf, view) };
}

function deviceEntry(device: Nic | Vf, view: InventoryView): DeviceEntry {
  return { address: device.address, ...standingEntry(device.address, device, view) };
}

function standingEntry(id: string, device: Nic | Vf | ScalableFunction, view: InventoryView): StandingEntry {
  const { allocation, owner, pool, problem, state } = standingOf(id, view);
  return {
    state,
    ...present({
      ifname: device.ifname,
      driver: device.driver,
      resource: pool,
      pod: owner?.pod ?? allocation?.pod,
      podIfname: owner?.ifname,
      reason: problem,
    }),
  };
}
