/**
 * What a container gets with its devices: environment and device nodes. An error rejects the pod
 * for good, so it is thrown only where the container would get a wrong device or one it cannot use.
 */
import { BerthError } from '../engine/errors.ts';
import type { PoolFunction, PoolSpec, PoolState } from '../engine/pools/model.ts';
import type { PoolSet } from '../engine/pools/pool-set.ts';
import { selectorOf } from '../engine/pools/selectors.ts';
import { isUserspace } from '../engine/pools/userspace.ts';
import { environmentOf, type GivenDevice, VFIO_CONTAINER } from './environment.ts';
import type { ContainerAllocateResponse, DeviceSpec } from './gen/deviceplugin/v1beta1/device_plugin.ts';

/**
 * The devices of a request as the pool knows them now, in the order of their ids. Throws `NotFound`
 * (`device-unknown`), and `Unsupported` (`device-node-missing`) for a device whose RDMA device is away.
 */
export function resolveDevices(
  pools: Pick<PoolSet, 'functionAt'>,
  state: PoolState,
  ids: readonly string[],
): readonly GivenDevice[] {
  const offered = new Map(state.devices.map((device) => [device.id, device]));
  return ids.toSorted().map((id): GivenDevice => {
    const device = offered.get(id);
    if (device === undefined) throw unknownDevice(state, id, 'is not in the pool');
    if (device.pci === undefined) return { id };
    const found = pools.functionAt(device.pci);
    if (found === undefined) throw unknownDevice(state, id, 'is gone from the node');
    const rdma = rdmaOf(state.spec, id, found);
    return { id, function: found, ...(rdma === undefined ? {} : { rdma }) };
  });
}

/** What the selector promises that brought the device into the pool. */
function rdmaOf(spec: PoolSpec, id: string, given: PoolFunction): readonly string[] | undefined {
  if (spec.kind !== 'vf' || selectorOf(spec, given)?.isRdma !== true) return undefined;
  const { rdma } = given.pci.deviceNodes;
  if (rdma !== undefined) return rdma;
  throw new BerthError({
    code: 'Unsupported',
    reason: 'device-node-missing',
    message: `device ${id} is given with RDMA, but its RDMA device is not on the node`,
    remedy: 'Wait until the pod that has it in exclusive mode is gone, and create the pod again.',
  });
}

function unknownDevice({ spec }: PoolState, id: string, why: string): BerthError {
  return new BerthError({
    code: 'NotFound',
    reason: 'device-unknown',
    message: `device ${id} of ${spec.resource} ${why}`,
    remedy: `"berth explain ${id}" tells what became of it; create the pod again.`,
  });
}

/** Throws `Unsupported` (`device-node-missing`) for a function on vfio-pci without a group. */
export function allocateContainer(state: PoolState, devices: readonly GivenDevice[]): ContainerAllocateResponse {
  return {
    envs: environmentOf(state.spec, devices),
    mounts: [],
    devices: deviceNodesOf(devices).map(asSpec),
    annotations: {},
    cdiDevices: [],
  };
}

function deviceNodesOf(devices: readonly GivenDevice[]): readonly string[] {
  const nodes = new Set<string>();
  for (const { id, function: given, rdma } of devices) {
    for (const node of rdma ?? []) nodes.add(node);
    if (given === undefined || !isUserspace(given.pci)) continue;
    const { vfio, uio } = given.pci.deviceNodes;
    if (vfio !== undefined) nodes.add(VFIO_CONTAINER).add(vfio);
    if (uio !== undefined) nodes.add(uio);
    if (vfio === undefined && uio === undefined && given.pci.driver === 'vfio-pci') {
      throw new BerthError({
        code: 'Unsupported',
        reason: 'device-node-missing',
        message: `device ${id} is bound to vfio-pci, but has no group under /dev/vfio`,
        remedy: 'Enable the IOMMU, or load vfio with enable_unsafe_noiommu_mode=1 and bind the device again.',
      });
    }
  }
  return [...nodes];
}

function asSpec(path: string): DeviceSpec {
  return { containerPath: path, hostPath: path, permissions: 'rw' };
}
