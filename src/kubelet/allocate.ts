/**
 * What a container gets with its devices: environment and device nodes. An error rejects the pod
 * for good, so it is thrown only where the container would get a wrong device or one it cannot use.
 */
import { BerthError } from '../engine/errors.ts';
import type { PoolState } from '../engine/pools/model.ts';
import type { NodeDevices } from '../engine/pools/node-devices.ts';
import type { PoolSet } from '../engine/pools/pool-set.ts';
import { environmentOf, type GivenDevice } from './environment.ts';
import type { ContainerAllocateResponse, DeviceSpec } from './gen/deviceplugin/v1beta1/device_plugin.ts';
import { grantOf, tapGrant } from './grants.ts';

/**
 * The devices of a request as the pool knows them now, in the order of their ids. Throws `NotFound`
 * (`device-unknown`), and `Unsupported` (`device-node-missing`) as `grantOf` does.
 */
export function resolveDevices(
  pools: Pick<PoolSet, 'functionAt' | 'deviceOf'>,
  state: PoolState,
  ids: readonly string[],
  node: NodeDevices,
): readonly GivenDevice[] {
  const { spec } = state;
  return ids.toSorted().map((id): GivenDevice => {
    const device = pools.deviceOf(spec.resource, id);
    if (device === undefined) throw unknownDevice(state, id, 'is not in the pool');
    if (spec.kind !== 'vf') return spec.kind === 'macvtap' ? { id, grant: tapGrant(id) } : { id };
    const found = pools.functionAt(id);
    if (found === undefined) throw unknownDevice(state, id, 'is gone from the node');
    return { id, function: found, grant: grantOf(spec, found, node) };
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

/** Device nodes either as such, or by their CDI names, which stand for the same. */
export function allocateContainer(
  { spec }: PoolState,
  devices: readonly GivenDevice[],
  cdiNames?: readonly string[],
): ContainerAllocateResponse {
  const nodes = new Set(cdiNames === undefined ? devices.flatMap(({ grant }) => grant?.nodes ?? []) : []);
  return {
    envs: environmentOf(spec, devices),
    mounts: [],
    devices: [...nodes].map(asSpec),
    annotations: {},
    cdiDevices: (cdiNames ?? []).map((name) => ({ name })),
  };
}

function asSpec(path: string): DeviceSpec {
  return { containerPath: path, hostPath: path, permissions: 'rw' };
}
