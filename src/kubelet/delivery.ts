/**
 * Everything that one Allocate hands over: the answer, the device-info file that Multus will look
 * for, and with CDI the specification that the runtime will look for, both complete before the
 * answer is given. A file that cannot be written rejects no pod: device nodes are then given as
 * such, and `problems` tells of it.
 */
import { BerthError } from '../engine/errors.ts';
import type { Logger } from '../engine/logger.ts';
import type { PoolDevice, PoolState, VfPoolSpec } from '../engine/pools/model.ts';
import type { NodeDevices } from '../engine/pools/node-devices.ts';
import type { PoolSet } from '../engine/pools/pool-set.ts';
import { allocateContainer, resolveDevices } from './allocate.ts';
import type { CdiFolder } from './cdi-folder.ts';
import { type CdiEntries, cdiName } from './cdi-spec.ts';
import type { DeviceInfoFolder } from './device-info.ts';
import type { GivenDevice } from './environment.ts';
import type { ContainerAllocateResponse } from './gen/deviceplugin/v1beta1/device_plugin.ts';
import { grantOf, tapGrant } from './grants.ts';
import { withRemedy } from './status.ts';

export interface DeliveryOptions {
  readonly pools: PoolSet;
  readonly node: NodeDevices;
  readonly deviceInfo: DeviceInfoFolder;
  /** Absent where device nodes are given without CDI. */
  readonly cdi?: CdiFolder;
  /** Told of devices that a pod is given, before the answer is. */
  readonly onGiven?: (devices: readonly string[]) => void;
  readonly log: Logger;
}

/** A pool's CDI file follows a burst of changes once; Allocate does not wait for this. */
const FOLLOW_MS = 100;

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #following = new Map<string, NodeJS.Timeout>();
  readonly #infoProblems = new Map<string, string>();

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  /** What the container gets; throws as `resolveDevices` does. */
  give(state: PoolState, ids: readonly string[]): ContainerAllocateResponse {
    const { pools, node } = this.#options;
    const devices = resolveDevices(pools, state, ids, node);
    this.#writeDeviceInfo(state.spec.resource, devices);
    const given = allocateContainer(state, devices, this.#cdiNames(state, devices));
    this.#options.onGiven?.(ids);
    return given;
  }

  /** The pool has other devices now, or other nodes for them. */
  follow(resource: string): void {
    const { cdi, pools } = this.#options;
    if (cdi === undefined || this.#following.has(resource)) return;
    const timer = setTimeout(() => {
      this.#following.delete(resource);
      const state = pools.state(resource);
      if (state === undefined) return;
      ignoreReported(() => cdi.update(resource, this.#entriesOf(state)));
    }, FOLLOW_MS);
    this.#following.set(resource, timer);
  }

  /** The pool is no more; what its pods have stays. */
  forget(resource: string): void {
    clearTimeout(this.#following.get(resource));
    this.#following.delete(resource);
    this.#infoProblems.delete(resource);
  }

  /** What could not be written for the pool, and what to do about it. */
  problems(resource: string): readonly string[] {
    const cdi = this.#options.cdi?.problem(resource);
    const info = this.#infoProblems.get(resource);
    return [...(cdi === undefined ? [] : [withRemedy(cdi)]), ...(info === undefined ? [] : [info])];
  }

  stop(): void {
    for (const resource of [...this.#following.keys()]) this.forget(resource);
  }

  /** CDI names of the devices that bring nodes; `undefined` when the nodes have to be given as such. */
  #cdiNames(state: PoolState, devices: readonly GivenDevice[]): string[] | undefined {
    const { cdi } = this.#options;
    const { resource } = state.spec;
    if (cdi === undefined) return undefined;
    const entries = new Map(
      devices.flatMap(({ id, grant }) => (grant?.nodes.length ? [[id, grant.nodes] as const] : [])),
    );
    const names = [...entries.keys()].map((id) => cdiName(resource, id));
    if (names.length === 0 || names.includes(undefined)) return undefined;
    const written = ignoreReported(() => cdi.ensure(resource, entries, () => this.#entriesOf(state)));
    return written ? names.flatMap((name) => name ?? []) : undefined;
  }

  #entriesOf({ spec, devices }: PoolState): CdiEntries {
    return new Map(
      devices.flatMap((device) => {
        const nodes =
          spec.kind === 'vf' ? this.#nodesOf(spec, device) : spec.kind === 'macvtap' ? tapGrant(device.id).nodes : [];
        return nodes.length === 0 ? [] : [[device.id, nodes] as const];
      }),
    );
  }

  #nodesOf(spec: VfPoolSpec, { id }: PoolDevice): readonly string[] {
    const { pools, node } = this.#options;
    const found = pools.functionAt(id);
    if (found === undefined) return [];
    try {
      return grantOf(spec, found, node).nodes;
    } catch (error) {
      // Whoever is given the device is told; it is no reason to leave the others out.
      if (error instanceof BerthError && error.reason === 'device-node-missing') return [];
      throw error;
    }
  }

  #writeDeviceInfo(resource: string, devices: readonly GivenDevice[]): void {
    const { deviceInfo, log } = this.#options;
    for (const { id, function: given, grant } of devices) {
      // The specification has words for PCI functions only.
      if (given === undefined || given.sf !== undefined) continue;
      try {
        deviceInfo.write(resource, given, grant);
        this.#infoProblems.delete(resource);
      } catch (error) {
        // The pod works without the file; only its network status lacks the device.
        log.warn({ resource, device: id, err: error }, 'device-info file not written');
        this.#infoProblems.set(resource, `no device-info for Multus: ${withRemedy(error)}`);
      }
    }
  }
}

/** False when a CDI file could not be written, which the folder has noted and logged. */
function ignoreReported(write: () => void): boolean {
  try {
    write();
    return true;
  } catch (error) {
    if (error instanceof BerthError && error.reason === 'cdi-not-written') return false;
    throw error;
  }
}
