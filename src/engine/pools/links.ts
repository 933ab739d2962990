/**
 * Every network device of an inventory by its names, with what it is: the netdev of a NIC, of a VF,
 * or a link without a PCI function. Pools look devices up here; it decides nothing.
 */
import type { Inventory, Netdev, Nic, Vf } from '../inventory/model.ts';
import type { PciAddress } from '../values.ts';
import type { PoolFunction } from './model.ts';

/** A network device and the thing it belongs to. */
export interface NodeLink {
  readonly netdev: Netdev;
  /** IFLA_INFO_KIND for virtual links; `nic` and `vf` for those of PCI functions. */
  readonly kind: string;
  readonly nic?: Nic;
  readonly vf?: Vf;
}

/** Lookup tables over one inventory; build them once for an evaluation. */
export interface LinkIndex {
  /** By interface name. */
  readonly links: ReadonlyMap<string, NodeLink>;
  /** Every NIC followed by its VFs. */
  readonly functions: ReadonlyMap<PciAddress, PoolFunction>;
  /** The link with that interface name or alternative name. */
  find(name: string): NodeLink | undefined;
}

/** Every PCI function of an inventory by address, each NIC followed by its VFs. */
export function functionsOf(inventory: Inventory): ReadonlyMap<PciAddress, PoolFunction> {
  const functions = new Map<PciAddress, PoolFunction>();
  for (const nic of inventory.nics) {
    functions.set(nic.address, { pci: nic });
    for (const vf of nic.vfs) functions.set(vf.address, { pci: vf, pf: nic });
  }
  return functions;
}

/** Builds the tables. */
export function indexLinks(inventory: Inventory): LinkIndex {
  const links = new Map<string, NodeLink>();
  const functions = functionsOf(inventory);
  const byAltname = new Map<string, NodeLink>();
  const add = (link: NodeLink): void => {
    links.set(link.netdev.ifname, link);
    for (const altname of link.netdev.altnames) byAltname.set(altname, link);
  };
  for (const nic of inventory.nics) {
    if (nic.netdev !== undefined) add({ netdev: nic.netdev, kind: 'nic', nic });
    for (const vf of nic.vfs) {
      if (vf.netdev !== undefined) add({ netdev: vf.netdev, kind: 'vf', vf });
    }
  }
  for (const link of inventory.virtual) add({ netdev: link, kind: link.kind });
  return { links, functions, find: (name) => links.get(name) ?? byAltname.get(name) };
}

/**
 * The NUMA node of a link: its PCI function's, or, for links stacked on others, the one that all
 * links below it share. `undefined` when they differ or the kernel does not tell.
 */
export function numaNodeOf(link: NodeLink, index: LinkIndex): number | undefined {
  return commonNumaNode(link, index, new Set());
}

function commonNumaNode(link: NodeLink, index: LinkIndex, seen: Set<string>): number | undefined {
  const own = link.nic?.numaNode ?? link.vf?.numaNode;
  if (own !== undefined || seen.has(link.netdev.ifname)) return own;
  seen.add(link.netdev.ifname);
  const nodes = new Set<number | undefined>();
  for (const name of link.netdev.lowers) {
    const lower = index.links.get(name);
    nodes.add(lower === undefined ? undefined : commonNumaNode(lower, index, seen));
  }
  const [only] = nodes;
  return nodes.size === 1 ? only : undefined;
}
