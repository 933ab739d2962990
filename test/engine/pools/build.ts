/** Small inventories for the tests of pools: one NIC `eth0` with VFs unless told otherwise. */
import type { Inventory, Netdev, Nic, Vf, VirtualLink } from '../../../src/engine/inventory/model.ts';
import type { PoolContext, SlotKind, SlotPoolSpec, VfPoolSpec } from '../../../src/engine/pools/model.ts';
import { zeroConfigPools } from '../../../src/engine/pools/zero-config.ts';
import { parseIfName, parsePciAddress } from '../../../src/engine/values.ts';

export function netdev(ifname: string, facts: Partial<Netdev> = {}): Netdev {
  return {
    ifname: parseIfName(ifname),
    ifindex: 2,
    altnames: [],
    adminUp: true,
    carrier: true,
    linkType: 'ether',
    uppers: [],
    lowers: [],
    addresses: [],
    defaultRoute: false,
    ...facts,
  };
}

export function virtual(kind: string, ifname: string, facts: Partial<Netdev> = {}): VirtualLink {
  return { ...netdev(ifname, facts), kind };
}

/** VF `index` of the PF at `pf`: `0000:41:00.0` has `0000:41:10.0` and on. */
export function vf(index: number, facts: Partial<Vf> = {}, pf = '0000:41:00.0'): Vf {
  const bus = pf.slice(0, 8);
  const ifname = `v${pf.slice(5, 7)}n${index}`;
  return {
    address: parsePciAddress(`${bus}${(0x10 + Math.floor(index / 8)).toString(16)}.${index % 8}`),
    vendor: '8086',
    device: '1520',
    class: '020000',
    driver: 'igbvf',
    numaNode: 0,
    deviceNodes: {},
    index,
    pf: parsePciAddress(pf),
    ifname: parseIfName(ifname),
    netdev: netdev(ifname, { adminUp: false, carrier: false }),
    ...facts,
  };
}

/** A VF whose netdev is in a pod. */
export function away(index: number, facts: Partial<Vf> = {}): Vf {
  const { ifname: _ifname, netdev: _netdev, ...rest } = vf(index);
  return { ...rest, ...facts };
}

/** A VF bound to vfio-pci. */
export function vfio(index: number, group = '42'): Vf {
  return away(index, { driver: 'vfio-pci', deviceNodes: { vfio: `/dev/vfio/${group}` } });
}

export function nic(
  ifname: string,
  vfs: readonly Vf[] = [],
  facts: Partial<Nic> = {},
  link: Partial<Netdev> = {},
): Nic {
  return {
    address: parsePciAddress('0000:41:00.0'),
    vendor: '8086',
    device: '1521',
    class: '020000',
    driver: 'igb',
    numaNode: 0,
    deviceNodes: {},
    ifname: parseIfName(ifname),
    netdev: netdev(ifname, link),
    vfs,
    ...facts,
  };
}

export function inventory(nics: readonly Nic[], links: readonly VirtualLink[] = []): Inventory {
  return { node: { name: 'node-a' }, nics, virtual: links, findings: [], unread: [] };
}

export function context(
  nics: readonly Nic[],
  links: readonly VirtualLink[] = [],
  rest: Partial<Omit<PoolContext, 'inventory'>> = {},
): PoolContext {
  return { inventory: inventory(nics, links), heldDevices: new Map(), uplinkUse: new Map(), ...rest };
}

const [vfPool, , macvlanPool, ipvlanPool] = zeroConfigPools();

export function vfSpec(facts: Partial<VfPoolSpec> = {}): VfPoolSpec {
  return { ...(vfPool as VfPoolSpec), origin: 'test', selectors: [], ...facts };
}

export function slotSpec(kind: SlotKind, facts: Partial<SlotPoolSpec> = {}): SlotPoolSpec {
  return {
    ...((kind === 'ipvlan' ? ipvlanPool : macvlanPool) as SlotPoolSpec),
    kind,
    origin: 'test',
    capacity: 2,
    ...facts,
  };
}
