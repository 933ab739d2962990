/**
 * The environment variables that tell a container which devices it has, by the names and in the
 * form that the SR-IOV network device plugin made customary, so that workloads need no change.
 */
import type { Nic, Vf } from '../engine/inventory/model.ts';
import type { PoolSpec } from '../engine/pools/model.ts';

/** A device that is being given to a container. */
export interface GivenDevice {
  readonly id: string;
  /** Set for VFs. */
  readonly function?: { readonly vf: Vf; readonly pf: Nic };
}

/** The container device of vfio, which every group needs besides its own. */
export const VFIO_CONTAINER = '/dev/vfio/vfio';

/** `PCIDEVICE_<PREFIX>_<NAME>` for `prefix/name`: upper case, with `_` for `.` and `/`; a `-` stays. */
export function variableName(resource: string): string {
  return `PCIDEVICE_${resource.replace('/', '_').replaceAll('.', '_').toUpperCase()}`;
}

/**
 * The variables of one pool in one container: the ids joined by commas, and for VFs `<name>_INFO`
 * with JSON by PCI address. A name that has a `-`, which no shell can read, is given with `_` too.
 */
export function environmentOf(spec: PoolSpec, devices: readonly GivenDevice[]): Record<string, string> {
  const name = variableName(spec.resource);
  const values: [string, string][] = [[name, devices.map(({ id }) => id).join(',')]];
  if (spec.kind === 'vf') {
    const info = Object.fromEntries(devices.map((device) => [device.id, infoOf(device, extraOf(spec, device.id))]));
    values.push([`${name}_INFO`, JSON.stringify(info)]);
  }
  const readable = values.map(([key, value]): [string, string] => [key.replaceAll('-', '_'), value]);
  return Object.fromEntries([...readable, ...values]);
}

function extraOf(spec: Extract<PoolSpec, { kind: 'vf' }>, id: string): Readonly<Record<string, string>> {
  return { ...spec.additionalInfo['*'], ...spec.additionalInfo[id] };
}

function infoOf(device: GivenDevice, extra: Readonly<Record<string, string>>): object {
  const nodes = device.function?.vf.deviceNodes ?? {};
  return {
    generic: { deviceID: device.id },
    ...(nodes.vfio === undefined ? {} : { vfio: { 'dev-mount': nodes.vfio, mount: VFIO_CONTAINER } }),
    ...(nodes.uio === undefined ? {} : { uio: { mount: nodes.uio } }),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
}
