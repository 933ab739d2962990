/**
 * Names of ports that outlive a reboot: PCI addresses follow the order in which firmware counts
 * buses, and interface names follow those; a card's serial number and its permanent hardware
 * addresses stay. With a VF's index they name the same VF at every boot.
 */
import type { Netdev, Nic } from './model.ts';

/**
 * `SERIAL` and `SERIAL@FUNCTION`: the ports of a card share its serial number, and the number of the
 * PCI function tells them apart. Empty when the card tells none.
 */
export function serialNames({ address, serial }: Pick<Nic, 'address' | 'serial'>): readonly string[] {
  return serial === undefined ? [] : [serial, `${serial}@${address.slice(-1)}`];
}

/**
 * The permanent hardware address. Where the kernel does not tell it, the current one, except below a
 * master: a bond gives its members an address of its own. Empty when none is known.
 */
export function macNames(netdev: Netdev | undefined): readonly string[] {
  if (netdev?.permanentMac !== undefined) return [netdev.permanentMac];
  return netdev?.mac === undefined || netdev.master !== undefined ? [] : [netdev.mac];
}
