/** What netlink tells about the host's links, as the inventory needs it. `host-facts.ts` reads it. */
import type { QueueCounts, RingSizes, VfCounters, VfSettings } from '../../engine/inventory/model.ts';
import type { IfName, MacAddress, PciAddress } from '../../engine/values.ts';

/** One link of the namespace; absent facts were not told by the kernel. */
export interface HostLink {
  readonly index: number;
  readonly name: IfName;
  /** IFLA_ALT_IFNAME, in the kernel's order. */
  readonly altnames: readonly string[];
  /** IFLA_IFALIAS */
  readonly alias?: string;
  /** IFLA_INFO_KIND (`bond`, `bridge`, `vlan`, `veth` ...); absent for physical devices and loopback. */
  readonly kind?: string;
  /** Kind of the device it is enslaved to (IFLA_INFO_SLAVE_KIND). */
  readonly slaveKind?: string;
  /** ARPHRD_* of linux/if_arp.h: 1 Ethernet, 32 InfiniBand, 772 loopback. */
  readonly hardwareType: number;
  readonly mac?: MacAddress;
  /** IFLA_PERM_ADDRESS */
  readonly permanentMac?: MacAddress;
  readonly mtuBytes?: number;
  /** IFF_* of linux/if.h. */
  readonly flags: number;
  /** IFF_UP */
  readonly adminUp: boolean;
  /** IF_OPER_* as the kernel names them in sysfs: `up`, `down`, `lowerlayerdown`, `dormant`, `testing`, `notpresent`, `unknown`. */
  readonly operstate?: string;
  readonly carrier?: boolean;
  /** IFLA_LINK: the link below, in namespace `parentNsid` when that is set. */
  readonly parentIndex?: number;
  readonly parentNsid?: number;
  readonly masterIndex?: number;
  /** Set when the device behind it is on the PCI bus (IFLA_PARENT_DEV_NAME and _BUS_NAME, Linux 5.14). */
  readonly pci?: PciAddress;
  readonly vlanId?: number;
  /** IFLA_PHYS_PORT_ID and IFLA_PHYS_SWITCH_ID in hexadecimal digits, IFLA_PHYS_PORT_NAME. */
  readonly physPortId?: string;
  readonly physPortName?: string;
  readonly physSwitchId?: string;
}

export interface HostAddress {
  readonly ifindex: number;
  /** With prefix length. */
  readonly address: string;
  readonly family: 4 | 6;
  readonly scope: 'global' | 'link' | 'host' | 'other';
}

/** What a driver says of itself (struct ethtool_drvinfo, linux/ethtool.h); empty strings are absent. */
export interface DriverInfo {
  readonly driver?: string;
  readonly version?: string;
  readonly firmware?: string;
  readonly busInfo?: string;
}

/** DEVLINK_CMD_INFO_GET (linux/devlink.h); version names as in Documentation/networking/devlink/devlink-info.rst. */
export interface DevlinkInfo {
  readonly driver?: string;
  readonly serial?: string;
  readonly boardSerial?: string;
  readonly fixed: Readonly<Record<string, string>>;
  readonly running: Readonly<Record<string, string>>;
  readonly stored: Readonly<Record<string, string>>;
}

/** Queues and rings of an interface; what the driver does not offer is absent. */
export interface QueueFacts {
  readonly queues?: QueueCounts;
  readonly rings?: RingSizes;
}

/** What ethtool's generic netlink family tells of an interface; what the driver does not offer is absent. */
export interface EthtoolFacts extends QueueFacts {
  /** Names of the features that are on. */
  readonly offloads?: readonly string[];
}

/** PF-side settings as far as the kernel listed them. */
export interface VfList {
  /** By VF index. */
  readonly settings: ReadonlyMap<number, VfSettings>;
  /** VFs that the kernel has and did not list: the list ends at 64 KiB (16-bit attribute length). */
  readonly missing: readonly number[];
}

/** Everything goes through the thread pool; nothing here holds the event loop for the kernel's work. */
export interface HostFacts {
  links(): Promise<readonly HostLink[]>;
  /** One link, without a dump: those start over while links come and go. `undefined` when it is gone. */
  link(ifindex: number): Promise<HostLink | undefined>;
  /** `undefined` when the link is gone or lists no VFs. Can take 1 to 2 ms per VF on some NICs. */
  vfList(ifindex: number): Promise<VfList | undefined>;
  /** Counters by VF index; `undefined` when the link is gone or lists no VFs. */
  vfCounters(ifindex: number): Promise<ReadonlyMap<number, VfCounters> | undefined>;
  /** Of all links, or of one. */
  addresses(ifindex?: number): Promise<readonly HostAddress[]>;
  /** Interfaces that carry a default route of any table, IPv4 or IPv6. */
  defaultRouteInterfaces(): Promise<ReadonlySet<number>>;
  /** `undefined` when the interface is gone or its driver does not answer. */
  driverInfo(ifname: IfName): Promise<DriverInfo | undefined>;
  /** `undefined` when the kernel has no devlink or the device no devlink instance. */
  devlinkInfo(address: PciAddress): Promise<DevlinkInfo | undefined>;
  /** `undefined` when the device has no devlink instance or no embedded switch. */
  eswitchMode(address: PciAddress): Promise<'legacy' | 'switchdev' | undefined>;
  /** Queues, rings and features; empty for an interface that is gone or whose driver tells none. */
  ethtool(ifindex: number): Promise<EthtoolFacts>;
  /** Queues and rings of all interfaces, by index, in two dumps; those whose drivers tell neither are absent. */
  queues(): Promise<ReadonlyMap<number, QueueFacts>>;
  /** Closes the sockets; calls after it throw. */
  close(): void;
}
