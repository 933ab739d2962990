/**
 * The environment variables that tell a container which devices it has, by the names and in the
 * form that the SR-IOV network device plugin made customary, so that workloads need no change.
 */
import { additionalInfoOf } from '../engine/pools/additional-info.ts';
import type { PoolFunction, PoolSpec } from '../engine/pools/model.ts';
import type { Grant } from './grants.ts';
import { stableJson } from './stable-json.ts';

/** A device that is being given to a container. */
export interface GivenDevice {
  readonly id: string;
  /** Set for VFs and other PCI functions. */
  readonly function?: PoolFunction;
  /** What it brings with it; absent when that is nothing but its name. */
  readonly grant?: Grant;
}

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
    const info = Object.fromEntries(
      devices.map((device) => [device.id, infoOf(device, additionalInfoOf(spec, device.function, device.id))]),
    );
    values.push([`${name}_INFO`, stableJson(info)]);
  }
  if (spec.kind === 'vf' && spec.hyphens === 'kept') return Object.fromEntries(values);
  const readable = values.map(([key, value]): [string, string] => [key.replaceAll('-', '_'), value]);
  return Object.fromEntries([...readable, ...values]);
}

function infoOf({ id, grant }: GivenDevice, extra: Readonly<Record<string, string>>) {
  return { generic: { deviceID: id }, ...grant?.info, ...(Object.keys(extra).length === 0 ? {} : { extra }) };
}
