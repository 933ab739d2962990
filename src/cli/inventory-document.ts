/** What `berth inventory -o json` and `-o yaml` print. Stable; described in docs/inventory.md. */
import type { Inventory, Nic, ScalableFunction, Vf, VfCounters } from '../engine/inventory/model.ts';
import { type Standing, standingOf } from '../engine/inventory-view.ts';
import type { CountersView, InventoryView } from '../engine/view.ts';

type DocumentVf = Vf & Standing & { readonly counters?: VfCounters };

type DocumentNic = Omit<Nic, 'vfs' | 'scalable'> &
  Standing & {
    readonly vfs: readonly DocumentVf[];
    readonly scalable?: readonly (ScalableFunction & Standing)[];
  };

/** The inventory, and of each device who offers it and who has it. */
export interface InventoryDocument extends Omit<Inventory, 'nics' | 'accelerators'> {
  readonly nics: readonly DocumentNic[];
  /** Absent where the node has none. */
  readonly accelerators?: readonly DocumentNic[];
}

/** The inventory with the pool and the owner of each device put in. */
export function inventoryDocument(view: InventoryView, counters: CountersView = {}): InventoryDocument {
  const vfOf = (vf: Vf): DocumentVf => {
    const counted = counters[vf.address];
    return { ...vf, ...standingOf(vf.address, view), ...(counted === undefined ? {} : { counters: counted }) };
  };
  const nicOf = ({ scalable, ...nic }: Nic): DocumentNic => ({
    ...nic,
    ...standingOf(nic.address, view),
    ...(scalable === undefined ? {} : { scalable: scalable.map((sf) => ({ ...sf, ...standingOf(sf.name, view) })) }),
    vfs: nic.vfs.map(vfOf),
  });
  const { node, nics, accelerators, ...rest } = view.inventory;
  return {
    node,
    nics: nics.map(nicOf),
    ...(accelerators === undefined ? {} : { accelerators: accelerators.map(nicOf) }),
    ...rest,
  };
}
