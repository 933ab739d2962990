/**
 * Scalable functions on the auxiliary bus. A function's folder lies in that of the PCI function it
 * was made on, is called `<module>.sf.<id>` and has the file `sfnum` (mlx5_core/sf/dev/dev.c); the bus
 * lists it with hundreds of other auxiliary devices, of which only those are of interest. To debug:
 * `ls -l /sys/bus/auxiliary/devices`, `devlink port show`.
 */
import type { ScalableFunction } from '../../engine/inventory/model.ts';
import { asIfName, type PciAddress } from '../../engine/values.ts';
import { functionOf } from './netdev-homes.ts';
import { count, word } from './parse.ts';
import { rdmaNodes, readRdma } from './rdma.ts';
import { attributeOf, entriesOf, linkNameOf, type Notes, type Place, parsed, realOf, type Scan } from './scan.ts';
import type { Tree } from './tree.ts';
import { readVdpa } from './vdpa.ts';

const AUXILIARY_DEVICES = 'sys/bus/auxiliary/devices';

/** The bus as one scan found it. */
export interface AuxiliaryBus {
  /** Scalable functions by the PCI function that they were made on. */
  readonly scalable: ReadonlyMap<PciAddress, readonly Place[]>;
}

/** Lists the bus; without scalable functions it costs one call. */
export function auxiliaryBus(tree: Tree, notes: Notes): AuxiliaryBus {
  const scalable = new Map<PciAddress, Place[]>();
  const scan = { tree, notes };
  for (const { name } of entriesOf(scan, AUXILIARY_DEVICES)) {
    if (!/^[A-Za-z0-9_-]+\.sf\.[0-9]+$/.test(name)) continue;
    const at = `${AUXILIARY_DEVICES}/${name}`;
    const home = realOf(scan, at);
    const parent = home === undefined ? undefined : functionOf(home);
    if (home === undefined || parent === undefined) continue;
    const siblings = scalable.get(parent);
    if (siblings === undefined) scalable.set(parent, [{ home, name: at }]);
    else siblings.push({ home, name: at });
  }
  return { scalable };
}

/** Scalable functions of a PCI function, by number; empty when it has none. */
export function readScalable(scan: Scan, parent: PciAddress): readonly ScalableFunction[] {
  return (scan.buses.auxiliary.scalable.get(parent) ?? [])
    .map((place) => readOne(scan, place, parent))
    .filter((found) => found !== undefined)
    .sort((one, other) => one.sfnum - other.sfnum || (one.name < other.name ? -1 : 1));
}

/** `undefined` when it is gone. */
function readOne(scan: Scan, place: Place, parent: PciAddress): ScalableFunction | undefined {
  const sfnum = attributeOf(scan, place, 'sfnum', count);
  if (sfnum === undefined) return undefined;
  const driver = parsed(scan, place, 'driver', linkNameOf(scan, place, 'driver'), word);
  const ifname = entriesOf(scan, `${place.home}/net`).flatMap((entry) => asIfName(entry.name) ?? [])[0];
  const rdma = readRdma(scan, place);
  const nodes = rdmaNodes(scan, place);
  const vdpa = readVdpa(scan, place);
  return {
    name: place.name.slice(place.name.lastIndexOf('/') + 1),
    sfnum,
    parent,
    ...(driver === undefined ? {} : { driver }),
    ...(ifname === undefined ? {} : { ifname }),
    ...(rdma.length === 0 ? {} : { rdma }),
    ...(nodes.length === 0 ? {} : { rdmaNodes: nodes }),
    ...(vdpa.length === 0 ? {} : { vdpa }),
  };
}
