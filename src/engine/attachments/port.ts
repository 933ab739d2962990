/**
 * What attach, check and restore need from the kernel. Implemented by `src/linux` against the live
 * kernel and by `test/standins/fake-kernel.ts` in memory; one contract suite runs against both.
 *
 * A `Namespace` is opened for one operation and closed within it: an open descriptor or socket
 * keeps a dead sandbox alive.
 */
import type { IfName, MacAddress, PciAddress } from '../values.ts';

/** Identity of a network namespace. Inode numbers are reused, the cookie is not (SO_NETNS_COOKIE). */
export interface NamespaceId {
  /** Decimal text of the 64-bit cookie. */
  readonly cookie: string;
}

export interface Namespace {
  readonly id: NamespaceId;
  /** True for the namespace the agent itself runs in. */
  readonly isHost: boolean;
  /** The link with that name, alternative name or index; `undefined` when there is none. */
  link(ref: { readonly name: string } | { readonly index: number }): Promise<Link | undefined>;
  /** All of them; those of one kind (IFLA_INFO_KIND) when it is named, which is quick on a node with hundreds. */
  links(kind?: string): Promise<readonly Link[]>;
  /** PF-side settings of one VF; `undefined` when the driver lists none. Can be slow: never on a hot path. */
  vfSettings(pfIndex: number, vf: number): Promise<VfState | undefined>;
  addresses(index: number): Promise<readonly LinkAddress[]>;
  /** Routes of all tables whose output device is `index`. */
  routes(index: number): Promise<readonly Route[]>;
  /**
   * Does the operations in order, in one system call where the kernel allows. All are attempted;
   * the first failure is thrown as `BerthError` with `op`, `errno` and `extack`. An error does not
   * mean that nothing changed (a move can have happened before its rename failed): look again.
   */
  apply(operations: readonly LinkOperation[]): Promise<void>;
  /**
   * As `apply`, and answers the link of that name in `at`, where one of the operations has put it;
   * asked for in the same system call where the kernel allows. `undefined` when it is gone again.
   * Its parent may be told as from here (no `parentNsid` for one of this namespace).
   */
  applyAndFind(operations: readonly LinkOperation[], name: IfName, at: Namespace): Promise<Link | undefined>;
  /**
   * Writes `net/<path>` below /proc/sys as seen inside this namespace, for example
   * `['ipv6', 'conf', 'net1', 'ndisc_notify']`. Throws `Unsupported` when it does not exist and
   * `Denied` when /proc/sys is read-only.
   */
  writeSysctl(path: readonly string[], value: string): Promise<void>;
  readSysctl(path: readonly string[]): Promise<string | undefined>;
  /**
   * Sends gratuitous ARP and unsolicited neighbour advertisements for the addresses. Best effort:
   * resolves when sent; closing the packet socket (slow) is not waited for.
   */
  announce(index: number, mac: MacAddress, addresses: readonly string[]): Promise<void>;
  /**
   * Asks whether a neighbour has one of these IPv4 addresses: ARP probes (RFC 5227, section 2.1) on a
   * link that is up and has none of them. The first other user found, or `undefined`; half a second.
   * Ends early when the signal aborts.
   */
  probe(
    index: number,
    addresses: readonly string[],
    signal: AbortSignal,
  ): Promise<{ readonly address: string; readonly mac: MacAddress } | undefined>;
  close(): void;
}

export interface Link {
  readonly index: number;
  readonly name: IfName;
  readonly altnames: readonly string[];
  /** IFLA_IFALIAS */
  readonly alias?: string;
  /** IFLA_GROUP, absent for 0. */
  readonly group?: number;
  /** IFLA_INFO_KIND, absent for physical devices. */
  readonly kind?: string;
  readonly mac?: MacAddress;
  readonly permanentMac?: MacAddress;
  readonly mtu: number;
  readonly up: boolean;
  /** IFF_PROMISC and IFF_ALLMULTI, as somebody set them; absent when not. What packet sockets ask for is not among them. */
  readonly promiscuous?: boolean;
  readonly allMulticast?: boolean;
  readonly carrier?: boolean;
  /** Index of the link below (IFLA_LINK), in namespace `parentNsid` when that is set. */
  readonly parentIndex?: number;
  readonly parentNsid?: number;
  readonly masterIndex?: number;
  /** PCI address of the device behind it, from sysfs or IFLA_PARENT_DEV_NAME; the last proof that it is the same device. */
  readonly pci?: PciAddress;
  /** Of macvlan and macvtap links. */
  readonly macvlan?: { readonly mode: MacvlanMode; readonly bcQueueLength?: number };
  readonly ipvlan?: { readonly mode: IpvlanMode; readonly flag: IpvlanFlag };
  readonly vlan?: { readonly id: number; readonly protocol: '802.1q' | '802.1ad' };
  readonly numVfs?: number;
}

