/**
 * What a node has, as plain immutable data. Absent facts are `undefined` ("the kernel did not
 * tell"), never 0 or ''. JSON of these types is the stable output of `berth inventory -o json`.
 */
import type { IfName, MacAddress, PciAddress } from '../values.ts';

export interface Inventory {
  readonly node: NodeFacts;
  /** Every PCI network function that is not a VF, by address. */
  readonly nics: readonly Nic[];
  /**
   * Accelerators and co-processors that are not VFs (PCI classes 12, 0b40 and 10), by address, with the
   * facts that apply to them. Absent when the node has none.
   */
  readonly accelerators?: readonly Nic[];
  /** Network devices without a PCI function of their own: bonds, bridges, VLANs, veth, macvlan ... by name. */
  readonly virtual: readonly VirtualLink[];
  /** What an expert would notice; empty as it is read, filled in by who shows it (`src/engine/findings`). */
  readonly findings: readonly Finding[];
  /** Functions that are neither NICs nor accelerators and share an IOMMU group with one; absent when there are none. */
  readonly groupmates?: readonly PciNeighbor[];
  /** What could not be read, and why. */
  readonly unread: readonly Unread[];
}

export interface NodeFacts {
  readonly name: string;
  readonly bootId?: string;
  readonly kernel?: string;
  readonly architecture?: string;
  /** Vendor and product of the machine (DMI). */
  readonly machine?: string;
  readonly cpus?: number;
  readonly memoryBytes?: number;
  readonly numaNodes?: readonly number[];
  /** Whether the kernel made IOMMU groups. */
  readonly iommu?: boolean;
}

/** Something about the node that a person should know, and can do something about. */
export interface Finding {
  /** Stable and kebab-case, `pcie-link-degraded`; the anchor of its section in docs/inventory.md. */
  readonly id: string;
  /** `error`: something does not work; `warning`: it works badly or is unsafe; `info`: worth knowing. */
  readonly severity: 'info' | 'warning' | 'error';
  /** PCI address, interface name, or the node's name. */
  readonly subject: string;
  /** What was seen, with values. */
  readonly evidence: string;
  /** What to do about it; one sentence. */
  readonly remedy: string;
  /** `docs/inventory.md#pcie-link-degraded`; absent in inventories of older releases. */
  readonly reference?: string;
}

/** A PCI function in a NIC's IOMMU group: giving one of them to a virtual machine takes the others along. */
export interface PciNeighbor {
  readonly address: PciAddress;
  /** Six hexadecimal digits. */
  readonly class: string;
  readonly driver?: string;
  readonly iommuGroup: number;
}

export interface Unread {
  /** Path below the root, or the netlink request. */
  readonly source: string;
  /** Errno name or a short text. */
  readonly reason: string;
}

/** Facts of any PCI function, PF or VF or plain NIC. */
export interface PciFacts {
  readonly address: PciAddress;
  /** Four lower-case hexadecimal digits, without 0x. */
  readonly vendor: string;
  readonly device: string;
  readonly subsystemVendor?: string;
  readonly subsystemDevice?: string;
  readonly vendorName?: string;
  readonly deviceName?: string;
  /** Six hexadecimal digits, `020000` is Ethernet. */
  readonly class: string;
  readonly driver?: string;
  /** `undefined` where the kernel says -1. */
  readonly numaNode?: number;
  readonly iommuGroup?: number;
  /** The host bridge on top, `pci0000:40`: what `resource.kubernetes.io/pcieRoot` names. */
  readonly pcieRoot?: string;
  /** Character devices of userspace drivers and RDMA below `/dev`. */
  readonly deviceNodes: DeviceNodes;
  /** RDMA devices in the node's view: usually one. In exclusive mode a pod's is in the pod only. Absent when none. */
  readonly rdma?: readonly RdmaDevice[];
  /** vDPA devices made on the function. Absent when none. */
  readonly vdpa?: readonly VdpaDevice[];
}

export interface DeviceNodes {
  /** `/dev/vfio/<group>` (or `noiommu-N`), when bound to vfio-pci. */
  readonly vfio?: string;
  /** `/dev/vfio/devices/vfio<n>`, where the kernel offers the function's own device besides its group's (CONFIG_VFIO_DEVICE_CDEV). */
  readonly vfioDevice?: string;
  readonly uio?: string;
  readonly rdma?: readonly string[];
}

