/**
 * The node as a tree to draw: NUMA nodes, PCIe roots, NICs and accelerators, runs of VFs that stand
 * alike, scalable functions, pods. Pure.
 */
import type { Nic, ScalableFunction, Vf, VirtualLink } from '../../engine/inventory/model.ts';
import { type Standing, standingOf } from '../../engine/inventory-view.ts';
import type { InventoryView } from '../../engine/view.ts';

export interface Topology {
  readonly name: string;
  readonly machine: string | undefined;
  readonly sockets: readonly Socket[];
  /** Bonds, bridges and whatever else joins NICs. */
  readonly joins: readonly VirtualLink[];
}

export interface Socket {
  /** `undefined` where the firmware does not tell. */
  readonly numaNode: number | undefined;
  readonly roots: readonly { readonly name: string | undefined; readonly nics: readonly DrawnNic[] }[];
}

export interface DrawnNic {
  readonly nic: Nic;
  readonly runs: readonly VfRun[];
  readonly scalable: readonly DrawnScalable[];
}

export type DrawnScalable = ScalableFunction & Standing;

/** Consecutive VFs of which the same is to be said; one with an owner stands alone. */
export interface VfRun extends Standing {
  readonly vfs: readonly Vf[];
  readonly driver: string | undefined;
}

export function topologyOf(view: InventoryView): Topology {
  const { accelerators = [], node, virtual } = view.inventory;
  const nics = [...view.inventory.nics, ...accelerators];
  const sockets = [...Map.groupBy(nics, (nic) => nic.numaNode)]
    .sort(([one], [other]) => (one ?? Infinity) - (other ?? Infinity))
    .map(([numaNode, members]) => ({
      numaNode,
      roots: [...Map.groupBy(members, (nic) => nic.pcieRoot)].map(([name, under]) => ({
        name,
        nics: under.map((nic) => drawnNic(nic, view)),
      })),
    }));
  const names = new Set(nics.flatMap((nic) => nic.ifname ?? []).map(String));
  const joins = virtual.filter((link) => link.lowers.some((lower) => names.has(lower)));
  return { name: node.name, machine: node.machine, sockets, joins };
}

function drawnNic(nic: Nic, view: InventoryView): DrawnNic {
  const scalable = (nic.scalable ?? []).map((sf) => ({ ...sf, ...standingOf(sf.name, view) }));
  return { nic, runs: runsOf(nic, view), scalable };
}

function runsOf(nic: Nic, view: InventoryView): readonly VfRun[] {
  const runs: VfRun[] = [];
  for (const vf of nic.vfs) {
    const last = runs.at(-1);
    const run: VfRun = { vfs: [vf], driver: vf.driver, ...standingOf(vf.address, view) };
    if (last !== undefined && isAlike(last, run)) runs[runs.length - 1] = { ...last, vfs: [...last.vfs, vf] };
    else runs.push(run);
  }
  return runs;
}

/** One that somebody has stands alone. */
function isFree({ allocation, owner }: VfRun): boolean {
  return owner === undefined && allocation === undefined;
}

function isAlike(one: VfRun, other: VfRun): boolean {
  const before = one.vfs.at(-1)?.index ?? -1;
  return (
    isFree(one) &&
    isFree(other) &&
    other.vfs[0]?.index === before + 1 &&
    one.state === other.state &&
    one.pool === other.pool &&
    one.driver === other.driver &&
    one.problem === other.problem
  );
}
