/** Puts PF-side settings, which are read apart from everything else, into an inventory. */

import type { PciAddress } from '../values.ts';
import type { Inventory, Nic, Vf } from './model.ts';
import type { VfSettingsAnswer } from './port.ts';
import { isSame } from './share.ts';

/** The same inventory when nothing differs, the PF is gone or nothing is known. */
export function withVfSettings(inventory: Inventory, pf: PciAddress, answer: VfSettingsAnswer): Inventory {
  const nic = inventory.nics.find((candidate) => candidate.address === pf);
  if (nic === undefined || answer === undefined) return inventory;
  const updated = updateNic(nic, answer);
  return updated === nic
    ? inventory
    : { ...inventory, nics: inventory.nics.map((other) => (other === nic ? updated : other)) };
}

function updateNic(nic: Nic, answer: Exclude<VfSettingsAnswer, undefined>): Nic {
  const vfSettings = answer !== 'none';
  const vfs = nic.vfs.map((vf) => updateVf(vf, answer === 'none' ? undefined : answer.settings.get(vf.index)));
  const isUnchanged = nic.sriov?.vfSettings === vfSettings && vfs.every((vf, index) => vf === nic.vfs[index]);
  if (isUnchanged) return nic;
  return { ...nic, ...(nic.sriov === undefined ? {} : { sriov: { ...nic.sriov, vfSettings } }), vfs };
}

function updateVf(vf: Vf, settings: Vf['settings']): Vf {
  if (isSame(vf.settings, settings)) return vf;
  const { settings: _, ...rest } = vf;
  return settings === undefined ? rest : { ...rest, settings };
}