export type MacvlanMode = 'bridge' | 'private' | 'vepa' | 'passthru';
export type IpvlanMode = 'l2' | 'l3' | 'l3s';
export type IpvlanFlag = 'bridge' | 'private' | 'vepa';

export interface VfState {
  readonly mac?: MacAddress;
  readonly vlan?: number;
  readonly vlanQos?: number;
  readonly vlanProto?: '802.1q' | '802.1ad';
  readonly minTxRateMbps?: number;
  readonly maxTxRateMbps?: number;
  readonly spoofCheck?: boolean;
  readonly trust?: boolean;
  readonly linkState?: 'auto' | 'enable' | 'disable';
  /** InfiniBand (IFLA_VF_IB_*): eight bytes with colons. */
  readonly nodeGuid?: string;
  readonly portGuid?: string;
}

export interface LinkAddress {
  /** With prefix length, `10.0.0.2/24`. */
  readonly address: string;
  readonly family: 4 | 6;
  readonly scope: 'global' | 'link' | 'host' | 'other';
  /** IFA_F_TENTATIVE or IFA_F_DADFAILED. */
  readonly tentative: boolean;
  readonly dadFailed: boolean;
}

export interface Route {
  /** With prefix length; `0.0.0.0/0` and `::/0` are the default routes. */
  readonly dst: string;
  readonly gateway?: string;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  /** 254 (main) when absent. */
  readonly table?: number;
  /** RT_SCOPE_*: 0 universe, 253 link. */
  readonly scope?: number;
}

/** One change. Indexes are of the namespace that `apply` is called on. */
export type LinkOperation =
  | {
      readonly op: 'link.create';
      readonly kind: 'macvlan' | 'macvtap';
      readonly name: IfName;
      readonly parentIndex: number;
      /** IFLA_GROUP; 0 when absent. */
      readonly group?: number;
      /** Where the link is born; the namespace of `apply` when absent. */
      readonly into?: Namespace;
      readonly mtu?: number;
      readonly mac?: MacAddress;
      readonly mode: MacvlanMode;
      readonly bcQueueLength?: number;
      /** The link's own index; the kernel chooses one when absent. */
      readonly index?: number;
    }
  | {
      readonly op: 'link.create';
      readonly kind: 'ipvlan';
      readonly name: IfName;
      readonly parentIndex: number;
      readonly group?: number;
      readonly into?: Namespace;
      readonly mtu?: number;
      readonly mode: IpvlanMode;
      readonly flag: IpvlanFlag;
    }
  | {
      readonly op: 'link.create';
      readonly kind: 'vlan';
      readonly name: IfName;
      readonly parentIndex: number;
      readonly group?: number;
      readonly into?: Namespace;
      readonly mtu?: number;
      readonly id: number;
      readonly protocol: '802.1q' | '802.1ad';
    }
  | {
      readonly op: 'link.set';
      readonly index: number;
      readonly name?: IfName;
      readonly mac?: MacAddress;
      readonly mtu?: number;
      readonly up?: boolean;
      readonly alias?: string;
      readonly group?: number;
      /** IFLA_INET_CONF arp_notify. */
      readonly arpNotify?: boolean;
      /** IFF_PROMISC */
      readonly promiscuous?: boolean;
      /** IFF_ALLMULTI */
      readonly allMulticast?: boolean;
      readonly masterIndex?: number;
      /** Move there, under `name` when given; do it only after looking that the name is free. */
      readonly moveTo?: Namespace;
      /** It is a macvlan or ipvlan: no driver or firmware is asked, so this is quick. */
      readonly isSoftware?: boolean;
    }
  | { readonly op: 'link.delete'; readonly index: number }
  /** Takes an alternative name away (IFLA_ALT_IFNAME). */
  | { readonly op: 'altname.delete'; readonly index: number; readonly name: string }
  /** `op` on the PF's netdev `index`. Each given field is one IFLA_VF_* attribute. */
  | {
      readonly op: 'vf.set';
      readonly index: number;
      readonly vf: number;
      readonly set: Omit<VfState, 'vlan' | 'vlanQos' | 'vlanProto'> & {
        readonly vlan?: number;
        readonly vlanQos?: number;
        readonly vlanProto?: '802.1q' | '802.1ad';
      };
    }
  | {
      readonly op: 'address.add' | 'address.delete';
      readonly index: number;
      readonly address: string;
      /** IFA_F_NODAD */
      readonly noDad?: boolean;
    }
  /** Added beside other routes to the same place; one that is there already, the same in every respect, stays as it is. */
  | ({ readonly op: 'route.add' | 'route.delete'; readonly index: number } & Route);

