/**
 * The cluster as the dashboard shows it: each node as far as its object carries it, and how the
 * connection to the API server stands. Pure data; parts that did not change keep their identity, so
 * that a change is what differs by `===`. Objects are read in `src/kubernetes/inventory-reading.ts`.
 */
import type { FeedDevice, FeedScalable } from '../feed/document.ts';
import type { Finding, Inventory, Netdev } from '../inventory/model.ts';
import { isSame } from '../inventory/share.ts';
import type { PciAddress } from '../values.ts';
import type { DeviceOwner } from '../view.ts';

type FeedVf = Extract<FeedDevice, { readonly pf: unknown }>;
type FeedNic = Exclude<FeedDevice, { readonly pf: unknown }>;

/** Of a device the facts that are always known, and any others; what is absent was not told. */
type Sparse<Device extends FeedDevice, Known extends keyof Device> = Pick<Device, Known> &
  Partial<Omit<Device, Known | 'netdev' | 'owner' | 'scalable'>> & {
    readonly netdev?: Partial<Netdev>;
    readonly owner?: Partial<DeviceOwner>;
  };

/** A scalable function, as an entry of its NIC's. */
export type SparseScalable = Pick<FeedScalable, 'name' | 'sfnum' | 'parent' | 'state'> &
  Partial<Omit<FeedScalable, 'owner'>> & { readonly owner?: Partial<DeviceOwner> };

export type SparseNic = Sparse<FeedNic, 'address' | 'state'> & { readonly scalable?: readonly SparseScalable[] };
export type SparseVf = Sparse<FeedVf, 'address' | 'state' | 'pf' | 'index'>;

/** A NIC or VF of which few facts may be known; every {@link FeedDevice} is one. */
export type SparseDevice = SparseNic | SparseVf;

/** How the dashboard stands with the API server. */
export interface ClusterConnection {
  /** `live`: what is shown is so. `lost`: it was so at `seenAt`. `connecting`: nothing was seen yet. */
  readonly state: 'connecting' | 'live' | 'lost';
  /** RFC 3339, when it came to stand so. */
  readonly since: string;
  /** RFC 3339, the last word of the API server; absent while live, and before the first. */
  readonly seenAt?: string;
  /** Why it is lost. */
  readonly problem?: ConnectionProblem;
}

export interface ConnectionProblem {
  /** Its section in docs/troubleshooting.md. */
  readonly reason: string;
  readonly message: string;
  readonly remedy: string;
}

/** What the kubeconfig calls it, and where it is. */
export interface ClusterIdentity {
  readonly context: string;
  readonly server: string;
}

export interface ClusterResource {
  readonly name: string;
  readonly devices: number;
  readonly healthy: number;
  /** Whether kubelet knows it. */
  readonly registered: boolean;
  readonly reasons: readonly string[];
}

/** A condition of the object (meta/v1, Condition). */
export interface ClusterCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
}

/** Everything about a node but its devices. */
export interface ClusterNodeFacts {
  readonly name: string;
  readonly node: Partial<Inventory['node']>;
  readonly agentVersion?: string;
  readonly resources: readonly ClusterResource[];
  readonly conditions: readonly ClusterCondition[];
  readonly findings: readonly Finding[];
  /** Findings that the node has; the object holds the first hundred. */
  readonly findingsTotal: number;
  /** RFC 3339, the agent's last write, as far as the API server tells. */
  readonly writtenAt?: string;
  /** Who else wrote to what the agent writes, newest first (managedFields). */
  readonly alsoWrittenBy: readonly { readonly manager: string; readonly at?: string }[];
  /** What of the object cannot be used, and where; such an object was edited or is of another release. */
  readonly damage: readonly string[];
}

export interface ClusterNode {
  readonly facts: ClusterNodeFacts;
  /** NICs in the object's order, each followed by its VFs. */
  readonly devices: ReadonlyMap<PciAddress, SparseDevice>;
}

export interface ClusterDocument {
  readonly identity: ClusterIdentity;
  readonly connection: ClusterConnection;
  readonly nodes: ReadonlyMap<string, ClusterNode>;
  /** Objects without a name that a node can have. */
  readonly nameless: number;
}

/** What is other on one node; a device that is gone is `null`. */
export interface ClusterNodeChange {
  readonly facts?: ClusterNodeFacts;
  readonly devices?: Readonly<Record<PciAddress, SparseDevice | null>>;
}

/** What is other in the cluster; a node that is gone is `null`. */
export interface ClusterChange {
  readonly connection?: ClusterConnection;
  readonly nodes?: Readonly<Record<string, ClusterNodeChange | null>>;
  readonly nameless?: number;
}

/** `next` with every part that equals its counterpart in `previous` replaced by that; `previous` itself when all do. */
export function shareNode(previous: ClusterNode | undefined, next: ClusterNode): ClusterNode {
  if (previous === undefined) return next;
  const devices = new Map<PciAddress, SparseDevice>();
  let isOther = previous.devices.size !== next.devices.size;
  for (const [address, device] of next.devices) {
    const before = previous.devices.get(address);
    const kept = before !== undefined && isSame(before, device) ? before : device;
    if (kept !== before) isOther = true;
    devices.set(address, kept);
  }
  const facts = isSame(previous.facts, next.facts) ? previous.facts : next.facts;
  if (!isOther && facts === previous.facts) return previous;
  return { facts, devices: isOther ? devices : previous.devices };
}

/** `undefined` when nothing differs. */
export function clusterChange(before: ClusterDocument, now: ClusterDocument): ClusterChange | undefined {
  const nodes: Record<string, ClusterNodeChange | null> = {};
  if (before.nodes !== now.nodes) {
    for (const [name, node] of now.nodes) {
      const change = nodeChange(before.nodes.get(name), node);
      if (change !== undefined) nodes[name] = change;
    }
    for (const name of before.nodes.keys()) if (!now.nodes.has(name)) nodes[name] = null;
  }
  const change: ClusterChange = {
    ...(isSame(before.connection, now.connection) ? {} : { connection: now.connection }),
    ...(Object.keys(nodes).length === 0 ? {} : { nodes }),
    ...(before.nameless === now.nameless ? {} : { nameless: now.nameless }),
  };
  return Object.keys(change).length === 0 ? undefined : change;
}

function nodeChange(before: ClusterNode | undefined, now: ClusterNode): ClusterNodeChange | undefined {
  if (before === now) return undefined;
  const devices: Record<PciAddress, SparseDevice | null> = {};
  for (const [address, device] of now.devices) {
    if (before?.devices.get(address) !== device) devices[address] = device;
  }
  for (const address of before?.devices.keys() ?? []) if (!now.devices.has(address)) devices[address] = null;
  return {
    ...(before?.facts === now.facts ? {} : { facts: now.facts }),
    ...(Object.keys(devices).length === 0 ? {} : { devices }),
  };
}
