/**
 * A `NodeNetworkInventory` as the API server has it, into what the dashboard shows. Anybody with the
 * right may have edited the object, and another release may have written it: what cannot be used is
 * left out and named, and the rest is shown. Nothing here throws.
 */
import type {
  ClusterCondition,
  ClusterNode,
  ClusterNodeFacts,
  ClusterResource,
  SparseDevice,
  SparseNic,
  SparseScalable,
  SparseVf,
} from '../engine/cluster/document.ts';
import type { Finding, Inventory, Netdev } from '../engine/inventory/model.ts';
import { isScalableName } from '../engine/pools/holds.ts';
import { asIfName, asMacAddress, asPciAddress, type PciAddress } from '../engine/values.ts';
import { FieldReader, type Fields } from './field-reader.ts';
import { INVENTORY_GROUP, INVENTORY_VERSION } from './inventory-object.ts';
import { present } from './present.ts';

/** A name of an object (RFC 1123 subdomain, "Object Names and IDs"). */
const OBJECT_NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const STATES = ['taken', 'broken', 'free', 'unused'] as const;
const SEVERITIES = ['error', 'warning', 'info'] as const;
/** What applies objects for the agent (server-side apply). */
const AGENT_MANAGER = 'berth';

/** `undefined` when it has no name that an object can have. */
export function readInventoryObject(value: unknown): ClusterNode | undefined {
  const read = new FieldReader();
  const object = read.fields(value, '');
  const metadata = read.optionalFields(object, 'metadata', '');
  const name = metadata.name;
  if (typeof name !== 'string' || !OBJECT_NAME.test(name)) return undefined;
  const version = object.apiVersion;
  if (version !== undefined && version !== `${INVENTORY_GROUP}/${INVENTORY_VERSION}`) {
    read.damaged('apiVersion', `is ${JSON.stringify(version).slice(0, 60)}`);
  }
  if (object.status === undefined) read.damaged('status', 'is missing: no agent has written it yet');
  const status = read.optionalFields(object, 'status', '');
  const devices = readDevices(status, read);
  return { facts: readFacts(name, metadata, status, read), devices };
}

function readFacts(name: string, metadata: Fields, status: Fields, read: FieldReader): ClusterNodeFacts {
  const findings = read.entries(status, 'findings', 'status', readFinding);
  const resources = read.entries(status, 'resources', 'status', readResource);
  const conditions = read.entries(status, 'conditions', 'status', readCondition);
  const summary = read.optionalFields(status, 'summary', 'status');
  const total = read.count(summary, 'findings', 'status.summary');
  const agentVersion = read.text(status, 'agentVersion', 'status');
  const { writtenAt, alsoWrittenBy } = readWriters(metadata);
  return {
    name,
    node: readNode(read.optionalFields(status, 'node', 'status'), read),
    ...present({ agentVersion, writtenAt }),
    resources,
    conditions,
    findings,
    findingsTotal: Math.max(total ?? 0, findings.length),
    alsoWrittenBy,
    damage: read.damage(),
  };
}

function readNode(node: Fields, read: FieldReader): Partial<Inventory['node']> {
  const at = 'status.node';
  return present({
    kernel: read.text(node, 'kernel', at),
    architecture: read.text(node, 'architecture', at),
    machine: read.text(node, 'machine', at),
    numaNodes: read.numbers(node, 'numaNodes', at),
    iommu: read.flag(node, 'iommu', at),
  });
}

function readResource(entry: Fields, at: string, read: FieldReader): ClusterResource | undefined {
  const name = read.required(read.text(entry, 'name', at), entry, 'name', at);
  if (name === undefined) return undefined;
  return {
    name,
    devices: read.count(entry, 'devices', at) ?? 0,
    healthy: read.count(entry, 'healthy', at) ?? 0,
    registered: read.flag(entry, 'registered', at) ?? false,
    reasons: read.texts(entry, 'reasons', at),
  };
}

function readCondition(entry: Fields, at: string, read: FieldReader): ClusterCondition | undefined {
  const type = read.required(read.text(entry, 'type', at), entry, 'type', at);
  const status = read.required(read.text(entry, 'status', at), entry, 'status', at);
  if (type === undefined || status === undefined) return undefined;
  return {
    type,
    status,
    reason: read.text(entry, 'reason', at) ?? '',
    message: read.text(entry, 'message', at) ?? '',
    lastTransitionTime: read.text(entry, 'lastTransitionTime', at) ?? '',
  };
}

function readFinding(entry: Fields, at: string, read: FieldReader): Finding | undefined {
  const id = read.required(read.text(entry, 'id', at), entry, 'id', at);
  const severity = read.required(read.oneOf(entry, 'severity', at, SEVERITIES), entry, 'severity', at);
  if (id === undefined || severity === undefined) return undefined;
  return {
    id,
    severity,
    subject: read.text(entry, 'subject', at) ?? '',
    evidence: read.text(entry, 'evidence', at) ?? '',
    remedy: read.text(entry, 'remedy', at) ?? '',
  };
}

function readDevices(status: Fields, read: FieldReader): ReadonlyMap<PciAddress, SparseDevice> {
  const devices = new Map<PciAddress, SparseDevice>();
  const add = (device: SparseDevice, at: string): void => {
    if (devices.has(device.address)) read.damaged(`${at}.address`, `${device.address} is there twice`);
    else devices.set(device.address, device);
  };
  read.entries(status, 'nics', 'status', (entry, at) => {
    const nic = readNic(entry, at, read);
    if (nic === undefined) return undefined;
    add(nic, at);
    read.entries(entry, 'vfs', at, (vf, place) => {
      const found = readVf(vf, place, nic.address, read);
      if (found !== undefined) add(found, place);
      return undefined;
    });
    return undefined;
  });
  return devices;
}

