/**
 * The environment variables that tell a container which devices it has, by the names and in the
 * form that the SR-IOV network device plugin made customary, so that workloads need no change.
 */
import type { PoolFunction, PoolSpec } from '../engine/pools/model.ts';

/** A device that is being given to a container. */
export interface GivenDevice {
  readonly id: string;
  /** Set for VFs and other PCI functions. */
  readonly function?: PoolFunction;
  /** Character devices of its RDMA device, where the pool promises them. */
  readonly rdma?: readonly string[];
}

/** The container device of vfio, which every group needs besides its own. */
export const VFIO_CONTAINER = '/dev/vfio/vfio';

/** `PCIDEVICE_<PREFIX>_<NAME>` for `prefix/name`: upper case, with `_` for `.` and `/`; a `-` stays. */
export function variableName(resource: string): string {
  return `PCIDEVICE_${resource.replace('/', '_').replaceAll('.', '_').toUpperCase()}`;
}

/**
 * The variables of one pool in one container: the ids joined by commas, and for PCI functions `<name>_INFO`
 * with JSON by PCI address. A name that has a `-`, which no shell can read, is given with `_` too,
 * unless the pool keeps hyphens.
 */
export function environmentOf(spec: PoolSpec, devices: readonly GivenDevice[]): Record<string, string> {
  const name = variableName(spec.resource);
  const values: [string, string][] = [[name, devices.map(({ id }) => id).join(',')]];
  if (spec.kind === 'vf') {
    const info = Object.fromEntries(devices.map((device) => [device.id, infoOf(device, extraOf(spec, device.id))]));
    values.push([`${name}_INFO`, JSON.stringify(info)]);
  }
  if (spec.kind === 'vf' && spec.hyphens === 'kept') return Object.fromEntries(values);
  const readable = values.map(([key, value]): [string, string] => [key.replaceAll('-', '_'), value]);
  return Object.fromEntries([...readable, ...values]);
}

function extraOf(spec: Extract<PoolSpec, { kind: 'vf' }>, id: string): Readonly<Record<string, string>> {
  return { ...spec.additionalInfo['*'], ...spec.additionalInfo[id] };
}

function infoOf(device: GivenDevice, extra: Readonly<Record<string, string>>): object {
  const nodes = device.function?.pci.deviceNodes ?? {};
  return {
    generic: { deviceID: device.id },
    ...(nodes.vfio === undefined ? {} : { vfio: { 'dev-mount': nodes.vfio, mount: VFIO_CONTAINER } }),
    ...(nodes.uio === undefined ? {} : { uio: { mount: nodes.uio } }),
    ...(device.rdma === undefined ? {} : { rdma: rdmaInfo(device.rdma) }),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
}

const RDMA_KEYS = ['uverbs', 'umad', 'issm', 'rdma_cm'] as const;

/** `/dev/infiniband/uverbs0` under `uverbs`, and so on. */
function rdmaInfo(nodes: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    RDMA_KEYS.flatMap((key) => {
      const node = nodes.find((path) => path.startsWith(`/dev/infiniband/${key}`));
      return node === undefined ? [] : [[key, node]];
    }),
  );
}
