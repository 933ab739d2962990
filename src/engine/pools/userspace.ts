/** Which functions belong to userspace drivers; they have no netdev and need device nodes instead. */
import type { PciFacts } from '../inventory/model.ts';

const USERSPACE_DRIVERS = new Set(['vfio-pci', 'uio_pci_generic', 'igb_uio', 'pci-stub', 'xen-pciback']);

/** True for a function whose driver gives it to userspace. */
export function isUserspace({ driver, deviceNodes: { vfio, uio } }: PciFacts): boolean {
  return vfio !== undefined || uio !== undefined || (driver !== undefined && USERSPACE_DRIVERS.has(driver));
}
