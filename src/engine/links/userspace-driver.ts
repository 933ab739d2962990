/** Drivers that give a device to user space: there is no netdev, and that is right. */
const USERSPACE_DRIVERS = new Set(['vfio-pci', 'uio_pci_generic', 'igb_uio']);

/** True for one of them. Of pools, `isUserspace` of `pools/userspace.ts` asks for more. */
export function isUserspaceDriver(driver: string | undefined): boolean {
  return driver !== undefined && USERSPACE_DRIVERS.has(driver);
}
