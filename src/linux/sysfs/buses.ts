/** What a scan knows of buses besides PCI before it reads devices, so that each device asks only for what there is. */
import { type AuxiliaryBus, auxiliaryBus } from './auxiliary.ts';
import { entriesOf, type Notes } from './scan.ts';
import type { Tree } from './tree.ts';
import { type VdpaBus, vdpaBus } from './vdpa.ts';

export interface Buses {
  /** The node has RDMA devices: only then is every function asked for its own. */
  readonly rdma: boolean;
  readonly vdpa: VdpaBus;
  readonly auxiliary: AuxiliaryBus;
}

/** For readers of single files, which look at no bus. */
export const NO_BUSES: Buses = {
  rdma: false,
  vdpa: { byParent: new Map() },
  auxiliary: { scalable: new Map() },
};

/** Three listings on a node that has none of these. */
export function readBuses(tree: Tree, notes: Notes): Buses {
  return {
    rdma: entriesOf({ tree, notes }, 'sys/class/infiniband').length > 0,
    vdpa: vdpaBus(tree, notes),
    auxiliary: auxiliaryBus(tree, notes),
  };
}
