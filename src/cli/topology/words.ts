/** What both drawings say of a NIC and of its VFs. */
import type { Netdev, PcieLink } from '../../engine/inventory/model.ts';
import { linkState, pcieLinkText } from '../link-words.ts';
import type { DrawnNic, DrawnScalable, VfRun } from './model.ts';

/** Of a node without any. */
export const NO_FUNCTIONS = 'No PCI network functions.';

/** `igb · up 25G · 6 of 7 VFs · PCIe 16GT x8`. */
export function nicText({ nic, scalable }: DrawnNic): string {
  return [
    nic.deviceName ?? nic.vendorName ?? `${nic.vendor}:${nic.device}`,
    nic.driver ?? 'no driver',
    here(nic.netdev),
    nic.sriov === undefined ? '' : `${nic.sriov.numVfs} of ${nic.sriov.totalVfs} VFs`,
    scalable.length === 0 ? '' : `${scalable.length} SF${scalable.length === 1 ? '' : 's'}`,
    pcie(nic.pcieNow, nic.pcieBest),
  ]
    .filter((part) => part !== '')
    .join(' · ');
}

/** `VF 3` or `VFs 0-127`. */
export function runName({ vfs }: VfRun): string {
  const [first, last] = [vfs[0]?.index, vfs.at(-1)?.index];
  return first === last ? `VF ${first}` : `VFs ${first}-${last}`;
}

/** `SF 88 mlx5_core.sf.4`. */
export function scalableName({ name, sfnum }: DrawnScalable): string {
  return `SF ${sfnum} ${name}`;
}

/** `taken by default/web-0 as net1`, `free in berth.dev/vf`. */
export function standingText({ allocation, driver, owner, pool, problem, state }: VfRun | DrawnScalable): string {
  if (owner !== undefined) {
    return `taken by ${owner.pod ?? `container ${owner.containerId.slice(0, 12)}`} as ${owner.ifname}`;
  }
  if (allocation !== undefined) return `taken by ${allocation.pod} (${driver ?? 'no driver'})`;
  const where = pool === undefined ? (driver ?? 'no driver') : `in ${pool}`;
  return `${state} ${state === 'unused' ? `(${where})` : where}${problem === undefined ? '' : `: ${problem}`}`;
}

function here(netdev: Netdev | undefined): string {
  return netdev === undefined ? 'no interface here' : linkState(netdev);
}

function pcie(now: PcieLink | undefined, best: PcieLink | undefined): string {
  if (now === undefined) return '';
  const isLess = (now.width ?? 0) < (best?.width ?? 0) || (now.gtps ?? 0) < (best?.gtps ?? 0);
  return `PCIe ${pcieLinkText(now)}${isLess ? ` of ${pcieLinkText(best)}` : ''}`;
}
