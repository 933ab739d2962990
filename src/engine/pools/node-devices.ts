/** Character devices that belong to the node as a whole; implemented by `src/linux`. */

/** `/dev/iommu` is iommufd's, `/dev/vfio/vfio` that of vfio's containers. */
export type NodeDevice = '/dev/vhost-net' | '/dev/net/tun' | '/dev/iommu' | '/dev/vfio/vfio';

export interface NodeDevices {
  /** The kernel has the device now, or makes it when it is opened. */
  has(device: NodeDevice): boolean;
}
