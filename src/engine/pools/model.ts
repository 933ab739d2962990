/**
 * Pools: devices offered under one resource name. Pure data in, pure data out: no kubelet and no
 * kernel type. The kubelet front end turns a `PoolState` into ListAndWatch messages.
 */

import type { Inventory, Nic, ScalableFunction, Vf } from '../inventory/model.ts';
import type { MacAddress, PciAddress } from '../values.ts';

/**
 * Which of several free devices is preferred: on as few PFs (uplinks) as possible, on as many as
 * possible, on one NUMA node and below one PCIe root, or those that were used longest ago.
 */
export type AllocationPolicy = 'packed' | 'spread' | 'aligned' | 'least-used';

/**
 * `vf` pools give PCI and scalable functions away whole; the others share uplinks: by links of that
 * kind, or (`uplink`) by nothing but their presence, for pods that must run where the uplink is.
 */
export type PoolKind = 'vf' | SlotKind;

export type SlotKind = 'macvlan' | 'ipvlan' | 'macvtap' | 'uplink';

interface PoolBase {
  /** `berth.dev/vf`: prefix and name, validated as an extended resource name. */
  readonly resource: string;
  /** Where it was configured, for messages: `config.yaml:12` or `built-in`. */
  readonly origin: string;
  readonly excludeTopology: boolean;
  /** Which devices a container should get; `packed` when absent. */
  readonly allocation?: AllocationPolicy;
  /** Only pods of these namespaces may attach its devices, checked at ADD; every namespace when absent. */
  readonly namespaces?: readonly string[];
}

export interface VfPoolSpec extends PoolBase {
  readonly kind: 'vf';
  /**
   * What can be in the pool at all: VFs (when absent); every network function that can be given away
   * whole, that is VFs, NICs without SR-IOV and PFs that have no VFs; accelerators by the same rule;
   * or scalable functions.
   */
  readonly candidates?: 'vfs' | 'functions' | 'accelerators' | 'scalable';
  /**
   * How the names of environment variables treat a `-` of the resource: it is kept, or (when absent)
   * the variable is given with `_` as well. Only kept are `a-b` and `a_b` two names.
   */
  readonly hyphens?: 'kept' | 'doubled';
  /** In order; AND within one, OR within a list. The first pool that matches a device takes it. */
  readonly selectors: readonly VfSelector[];
  readonly health: HealthPolicy;
  /** How much of each PF the pool takes; everything when absent. */
  readonly perPf?: PerPf;
  /** VFs that stay with the node, whatever the selectors say. */
  readonly keptBack?: readonly VfRange[];
  /** Merged into `extra` of the `_INFO` environment: by PCI address, `*` for all. */
  readonly additionalInfo: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** The same by port and VF number, where a port goes by any name, such as those that outlive a reboot. */
  readonly infoByPort?: readonly PortInfo[];
}

export interface PortInfo {
  readonly port: VfRange;
  readonly info: Readonly<Record<string, string>>;
}

/** A share of each PF's VFs. VFs that pods hold count. */
export interface PerPf {
  /** The lowest VFs of each PF that the pool leaves to the node. */
  readonly keepBack?: number;
  /** So many VFs at most, or that part of those that the PF has now, rounded down. */
  readonly limit?: { readonly count: number } | { readonly percent: number };
}

export interface SlotPoolSpec extends PoolBase {
  readonly kind: SlotKind;
  /** Which uplinks; empty means the default rules (`uplinks.ts`). */
  readonly uplinks: readonly UplinkSelector[];
  /** Slots on each uplink. */
  readonly capacity: number;
  /** How the links of a macvtap pool reach each other (IFLA_MACVLAN_MODE); `bridge` when absent. */
  readonly mode?: MacvtapMode;
  /**
   * The resource's name contains `{uplink}` and stands for one resource on each uplink, called by its
   * interface name. Evaluation replaces it by those (`expand.ts`).
   */
  readonly perUplink?: boolean;
  /** What slots are called: `<uplink>-<n>` (when absent), or `<name>Mvp<n>` as macvtap-cni does. */
  readonly slotIds?: 'uplink' | 'macvtap-cni';
  readonly health: HealthPolicy;
}

