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

export interface HostLocalSpec {
  readonly type: 'host-local';
  /** One address is taken from each set; a set is a list of ranges. */
  readonly rangeSets: readonly (readonly IpRange[])[];
  readonly routes: readonly Route[];
  /** Folder that holds one folder per network; `/var/lib/cni/networks` unless configured. */
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

export type IpamSpec = HostLocalSpec | StaticSpec;

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
