/** What `berth inventory -o json` and `-o yaml` print. Stable; described in docs/inventory.md. */
import type {
  Inventory,
  LinkCounters,
  Netdev,
  Nic,
  ScalableFunction,
  Vf,
  VfCounters,
} from '../engine/inventory/model.ts';
import { type Standing, standingOf } from '../engine/inventory-view.ts';
import type { CountersView, InventoryView } from '../engine/view.ts';

/** `--counters`. */
export interface Counted {
  /** By the PFs, of their VFs. */
  readonly byPf: CountersView;
  /** By the interfaces that are on the node, by their names. */
  readonly own: ReadonlyMap<string, LinkCounters>;
}

interface OwnCounters {
  readonly ownCounters?: LinkCounters;
}

type DocumentVf = Vf & Standing & OwnCounters & { readonly counters?: VfCounters };

type DocumentNic = Omit<Nic, 'vfs' | 'scalable'> &
  Standing &
  OwnCounters & {
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
export function inventoryDocument(view: InventoryView, counted?: Counted): InventoryDocument {
  const own = (netdev: Netdev | undefined): OwnCounters => {
    const ownCounters = netdev === undefined ? undefined : counted?.own.get(netdev.ifname);
    return ownCounters === undefined ? {} : { ownCounters };
  };
  const vfOf = (vf: Vf): DocumentVf => {
    const counters = counted?.byPf[vf.address];
    return {
      ...vf,
      ...standingOf(vf.address, view),
      ...(counters === undefined ? {} : { counters }),
      ...own(vf.netdev),
    };
  };
  const nicOf = ({ scalable, ...nic }: Nic): DocumentNic => ({
    ...nic,
    ...standingOf(nic.address, view),
    ...own(nic.netdev),
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
