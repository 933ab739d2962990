/** Which functions belong to userspace drivers; they have no netdev and need device nodes instead. */
import type { PciFacts } from '../inventory/model.ts';
import { isUserspaceDriver } from '../links/userspace-driver.ts';

/** They keep a function from the node's drivers, for a guest: no netdev either, and nothing that a pod could open. */
const WITHHOLDING_DRIVERS: ReadonlySet<string | undefined> = new Set(['pci-stub', 'xen-pciback']);

/** True for a function whose driver gives it to userspace, or withholds it from the node. */
export function isUserspace({ driver, deviceNodes: { vfio, uio } }: PciFacts): boolean {
  return vfio !== undefined || uio !== undefined || isUserspaceDriver(driver) || WITHHOLDING_DRIVERS.has(driver);
}
