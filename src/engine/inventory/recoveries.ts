/**
 * NICs whose PCI errors the kernel is recovering from: it announces begin and end, and no file
 * tells of it in between, so it is remembered here and laid over what is read.
 */
import type { PciAddress } from '../values.ts';
import type { Inventory, Nic } from './model.ts';
import type { ChangeHint } from './port.ts';

const WORDS = {
  begun: 'it recovers from a PCI error',
  failed: 'its recovery from a PCI error failed',
} as const;

export class Recoveries {
  readonly #now = new Map<PciAddress, string>();

  /** Takes what a hint says of a recovery, if it does. */
  note(hint: ChangeHint): void {
    if (hint.kind !== 'pci') return;
    const { address, action, recovery } = hint;
    // A function that is gone, or has got a driver anew, comes back as another one.
    if (recovery === 'over' || action === 'remove' || action === 'bind') this.#now.delete(address);
    else if (recovery !== undefined) this.#now.set(address, WORDS[recovery]);
  }

  /** The inventory with `resetting` where it applies; the same object when nothing changes. */
  applyTo(inventory: Inventory): Inventory {
    const nics = inventory.nics.map((nic) => this.#judged(nic));
    return nics.every((nic, at) => nic === inventory.nics[at]) ? inventory : { ...inventory, nics };
  }

  #judged(nic: Nic): Nic {
    const resetting = this.#now.get(nic.address);
    if (nic.resetting === resetting) return nic;
    const { resetting: _before, ...rest } = nic;
    return resetting === undefined ? rest : { ...rest, resetting };
  }
}