export type MacvtapMode = 'bridge' | 'private' | 'vepa' | 'passthru';

export type PoolSpec = VfPoolSpec | SlotPoolSpec;

export interface VfSelector {
  readonly vendors?: readonly string[];
  readonly devices?: readonly string[];
  /** Leading hexadecimal digits of the PCI class: `12`, `0b40`. */
  readonly classes?: readonly string[];
  readonly drivers?: readonly string[];
  readonly pciAddresses?: readonly PciAddress[];
  readonly numaNodes?: readonly number[];
  /** Host bridges, `pci0000:40`. */
  readonly pcieRoots?: readonly string[];
  /** Index that firmware gave the function, in decimal digits; VFs have none. */
  readonly acpiIndexes?: readonly string[];
  /** PF by interface name, with optional VF indexes; like `rootDevices` it matches VFs only. */
  readonly pfNames?: readonly VfRange[];
  /** PF by PCI address, with optional VF indexes. */
  readonly rootDevices?: readonly VfRange[];
  /** PF by the serial number of its card, `SERIAL` or `SERIAL@FUNCTION`, with optional VF indexes. */
  readonly pfSerials?: readonly VfRange[];
  /** PF by its permanent hardware address, with optional VF indexes. */
  readonly pfMacs?: readonly VfRange[];
  /** The PF is in one of the groups. */
  readonly pfGroups?: readonly UplinkGroup[];
  /** An own address of the PF lies in one of these subnets. */
  readonly pfSubnets?: readonly string[];
  /** Link type of its netdev: `ether`, `infiniband` ... */
  readonly linkTypes?: readonly string[];
  /** Package of dynamic device personalization that the PF has loaded. */
  readonly ddpProfiles?: readonly string[];
  /** Default partition key of its InfiniBand port, four hexadecimal digits. */
  readonly pKeys?: readonly string[];
  /** `true`: only functions with an RDMA device; its character devices go into the container. */
  readonly isRdma?: boolean;
  /** `true`: containers get `/dev/vhost-net` and `/dev/net/tun` as well. */
  readonly needVhostNet?: boolean;
  /** Only functions with a vDPA device on that bus driver; of `vhost` the character device goes into the container. */
  readonly vdpaType?: 'vhost' | 'virtio';
  /** Only VFs with a kernel netdev that is idle (the zero-configuration `vf` pool). */
  readonly idleNetdev?: boolean;
}

/**
 * A function that a pool gives away whole: a VF with its PF, or a NIC itself; the same for accelerators.
 * A scalable function looks like a VF of the function below which it lies: `pci` has the facts of that
 * one, with its own number, driver, netdev and RDMA devices.
 */
export type PoolFunction = (
  | { readonly pci: Vf; readonly pf: Nic; readonly sf?: ScalableFunction }
  | { readonly pci: Nic; readonly pf?: undefined; readonly sf?: undefined }
) & { readonly isAccelerator?: boolean };

export interface VfRange {
  readonly pf: string;
  /** `pf` has wildcards, `*` and `?`. */
  readonly isPattern?: boolean;
  /** Inclusive index ranges; all VFs when absent. */
  readonly ranges?: readonly (readonly [number, number])[];
}

/** Uplinks that belong together and have a name of their own in the configuration. */
export interface UplinkGroup {
  readonly name: string;
  readonly uplinks: readonly UplinkSelector[];
}

export interface UplinkSelector {
  readonly names?: readonly string[];
  /** Interface names with `*` and `?`; joined with `names` by OR. They describe uplinks and do not name them. */
  readonly namePatterns?: readonly string[];
  readonly altnames?: readonly string[];
  readonly drivers?: readonly string[];
  readonly pciAddresses?: readonly PciAddress[];
  /** Serial number of the card behind it, `SERIAL` or `SERIAL@FUNCTION`. */
  readonly serials?: readonly string[];
  /** Permanent hardware address. */
  readonly macs?: readonly MacAddress[];
  readonly numaNodes?: readonly number[];
  readonly pcieRoots?: readonly string[];
  /** IFLA_INFO_KIND of a virtual link, `nic` or `vf` for that of a PCI function. */
  readonly kinds?: readonly string[];
  readonly groups?: readonly UplinkGroup[];
  /** An own address of the uplink lies in one of these subnets. */
  readonly subnets?: readonly string[];
}

