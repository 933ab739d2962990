/**
 * Facts of a node that sysfs does not carry. Two sources: the live kernel over netlink, and the
 * `berth/facts.json` of a captured tree. A source that cannot know answers `undefined`, which means
 * "unknown" everywhere; a source that fails throws.
 */
import type { Nic } from '../../engine/inventory/model.ts';
import type { VfCountersAnswer, VfSettingsAnswer } from '../../engine/inventory/port.ts';
import type { MacAddress, PciAddress } from '../../engine/values.ts';
import type { QueueFacts } from '../netlink/facts-model.ts';

export type { QueueFacts } from '../netlink/facts-model.ts';

/** See the head of this file for "unknown" and failure. */
export interface FactSource {
  /** All links of the node's namespace by index. */
  links(): Promise<ReadonlyMap<number, LinkFacts> | undefined>;
  /** One link; `undefined` when it is gone, too. */
  link(ifindex: number): Promise<LinkFacts | undefined>;
  /** Indexes of the links that carry a default route, IPv4 or IPv6. */
  defaultRoutes(): Promise<ReadonlySet<number> | undefined>;
  /**
   * PF-side settings. `none`: the driver lists no VFs, a capability that it lacks. Slow on some
   * NICs (1 to 2 ms for each VF).
   */
  vfSettings(pf: LinkRef): Promise<VfSettingsAnswer>;
  /** What the PF counted of its VFs; may ask the firmware for each of them. */
  vfCounters(pf: LinkRef): Promise<VfCountersAnswer>;
  /** Queues and rings of all links by index. */
  queues(): Promise<ReadonlyMap<number, QueueFacts> | undefined>;
  /** The same of one link; empty when it is gone, too. */
  queuesOf(link: LinkRef): Promise<QueueFacts | undefined>;
  /** What driver and firmware say of themselves; may ask the firmware. */
  driver(address: PciAddress, netdev: LinkRef | undefined): Promise<DriverFacts | undefined>;
}

/** A netdev of the node's own namespace. */
export interface LinkRef {
  readonly ifindex: number;
  readonly ifname: string;
}

/** What netlink tells of one link; absent facts were not told. */
export interface LinkFacts {
  readonly ifindex: number;
  readonly altnames: readonly string[];
  /** IFLA_PERM_ADDRESS */
  readonly permanentMac?: MacAddress;
  /** IFLA_CARRIER; the file of that name waits for the RTNL lock. */
  readonly carrier?: boolean;
  /** IFLA_INFO_KIND */
  readonly kind?: string;
  /** Global addresses with prefix length. */
  readonly addresses: readonly string[];
  /** IFLA_PHYS_PORT_ID, IFLA_PHYS_PORT_NAME and IFLA_PHYS_SWITCH_ID; the files of that name wait for the RTNL lock. */
  readonly physPortId?: string;
  readonly physPortName?: string;
  readonly physSwitchId?: string;
}

/** What a driver says of itself and of its device. */
export type DriverFacts = Pick<Nic, (typeof DRIVER_FACTS)[number]>;

/** The fields of a NIC that only its driver tells. */
export const DRIVER_FACTS = [
  'driverVersion',
  'firmware',
  'firmwareStored',
  'serial',
  'partNumber',
  'ddpProfile',
  'eswitchMode',
  'queues',
  'rings',
  'offloads',
] as const satisfies readonly (keyof Nic)[];

/** Knows nothing. */
export const noFacts: FactSource = {
  links: async () => undefined,
  link: async () => undefined,
  defaultRoutes: async () => undefined,
  vfSettings: async () => undefined,
  vfCounters: async () => undefined,
  queues: async () => undefined,
  queuesOf: async () => undefined,
  driver: async () => undefined,
};
