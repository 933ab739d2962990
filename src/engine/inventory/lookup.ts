/** Finds a device by any name that people and protocols have for it. */
import { BerthError } from '../errors.ts';
import { parseSlot } from '../pools/slot.ts';
import { asMacAddress, asPciAddress } from '../values.ts';
import { macNames, serialNames } from './identity.ts';
import type { Inventory, Netdev, Nic, Vf, VirtualLink } from './model.ts';

/** What a name stands for. */
export type FoundDevice =
  | { readonly kind: 'nic'; readonly nic: Nic }
  | { readonly kind: 'vf'; readonly vf: Vf; readonly nic: Nic }
  | { readonly kind: 'virtual'; readonly link: VirtualLink };

/**
 * By PCI address (also without domain `0000`), interface name, alternative name, permanent or
 * current hardware address (of a VF in a pod: the administrative one), RDMA device, serial number of the card (`SERIAL`, or `SERIAL@FUNCTION` where ports
 * share it), `<pf>#<index>` with any of these for the PF, and at last slot id `<uplink>-<n>`, split
 * at its last `-`, or `<uplink>Mvp<n>` as macvtap-cni writes it. An exact interface name wins over every other reading.
 * @throws BerthError `Invalid` (reason `device-ambiguous`) for a serial number that several ports have.
 */
export function findDevice(inventory: Inventory, name: string): FoundDevice | undefined {
  return (
    byNetdev(inventory, (netdev) => netdev.ifname === name) ??
    byAddress(inventory, name) ??
    byNetdev(inventory, (netdev) => netdev.altnames.includes(name)) ??
    byMac(inventory, name) ??
    bySerial(inventory, name) ??
    byRdma(inventory, name) ??
    byVfIndex(inventory, name) ??
    bySlot(inventory, name)
  );
}

function* devices({ nics, virtual }: Inventory): Generator<FoundDevice> {
  for (const nic of nics) {
    yield { kind: 'nic', nic };
    for (const vf of nic.vfs) yield { kind: 'vf', vf, nic };
  }
  for (const link of virtual) yield { kind: 'virtual', link };
}

/** The netdev of a found device, when it is in the node's namespace. */
export function netdevOf(found: FoundDevice): Netdev | undefined {
  if (found.kind === 'virtual') return found.link;
  return found.kind === 'nic' ? found.nic.netdev : found.vf.netdev;
}

function byNetdev(inventory: Inventory, matches: (netdev: Netdev) => boolean): FoundDevice | undefined {
  for (const found of devices(inventory)) {
    const netdev = netdevOf(found);
    if (netdev !== undefined && matches(netdev)) return found;
  }
  return undefined;
}

function byAddress(inventory: Inventory, name: string): FoundDevice | undefined {
  const address = asPciAddress(name) ?? asPciAddress(`0000:${name}`);
  if (address === undefined) return undefined;
  for (const found of devices(inventory)) {
    if (found.kind === 'nic' && found.nic.address === address) return found;
    if (found.kind === 'vf' && found.vf.address === address) return found;
  }
  return undefined;
}

/** The permanent address first: current ones are shared by bonds and their members. */
function byMac(inventory: Inventory, name: string): FoundDevice | undefined {
  const mac = asMacAddress(name);
  if (mac === undefined) return undefined;
  return (
    byNetdev(inventory, (netdev) => netdev.permanentMac === mac) ??
    byNetdev(inventory, (netdev) => netdev.mac === mac) ??
    find(inventory, (found) => found.kind === 'vf' && found.vf.settings?.adminMac === mac)
  );
}

function byRdma(inventory: Inventory, name: string): FoundDevice | undefined {
  return find(inventory, (found) => {
    if (found.kind === 'virtual') return false;
    const { rdma = [] } = found.kind === 'nic' ? found.nic : found.vf;
    return rdma.some((device) => device.name === name);
  });
}

function find(inventory: Inventory, matches: (found: FoundDevice) => boolean): FoundDevice | undefined {
  for (const found of devices(inventory)) if (matches(found)) return found;
  return undefined;
}

function bySerial({ nics }: Inventory, name: string): FoundDevice | undefined {
  const ports = nics.filter((nic) => serialNames(nic).includes(name));
  const [nic] = ports;
  if (ports.length < 2) return nic === undefined ? undefined : { kind: 'nic', nic };
  const choices = ports.map((port) => `${serialNames(port)[1]} (${port.ifname ?? port.address})`);
  throw new BerthError({
    code: 'Invalid',
    reason: 'device-ambiguous',
    message: `${ports.length} ports have the serial number ${name}: ${choices.join(', ')}`,
    remedy: 'Name one of them.',
  });
}

function byVfIndex(inventory: Inventory, name: string): FoundDevice | undefined {
  const [, pf, index] = /^(.+)#([0-9]{1,5})$/.exec(name) ?? [];
  if (pf === undefined) return undefined;
  const nic = inventory.nics.find(
    ({ netdev }) => netdev !== undefined && namesOf(netdev).includes(asMacAddress(pf) ?? pf),
  );
  const found =
    nic === undefined ? (byAddress(inventory, pf) ?? bySerial(inventory, pf)) : { kind: 'nic' as const, nic };
  if (found?.kind !== 'nic') return undefined;
  const vf = found.nic.vfs.find((candidate) => candidate.index === Number(index));
  return vf === undefined ? undefined : { kind: 'vf', vf, nic: found.nic };
}

function namesOf(netdev: Netdev): readonly string[] {
  return [netdev.ifname, ...netdev.altnames, ...macNames(netdev)];
}

function bySlot(inventory: Inventory, name: string): FoundDevice | undefined {
  const uplink = parseSlot(name)?.uplink ?? /^(.+)Mvp[0-9]{1,6}$/.exec(name)?.[1];
  return uplink === undefined ? undefined : byNetdev(inventory, (netdev) => netdev.ifname === uplink);
}