export type LinkCreate = Extract<LinkOperation, { readonly op: 'link.create' }>;

export interface Kernel {
  /** The agent's own namespace; open for the life of the agent, `close` does nothing. */
  readonly host: Namespace;
  /** Takes ownership of a descriptor (passed by the shim). Throws `Invalid` when it is no network namespace; closes it then. */
  adopt(fd: number): Promise<Namespace>;
  /** Opens a namespace by path; `undefined` when the path is missing, out of reach or not an nsfs file (which proves nothing). */
  open(path: string): Promise<Namespace | undefined>;
  /** The nsid of a namespace as the host sees it, assigned when it had none. */
  nsid(of: Namespace): Promise<number>;
  /** The cookie of the namespace with that nsid, when it lives. */
  isNamespaceAlive(nsid: number): Promise<boolean>;
  /**
   * The cookie of the namespace that has that nsid now, looked for among those whose paths are in the folder
   * of `beside`. `undefined` when none there has it, which proves nothing.
   */
  cookieOf(nsid: number, beside: string): Promise<string | undefined>;
  /** Where a PCI function stands now, read from sysfs: driver, netdev names in the host, its PF and index. `undefined` when it is gone. */
  pciFunction(address: PciAddress): Promise<PciFunction | undefined>;
  /** `PciFunction.incarnation` alone: one system call instead of dozens. `undefined` when it is gone. */
  incarnation(address: PciAddress): Promise<string | undefined>;
  /** Interfaces of the node whose device is at that absolute path of sysfs; none when there is no such device. */
  netdevsAt(path: string): Promise<readonly IfName[]>;
  readonly rdma: RdmaPort;
  /** Takes a function from its driver and gives it back, which makes its netdev anew. */
  rebind(address: PciAddress, driver: string): Promise<void>;
  /** Who owns the node's character device `/dev/tap<index>` of a macvtap; `undefined` when there is none. */
  tapOwner(index: number): Promise<{ readonly uid: number; readonly gid: number } | undefined>;
  /** Gives that device to a user and a group. Throws `Unsupported` (`tap-device-missing`) when it is not there. */
  ownTap(index: number, owner: { readonly uid: number; readonly gid: number }): Promise<void>;
}

/** RDMA devices and the namespaces they are in. */
export interface RdmaPort {
  /** `exclusive`: a device is in one namespace, and with its netdev it must move; `undefined` without the subsystem. */
  mode(): Promise<'shared' | 'exclusive' | undefined>;
  has(at: Namespace, name: string): Promise<boolean>;
  /** Throws `NotFound` (`rdma-device-gone`) when it is not in `from`. */
  move(name: string, from: Namespace, to: Namespace): Promise<void>;
}

export interface PciFunction {
  readonly address: PciAddress;
  /** Names of its RDMA devices that the node's namespace shows. */
  readonly rdma?: readonly string[];
  readonly driver?: string;
  /** Host netdev of the function, when it is in the host's namespace. */
  readonly ifname?: IfName;
  readonly pf?: { readonly address: PciAddress; readonly ifname?: IfName };
  readonly vfIndex?: number;
  /** Changes when the VF is destroyed and made again (for example inode of the sysfs folder). */
  readonly incarnation: string;
  readonly iommuGroup?: number;
}
