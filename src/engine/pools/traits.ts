/** What allocation policies go by: where a pool's devices are, and when they were used last. */
import type { PoolFunction, PoolState } from './model.ts';

export interface DeviceTraits {
  readonly id: string;
  /** Place in the pool's list, from 0. */
  readonly order: number;
  /** The PF of a VF or scalable function, the uplink of a slot, the device itself otherwise. */
  readonly parent: string;
  readonly numaNode?: number;
  /** Host bridge, `pci0000:40`. */
  readonly pcieRoot?: string;
}

/** Where the devices of a pool are, by id. */
export function traitsOf(
  { devices }: PoolState,
  functionAt: (id: string) => PoolFunction | undefined,
): ReadonlyMap<string, DeviceTraits> {
  return new Map(
    devices.map(({ id, uplink }, order) => {
      const found = uplink === undefined ? functionAt(id) : undefined;
      // The kernel's own answer, also where the pool gives kubelet no hint.
      const { numaNode, pcieRoot } = found?.pci ?? {};
      const traits: DeviceTraits = {
        id,
        order,
        parent: uplink ?? found?.pf?.address ?? id,
        ...(numaNode === undefined ? {} : { numaNode }),
        ...(pcieRoot === undefined ? {} : { pcieRoot }),
      };
      return [id, traits];
    }),
  );
}

/** When devices were used last, by a count that grows with every use. Not kept over restarts of the agent. */
export class DeviceUses {
  readonly #last = new Map<string, number>();
  #now = 0;

  /** The devices are being used now: they are given to a container, or a pod has them. */
  note(ids: Iterable<string>): void {
    this.#now += 1;
    for (const id of ids) this.#last.set(id, this.#now);
  }

  /** 0 when it was not used since the agent started. */
  lastUse(id: string): number {
    return this.#last.get(id) ?? 0;
  }
}