function readNic(entry: Fields, at: string, read: FieldReader): SparseNic | undefined {
  const common = readDevice(entry, at, read);
  if (common === undefined) return undefined;
  const totalVfs = read.count(entry, 'totalVfs', at);
  const numVfs = read.count(entry, 'numVfs', at);
  const scalable = readScalable(entry, at, common.address, read);
  const netdev: Partial<Netdev> = present({
    permanentMac: read.parsed(entry, 'mac', at, asMacAddress),
    speedMbps: read.count(entry, 'speedMbps', at),
    mtuBytes: read.count(entry, 'mtu', at),
    adminUp: read.flag(entry, 'up', at),
    carrier: read.flag(entry, 'carrier', at),
  });
  return {
    ...common,
    ...present({
      deviceName: read.text(entry, 'name', at),
      serial: read.text(entry, 'serial', at),
      numaNode: read.count(entry, 'numaNode', at),
      firmware: read.text(entry, 'firmware', at),
    }),
    ...(Object.keys(netdev).length === 0 ? {} : { netdev }),
    ...(totalVfs === undefined ? {} : { sriov: { totalVfs, numVfs: numVfs ?? 0 } }),
    ...(scalable.length === 0 ? {} : { scalable }),
  };
}

function readVf(entry: Fields, at: string, pf: PciAddress, read: FieldReader): SparseVf | undefined {
  const common = readDevice(entry, at, read);
  const index = read.required(read.count(entry, 'index', at), entry, 'index', at);
  if (common === undefined || index === undefined) return undefined;
  const mac = read.parsed(entry, 'mac', at, asMacAddress);
  return { ...common, pf, index, ...(mac === undefined ? {} : { netdev: { mac } }) };
}

function readScalable(nic: Fields, at: string, address: PciAddress, read: FieldReader): readonly SparseScalable[] {
  const found = new Map<string, SparseScalable>();
  read.entries(nic, 'scalable', at, (entry, place) => {
    const name = read.required(read.parsed(entry, 'name', place, asScalableName), entry, 'name', place);
    const sfnum = read.required(read.count(entry, 'sfnum', place), entry, 'sfnum', place);
    if (name === undefined || sfnum === undefined) return undefined;
    const parent = read.parsed(entry, 'parent', place, asPciAddress) ?? address;
    if (found.has(name)) read.damaged(`${place}.name`, `${name} is there twice`);
    else found.set(name, { name, sfnum, parent, ...readStanding(entry, place, read) });
    return undefined;
  });
  return [...found.values()];
}

function asScalableName(text: string): string | undefined {
  return isScalableName(text) ? text : undefined;
}

function readDevice(entry: Fields, at: string, read: FieldReader): SparseNic | undefined {
  const address = read.required(read.parsed(entry, 'address', at, asPciAddress), entry, 'address', at);
  return address === undefined ? undefined : { address, ...readStanding(entry, at, read) };
}

function readStanding(entry: Fields, at: string, read: FieldReader): Omit<SparseVf, 'address' | 'pf' | 'index'> {
  const told = read.oneOf(entry, 'state', at, STATES);
  const pod = read.text(entry, 'pod', at);
  const ifname = read.text(entry, 'podIfname', at);
  const reason = read.text(entry, 'reason', at);
  // A device whose state cannot be read must not look as if it could be had.
  const state = told ?? 'broken';
  const problem = told === undefined ? 'its state in the object cannot be read' : reason;
  return {
    state,
    ...present({
      ifname: read.parsed(entry, 'ifname', at, asIfName),
      driver: read.text(entry, 'driver', at),
      pool: read.text(entry, 'resource', at),
      problem,
    }),
    ...(pod === undefined && ifname === undefined ? {} : { owner: present({ pod, ifname }) }),
  };
}

/** From `managedFields`, which the API server keeps; without it nobody is known to have written. */
function readWriters({ managedFields }: Fields): Pick<ClusterNodeFacts, 'writtenAt' | 'alsoWrittenBy'> {
  const writers = (Array.isArray(managedFields) ? managedFields : []).flatMap((entry: unknown) => {
    const { manager, time, fieldsV1 } = (typeof entry === 'object' && entry !== null ? entry : {}) as Fields;
    const isOfStatus = typeof fieldsV1 === 'object' && fieldsV1 !== null && 'f:status' in fieldsV1;
    if (typeof manager !== 'string' || !isOfStatus) return [];
    return [{ manager: manager.slice(0, 100), ...(isTime(time) ? { at: time } : {}) }];
  });
  const agent = writers.find(({ manager }) => manager === AGENT_MANAGER);
  const others = writers.filter(({ manager }) => manager !== AGENT_MANAGER);
  return {
    ...(agent?.at === undefined ? {} : { writtenAt: agent.at }),
    alsoWrittenBy: others.toSorted((one, other) => (other.at ?? '').localeCompare(one.at ?? '')).slice(0, 5),
  };
}

function isTime(value: unknown): value is string {
  return typeof value === 'string' && value.length < 40 && !Number.isNaN(Date.parse(value));
}