/** An RDMA device (Documentation/ABI/stable/sysfs-class-infiniband). */
export interface RdmaDevice {
  /** `mlx5_0`: what libraries open it by. */
  readonly name: string;
  /** `InfiniBand` or `Ethernet`, of its first port. */
  readonly linkLayer?: string;
  /** Partition keys of its first port, as four hexadecimal digits; the first is the default key. InfiniBand only. */
  readonly partitionKeys?: readonly string[];
}

/** A device on the vDPA bus (Documentation/ABI/testing/sysfs-bus-vdpa). */
export interface VdpaDevice {
  /** `vdpa0`, or what its maker called it. */
  readonly name: string;
  /** Which bus driver serves it: `vhost` gives it to a virtual machine, `virtio` to the kernel. Absent when none does. */
  readonly type?: 'vhost' | 'virtio';
  /** `/dev/vhost-vdpa-<n>`, of type `vhost`. */
  readonly node?: string;
}

export interface PcieLink {
  /** Transfer rate in GT/s per lane. */
  readonly gtps?: number;
  readonly width?: number;
}

/** A network device (netdev) in the agent's own (the node's) namespace. */
export interface Netdev {
  readonly ifname: IfName;
  readonly ifindex: number;
  readonly altnames: readonly string[];
  readonly mac?: MacAddress;
  /** The permanent (burnt-in) address, IFLA_PERM_ADDRESS. */
  readonly permanentMac?: MacAddress;
  readonly mtuBytes?: number;
  /** Administratively up (IFF_UP). */
  readonly adminUp?: boolean;
  /** Kernel operational state (`up`, `down`, `lowerlayerdown`, `unknown` ...). */
  readonly operstate?: string;
  readonly carrier?: boolean;
  readonly speedMbps?: number;
  /** `ether`, `infiniband`, `loopback` ... from /sys/class/net/X/type (ARPHRD_*). */
  readonly linkType?: string;
  /** Name of the device this one is enslaved to (bond, bridge, vrf). */
  readonly master?: string;
  /** Names of devices stacked on it (`upper_*`). */
  readonly uppers: readonly string[];
  /** Names of the devices below it (`lower_*`). */
  readonly lowers: readonly string[];
  /** Own global addresses with prefix length. */
  readonly addresses: readonly string[];
  /** It carries a default route (v4 or v6). */
  readonly defaultRoute: boolean;
  /** The same for all functions that share a physical port (IFLA_PHYS_PORT_ID), hexadecimal. */
  readonly physPortId?: string;
  /** What the driver calls the port (IFLA_PHYS_PORT_NAME): `p0`, `pf0vf3`. */
  readonly physPortName?: string;
  /** The same for all ports of one embedded switch (IFLA_PHYS_SWITCH_ID), hexadecimal. */
  readonly physSwitchId?: string;
}

export interface Nic extends PciFacts {
  readonly ifname?: IfName;
  readonly netdev?: Netdev;
  readonly serial?: string;
  readonly partNumber?: string;
  readonly firmware?: string;
  readonly driverVersion?: string;
  /** Firmware that is stored and runs after the next reset, where it is another than `firmware`. */
  readonly firmwareStored?: string;
  readonly pcieNow?: PcieLink;
  readonly pcieBest?: PcieLink;
  /** What the port above the function can do at most: the slot, or the bridge on the card. */
  readonly pcieSlot?: PcieLink;
  /** Errors of the PCIe link since boot (AER); absent where the kernel does not count them. */
  readonly pcieErrors?: PcieErrors;
  /** Device of its PTP hardware clock, `/dev/ptp0`. */
  readonly ptpClock?: string;
  /** `switchdev` where VFs have representors on the node (devlink). */
  readonly eswitchMode?: 'legacy' | 'switchdev';
  readonly queues?: QueueCounts;
  readonly rings?: RingSizes;
  /** Names of the offloads that are on, as `ethtool -k` calls them in the kernel (`tx-checksum-ip-generic`). */
  readonly offloads?: readonly string[];
  /** The index that firmware gave the function (ACPI _DSM, drivers/pci/pci-label.c), the same at every boot. */
  readonly acpiIndex?: number;
  /** Name of the loaded package of dynamic device personalization (devlink info, running `fw.app.name`). */
  readonly ddpProfile?: string;
  /** Set when the function can have VFs. */
  readonly sriov?: SriovFacts;
  readonly vfs: readonly Vf[];
  /** Why it cannot work now, as the second half of a sentence: `it recovers from a PCI error`. */
  readonly resetting?: string;
  /** Scalable functions made on it, by number. Absent when none. */
  readonly scalable?: readonly ScalableFunction[];
}

