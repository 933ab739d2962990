/**
 * Pools: devices offered under one resource name. Pure data in, pure data out: no kubelet and no
 * kernel type. The kubelet front end turns a `PoolState` into ListAndWatch messages.
 */

import type { Inventory, Nic, Vf } from '../inventory/model.ts';
import type { MacAddress, PciAddress } from '../values.ts';

/**
 * Which of several free devices is preferred: on as few PFs (uplinks) as possible, on as many as
 * possible, on one NUMA node and below one PCIe root, or those that were used longest ago.
 */
export type AllocationPolicy = 'packed' | 'spread' | 'aligned' | 'least-used';

export type PoolKind = 'vf' | 'macvlan' | 'ipvlan';

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
   * What can be in the pool at all: VFs (when absent), or every function that can be given away
   * whole, that is VFs, NICs without SR-IOV and PFs that have no VFs.
   */
  readonly candidates?: 'vfs' | 'functions';
  /**
   * How the names of environment variables treat a `-` of the resource: it is kept, or (when absent)
   * the variable is given with `_` as well. Only kept are `a-b` and `a_b` two names.
   */
  readonly hyphens?: 'kept' | 'doubled';
  /** In order; AND within one, OR within a list. The first pool that matches a device takes it. */
  readonly selectors: readonly VfSelector[];
  readonly health: HealthPolicy;
  /** Merged into `extra` of the `_INFO` environment: by PCI address, `*` for all. */
  readonly additionalInfo: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export interface SlotPoolSpec extends PoolBase {
  readonly kind: 'macvlan' | 'ipvlan';
  /** Which uplinks; empty means the default rules (decision 11). */
  readonly uplinks: readonly UplinkSelector[];
  /** Slots on each uplink. */
  readonly capacity: number;
  readonly health: HealthPolicy;
}

export type PoolSpec = VfPoolSpec | SlotPoolSpec;

export interface VfSelector {
  readonly vendors?: readonly string[];
  readonly devices?: readonly string[];
  readonly drivers?: readonly string[];
  readonly pciAddresses?: readonly PciAddress[];
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
  /** Link type of its netdev: `ether`, `infiniband` ... */
  readonly linkTypes?: readonly string[];
  /** `true`: only functions with an RDMA device; its character devices go into the container. */
  readonly isRdma?: boolean;
  /** `true`: containers get `/dev/vhost-net` and `/dev/net/tun` as well. */
  readonly needVhostNet?: boolean;
  /** Only functions with a vDPA device on that bus driver; of `vhost` the character device goes into the container. */
  readonly vdpaType?: 'vhost' | 'virtio';
  /** Only VFs with a kernel netdev that is idle (the zero-configuration `vf` pool). */
  readonly idleNetdev?: boolean;
}

/** A PCI function that a pool gives away whole: a VF with its PF, or a NIC itself. */
export type PoolFunction = { readonly pci: Vf; readonly pf: Nic } | { readonly pci: Nic; readonly pf?: undefined };

export interface VfRange {
  readonly pf: string;
  /** Inclusive index ranges; all VFs when absent. */
  readonly ranges?: readonly (readonly [number, number])[];
}

export interface UplinkSelector {
  readonly names?: readonly string[];
  readonly altnames?: readonly string[];
  readonly drivers?: readonly string[];
  readonly pciAddresses?: readonly PciAddress[];
  /** Serial number of the card behind it, `SERIAL` or `SERIAL@FUNCTION`. */
  readonly serials?: readonly string[];
  /** Permanent hardware address. */
  readonly macs?: readonly MacAddress[];
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

/** One device of a pool, as kubelet will see it. */
export interface PoolDevice {
  /** PCI address for VFs and other functions, `<uplink>-<n>` for slots. */
  readonly id: string;
  readonly healthy: boolean;
  /** Why it is unhealthy; absent when healthy. */
  readonly reason?: string;
  readonly numaNode?: number;
  /** Set for VFs and other PCI functions. */
  readonly pci?: PciAddress;
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
  readonly ifname?: string;
  readonly reasons: readonly string[];
}

export interface Plan {
  readonly pools: readonly PoolState[];
  readonly unused: readonly UnusedDevice[];
}

/** What pool evaluation needs besides the inventory. */
export interface PoolContext {
  readonly inventory: Inventory;
  /** Devices held by live attachments: a VF in a pod stays listed and healthy though its netdev is gone from the host. */
  readonly heldDevices: ReadonlyMap<PciAddress, { readonly resource?: string }>;
  /** Uplinks in use by live attachments: macvlan and ipvlan exclude each other on one uplink. */
  readonly uplinkUse: ReadonlyMap<string, 'macvlan' | 'ipvlan'>;
  /** How functions stood when they were last offered; without it nothing is known to have changed. */
  readonly previous?: ReadonlyMap<PciAddress, { readonly resource: string; readonly driver: string }>;
  /**
   * VFs whose netdev is on its way between the node and a pod: it is gone, and the news of who has
   * it, or of its return, may still be coming. They stay as they were.
   */
  readonly settling?: ReadonlySet<PciAddress>;
}
