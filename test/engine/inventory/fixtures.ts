/** Small inventories for tests of what is done with them. */
import type { Inventory, Netdev, Nic, Vf, VirtualLink } from '../../../src/engine/inventory/model.ts';
import { parseIfName, parseMacAddress, parsePciAddress } from '../../../src/engine/values.ts';

export function netdev(ifname: string, ifindex: number, more: Partial<Netdev> = {}): Netdev {
  const mac = parseMacAddress(`02:00:00:00:00:${ifindex.toString(16).padStart(2, '0')}`);
  return {
    ifname: parseIfName(ifname),
    ifindex,
    altnames: [],
    mac,
    mtuBytes: 1500,
    adminUp: true,
    uppers: [],
    lowers: [],
    addresses: [],
    defaultRoute: false,
    ...more,
  };
}

export function vf(pf: string, index: number, more: Partial<Vf> = {}): Vf {
  return {
    index,
    address: parsePciAddress(`${pf.slice(0, 8)}02.${index}`),
    pf: parsePciAddress(pf),
    vendor: '8086',
    device: '154c',
    class: '020000',
    driver: 'iavf',
    deviceNodes: {},
    ...more,
  };
}

export function nic(address: string, device: Netdev, vfs: readonly Vf[] = [], more: Partial<Nic> = {}): Nic {
  return {
    address: parsePciAddress(address),
    vendor: '8086',
    device: '1572',
    class: '020000',
    driver: 'i40e',
    deviceNodes: {},
    ifname: device.ifname,
    netdev: device,
    sriov: { totalVfs: 8, numVfs: vfs.length },
    vfs,
    ...more,
  };
}

export function virtualLink(ifname: string, ifindex: number, kind: string, more: Partial<Netdev> = {}): VirtualLink {
  return { ...netdev(ifname, ifindex, more), kind };
}

/** Two NICs, the first with two VFs, and a bridge. Every call makes new objects. */
export function inventory(more: Partial<Inventory> = {}): Inventory {
  const pf = '0000:10:00.0';
  return {
    node: { name: 'node-1' },
    nics: [
      nic(pf, netdev('eth0', 2, { altnames: ['enp16s0f0'], permanentMac: parseMacAddress('02:00:00:00:00:aa') }), [
        vf(pf, 0, { ifname: parseIfName('eth0v0'), netdev: netdev('eth0v0', 4) }),
        vf(pf, 1, { driver: 'vfio-pci' }),
      ]),
      nic('0000:11:00.0', netdev('eth1', 3, { master: 'br0' })),
    ],
    virtual: [virtualLink('br0', 5, 'bridge', { lowers: ['eth1'] })],
    findings: [],
    unread: [],
    ...more,
  };
}
