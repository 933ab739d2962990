/**
 * Every network device of an inventory by its names, with what it is: the netdev of a NIC, of a VF,
 * or a link without a PCI function. Pools look devices up here; it decides nothing.
 */
import type { Inventory, Netdev, Nic, ScalableFunction, Vf } from '../inventory/model.ts';
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
  /** By device id: every NIC followed by its VFs and scalable functions, then accelerators in the same way. */
  readonly functions: ReadonlyMap<string, PoolFunction>;
  /** The link with that interface name or alternative name. */
  find(name: string): NodeLink | undefined;
}

/** What kubelet knows the function by: the PCI address, or its name on the auxiliary bus. */
export function deviceIdOf({ pci, sf }: PoolFunction): string {
  return sf?.name ?? pci.address;
}

/** Every function of an inventory by its device id, in the order of {@link LinkIndex.functions}. */
export function functionsOf(inventory: Inventory): ReadonlyMap<string, PoolFunction> {
  const functions = new Map<string, PoolFunction>();
  const netdevs = new Map<string, Netdev>(inventory.virtual.map((link) => [link.ifname, link]));
  for (const nic of inventory.nics) {
    functions.set(nic.address, { pci: nic });
    for (const vf of nic.vfs) functions.set(vf.address, { pci: vf, pf: nic });
    for (const sf of nic.scalable ?? []) functions.set(sf.name, scalableFunction(sf, nic, netdevs));
  }
  for (const pci of inventory.accelerators ?? []) {
    functions.set(pci.address, { pci, isAccelerator: true });
    for (const vf of pci.vfs) functions.set(vf.address, { pci: vf, pf: pci, isAccelerator: true });
  }
  return functions;
}

/** Driver and ids are its parent's, as the SR-IOV network device plugin has it. */
function scalableFunction(sf: ScalableFunction, pf: Nic, netdevs: ReadonlyMap<string, Netdev>): PoolFunction {
  const { address, vendor, device, class: pciClass, driver, numaNode, pcieRoot } = pf;
  const netdev = sf.ifname === undefined ? undefined : netdevs.get(sf.ifname);
  const pci: Vf = {
    index: sf.sfnum,
    pf: address,
    address,
    vendor,
    device,
    class: pciClass,
    ...(driver === undefined || sf.driver === undefined ? {} : { driver }),
    ...(numaNode === undefined ? {} : { numaNode }),
    ...(pcieRoot === undefined ? {} : { pcieRoot }),
    ...(netdev === undefined ? {} : { ifname: netdev.ifname, netdev }),
    deviceNodes: sf.rdmaNodes === undefined ? {} : { rdma: sf.rdmaNodes },
    ...(sf.rdma === undefined ? {} : { rdma: sf.rdma }),
    ...(sf.vdpa === undefined ? {} : { vdpa: sf.vdpa }),
  };
  return { pci, pf, sf };
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