/**
 * A scalable function: a network function that is no PCI function, on the auxiliary bus
 * (Documentation/driver-api/auxiliary_bus.rst, Documentation/networking/devlink/devlink-port.rst).
 */
export interface ScalableFunction {
  /** Its name on that bus, `mlx5_core.sf.4`: what kubelet and CNI know it by. */
  readonly name: string;
  /** The number that whoever made it chose. */
  readonly sfnum: number;
  /** The function that it lies below: a PF, or a VF that has functions of its own. */
  readonly parent: PciAddress;
  /** Bound driver of the auxiliary bus, `mlx5_core.sf`. */
  readonly driver?: string;
  /** Its netdev in the node's namespace; absent when it is in a pod. The netdev is in `virtual`. */
  readonly ifname?: IfName;
  readonly rdma?: readonly RdmaDevice[];
  /** Character devices of its RDMA device. */
  readonly rdmaNodes?: readonly string[];
  readonly vdpa?: readonly VdpaDevice[];
}

/** Totals of the advanced error reporting (Documentation/ABI/testing/sysfs-bus-pci-devices-aer_stats). */
export interface PcieErrors {
  readonly correctable: number;
  readonly nonfatal: number;
  readonly fatal: number;
}

/** Channels (linux/ethtool_netlink.h, ETHTOOL_A_CHANNELS_*): `max` is what the NIC can have. */
export interface QueueCounts {
  readonly combined?: number;
  readonly rx?: number;
  readonly tx?: number;
  readonly combinedMax?: number;
  readonly rxMax?: number;
  readonly txMax?: number;
}

/** Descriptors of one ring (ETHTOOL_A_RINGS_*). */
export interface RingSizes {
  readonly rx?: number;
  readonly tx?: number;
  readonly rxMax?: number;
  readonly txMax?: number;
}

/** Counters that the PF keeps of a VF (IFLA_VF_STATS); they go on while the VF is in a pod. */
export interface VfCounters {
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly rxPackets: number;
  readonly txPackets: number;
  readonly broadcast: number;
  readonly multicast: number;
  readonly rxDropped: number;
  readonly txDropped: number;
}

/** What an interface counted itself; nothing is known of one in a pod. */
export interface LinkCounters {
  readonly rxBytes: number;
  readonly rxPackets: number;
  readonly rxErrors: number;
  readonly rxDropped: number;
  readonly txBytes: number;
  readonly txPackets: number;
  readonly txErrors: number;
  readonly txDropped: number;
}

export interface SriovFacts {
  readonly totalVfs: number;
  readonly numVfs: number;
  readonly autoprobe?: boolean;
  /** False when the PF answers no VF list (some drivers have no PF-side settings); undefined when not asked. */
  readonly vfSettings?: boolean;
}

export interface Vf extends PciFacts {
  readonly index: number;
  readonly pf: PciAddress;
  /** Its netdev in the node's namespace; absent when it is in a pod, on a userspace driver or unbound. */
  readonly ifname?: IfName;
  readonly netdev?: Netdev;
  /** PF-side settings (IFLA_VF_*); absent facts were not told by the driver. */
  readonly settings?: VfSettings;
  /** Of its interface, while that is on the node. */
  readonly queues?: QueueCounts;
  readonly rings?: RingSizes;
  /** Netdev that stands for it on the PF's switch (switchdev mode). */
  readonly representor?: IfName;
}

/** PF-side settings of a VF (linux/if_link.h, IFLA_VF_*). Rates in Mbit/s, 0 is unlimited. */
export interface VfSettings {
  readonly adminMac?: MacAddress;
  /** 0 is no VLAN. */
  readonly vlan?: number;
  readonly vlanQos?: number;
  readonly vlanProto?: '802.1q' | '802.1ad';
  readonly minTxRateMbps?: number;
  readonly maxTxRateMbps?: number;
  readonly spoofCheck?: boolean;
  readonly trust?: boolean;
  readonly linkState?: 'auto' | 'enable' | 'disable';
  /** InfiniBand: eight bytes with colons. */
  readonly nodeGuid?: string;
  readonly portGuid?: string;
}

export interface VirtualLink extends Netdev {
  /** IFLA_INFO_KIND (`bond`, `bridge`, `vlan`, `veth`, `macvlan` ...), or `unknown`. */
  readonly kind: string;
}
