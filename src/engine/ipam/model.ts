/** Addressing: which addresses, routes and DNS an attachment gets. Formats follow the CNI host-local and static plugins. */

import type { Route } from '../attachments/port.ts';
import type { ContainerId, IfName, NetworkName } from '../values.ts';

export interface IpRange {
  /** CIDR of the network. */
  readonly subnet: string;
  readonly rangeStart?: string;
  readonly rangeEnd?: string;
  readonly gateway?: string;
}

/** No attachment has so many; what asks for more has gone wrong, or means harm. */
export const MOST_ADDRESSES = 256;
export const MOST_ROUTES = 4096;

/** The kernel makes larger ones smaller, in silence (net/ipv4/metrics.c, ip_metrics_convert). */
export const MOST_ROUTE_MTU_BYTES = 65_520;
export const MOST_ROUTE_ADVMSS_BYTES = 65_495;

/** Where host-local keeps reservations unless `dataDir` says otherwise. */
export const DEFAULT_DATA_DIR = '/var/lib/cni/networks';

export interface HostLocalSpec {
  readonly type: 'host-local';
  /** One address is taken from each set; a set is a list of ranges. */
  readonly rangeSets: readonly (readonly IpRange[])[];
  readonly routes: readonly Route[];
  /** Folder that holds one folder per network; `DEFAULT_DATA_DIR` unless configured. */
  readonly dataDir: string;
  /** Addresses asked for (runtimeConfig.ips, args.cni.ips, CNI_ARGS IP). */
  readonly requested: readonly string[];
  readonly dns: DnsSpec;
}

export interface StaticSpec {
  readonly type: 'static';
  readonly addresses: readonly { readonly address: string; readonly gateway?: string }[];
  readonly routes: readonly Route[];
  readonly dns: DnsSpec;
}

/** Any other IPAM plugin: a program that is executed, as the CNI specification's "delegation" has it. */
export interface DelegatedSpec {
  readonly type: 'delegated';
  /** `ipam.type`: a name, never a path. */
  readonly program: string;
  /** The whole network configuration, which the program gets as its input. */
  readonly stdin: string;
  /** Folders to look in, with colons between them. */
  readonly cniPath: string;
  readonly cniArgs: string;
}

export type IpamSpec = HostLocalSpec | StaticSpec | DelegatedSpec;

/** What releasing delegated addresses needs: what the ADD of them was given, and where its program was. */
export interface DelegatedPlace extends DelegatedSpec {
  /** Where the program was found in the runtime's mounts. */
  readonly foundAt?: string;
}

/** Where addresses are, or may be, reserved for an attachment. */
export type AddressPlace = { readonly type: 'host-local'; readonly dataDir: string } | DelegatedPlace;

export interface DnsSpec {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

export interface IpamResult {
  readonly addresses: readonly { readonly address: string; readonly gateway?: string }[];
  readonly routes: readonly Route[];
  readonly dns: DnsSpec;
}

export interface IpamOwner {
  readonly network: NetworkName;
  readonly containerId: ContainerId;
  readonly ifname: IfName;
}