export interface HealthPolicy {
  /** A PF or uplink without carrier makes its devices unhealthy. */
  readonly linkDown: 'ignore' | 'unhealthy';
  /** A VF on another driver than its pool wants. */
  readonly driverChanged: 'ignore' | 'unhealthy';
  /** A PF that is being reset or recovers from an error; `unhealthy` when absent. */
  readonly pfReset?: 'ignore' | 'unhealthy';
  /** A function whose netdev is not where its attachment says; `unhealthy` when absent. */
  readonly misplaced?: 'ignore' | 'unhealthy';
  /** A function whose IOMMU group holds one that keeps vfio from opening it; `unhealthy` when absent. */
  readonly sharedGroup?: 'ignore' | 'unhealthy';
  /** How long a flapping device must have been good before it is offered again, in seconds; 10 when absent. */
  readonly holdDownS?: number;
}

/**
 * What keeps a device from being used. `link`, `driver`, `reset` and `misplaced` come and go with the
 * hardware and are damped; the others are somebody's doing and are not.
 */
export type HealthCause = 'link' | 'driver' | 'reset' | 'misplaced' | 'group' | 'held' | 'gone' | 'excluded';

/** One device of a pool, as kubelet will see it. */
export interface PoolDevice {
  /** PCI address for VFs and other functions, `mlx5_core.sf.4` for scalable ones, `<uplink>-<n>` for slots. */
  readonly id: string;
  readonly healthy: boolean;
  /** Why it is unhealthy, in words; absent when healthy. */
  readonly reason?: string;
  /** The same for programs: absent when healthy. */
  readonly cause?: HealthCause;
  readonly numaNode?: number;
  /** Set for VFs and other PCI functions. */
  readonly pci?: PciAddress;
  /** Set for scalable functions: the function that it lies below. */
  readonly parent?: PciAddress;
  /** Set for slots: name of the uplink's interface. */
  readonly uplink?: string;
}

export interface PoolState {
  readonly spec: PoolSpec;
  readonly devices: readonly PoolDevice[];
  /** What a person should know about the pool as a whole: an uplink that it names and the node lacks. */
  readonly notes: readonly string[];
}

/** Why a device is in a pool or not: one verdict for each pool, with the deciding selector. */
export interface Verdict {
  readonly resource: string;
  readonly takes: boolean;
  /** One sentence a person reads: `pfNames: eth1 is not in [eth0]`. */
  readonly why: string;
}

export interface UnusedDevice {
  readonly address?: PciAddress;
  /** Name on the auxiliary bus, of a scalable function. */
  readonly scalable?: string;
  readonly ifname?: string;
  readonly reasons: readonly string[];
}

export interface Plan {
  readonly pools: readonly PoolState[];
  readonly unused: readonly UnusedDevice[];
}

/** How a function stood when it was last offered. */
export interface PreviousOffer {
  readonly resource: string;
  readonly driver: string;
  /** With that driver it had a network device on the node. */
  readonly hadNetdev?: boolean;
}

/** What an attachment says of the device that it holds. */
export interface DeviceHold {
  /** The pool that it was given from, where that is known. */
  readonly resource?: string;
  /** Who has it, `pod default/web`; set once the attachment is complete and until its end begins. */
  readonly attachedTo?: string;
}

/** What pool evaluation needs besides the inventory. */
export interface PoolContext {
  readonly inventory: Inventory;
  /** Devices held by live attachments: a VF in a pod stays listed and healthy though its netdev is gone from the host. */
  readonly heldDevices: ReadonlyMap<string, DeviceHold>;
  /** Uplinks in use by live attachments: macvlan (macvtap among it) and ipvlan exclude each other on one uplink. */
  readonly uplinkUse: ReadonlyMap<string, 'macvlan' | 'ipvlan'>;
  /** How functions stood when they were last offered; without it nothing is known to have changed. */
  readonly previous?: ReadonlyMap<string, PreviousOffer>;
  /**
   * VFs whose netdev is on its way between the node and a pod: it is not where the attachments say,
   * and the news of who has it, or of its return, may still be coming. They stay as they were.
   */
  readonly settling?: ReadonlySet<string>;
}
