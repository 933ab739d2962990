/**
 * What a node has, as plain immutable data. Absent facts are `undefined` ("the kernel did not
 * tell"), never 0 or ''. JSON of these types is the stable output of `berth inventory -o json`.
 */
import type { IfName, MacAddress, PciAddress } from '../values.ts';

export interface Inventory {
  readonly node: NodeFacts;
  /** Every PCI network function that is not a VF, by address. */
  readonly nics: readonly Nic[];
  /** Network devices without a PCI function of their own: bonds, bridges, VLANs, veth, macvlan ... by name. */
  readonly virtual: readonly VirtualLink[];
  /** What an expert would notice; empty until findings are implemented by the caller that asks for them. */
  readonly findings: readonly Finding[];
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

export interface Finding {
  readonly id: string;
  readonly severity: 'info' | 'warning' | 'error';
  readonly subject: string;
  readonly evidence: string;
  readonly remedy: string;
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
}

export interface DeviceNodes {
  /** `/dev/vfio/<group>` (or `noiommu-N`), when bound to vfio-pci. */
  readonly vfio?: string;
  readonly uio?: string;
  readonly rdma?: readonly string[];
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
}

export interface Nic extends PciFacts {
  readonly ifname?: IfName;
  readonly netdev?: Netdev;
  readonly serial?: string;
  readonly partNumber?: string;
  readonly firmware?: string;
  readonly driverVersion?: string;
  readonly pcieNow?: PcieLink;
  readonly pcieBest?: PcieLink;
  /** The index that firmware gave the function (ACPI _DSM, drivers/pci/pci-label.c), the same at every boot. */
  readonly acpiIndex?: number;
  /** Set when the function can have VFs. */
  readonly sriov?: SriovFacts;
  readonly vfs: readonly Vf[];
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
}

export interface VirtualLink extends Netdev {
  /** IFLA_INFO_KIND (`bond`, `bridge`, `vlan`, `veth`, `macvlan` ...), or `unknown`. */
  readonly kind: string;
}
