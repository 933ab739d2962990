/** Attachments: what a front end asks for, what it gets back, and what is remembered meanwhile. */

import type { DnsSpec, IpamSpec } from '../ipam/model.ts';
import type { IpamPrograms } from '../ipam/port.ts';
import type { UplinkSelector } from '../pools/model.ts';
import type { ContainerId, IfName, MacAddress, NetworkName, PciAddress } from '../values.ts';
import type { Predecessor } from './peers/port.ts';
import type { IpvlanFlag, IpvlanMode, MacvlanMode, Namespace, Route } from './port.ts';

/** Identity of an attachment. DEL is keyed by it alone, never by a device that a configuration names. */
export interface AttachmentKey {
  readonly containerId: ContainerId;
  readonly ifname: IfName;
}

export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string;
}

/** How a VF is to be set up. Absent fields are left as they are. Rates in Mbit/s. */
export interface VfLinkSpec {
  readonly kind: 'vf';
  readonly device: PciAddress;
  readonly mac?: MacAddress;
  readonly mtu?: number;
  readonly vlan?: number;
  readonly vlanQos?: number;
  readonly vlanProto?: '802.1q' | '802.1ad';
  readonly minTxRateMbps?: number;
  readonly maxTxRateMbps?: number;
  readonly spoofCheck?: boolean;
  readonly trust?: boolean;
  readonly linkState?: 'auto' | 'enable' | 'disable';
  /** InfiniBand: node and port GUID, eight bytes with colons; the driver is bound anew for it. */
  readonly guid?: string;
  /** Whether its RDMA devices move along: always, or only where the subsystem is in exclusive mode. */
  readonly rdma?: 'required' | 'where-exclusive';
}

/** Which link a new one stands on. */
export interface UplinkChoice {
  /** Interface name or alternative name; the default route's when nothing else says which. */
  readonly uplink?: string;
  /** By what it is instead of its name: the one link that any of these matches. Not together with `uplink`. */
  readonly uplinkSelectors?: readonly UplinkSelector[];
  /** The slot this attachment was given (`eth0-3`), when a device plugin gave one. */
  readonly slot?: string;
  /** The uplink is a link of the sandbox, which another network put there before. */
  readonly uplinkInSandbox?: true;
  /** On this VLAN of the uplink, which is made for its first user and removed with its last one. */
  readonly uplinkVlan?: number;
}

export interface MacvlanLinkSpec extends UplinkChoice {
  readonly kind: 'macvlan';
  readonly mode: MacvlanMode;
  readonly mtu?: number;
  readonly mac?: MacAddress;
  readonly bcQueueLength?: number;
}

export interface IpvlanLinkSpec extends UplinkChoice {
  readonly kind: 'ipvlan';
  readonly mode: IpvlanMode;
  readonly flag: IpvlanFlag;
  readonly mtu?: number;
}

/** A link with a character device, `/dev/tap<index>`, for virtual machines. */
export interface MacvtapLinkSpec extends UplinkChoice {
  readonly kind: 'macvtap';
  /** The id that a device plugin gave and that is no `<uplink>-<n>`: a slot of a pool, or a macvtap link of the node. */
  readonly given?: string;
  /** That of the pool, else `bridge`, when absent. */
  readonly mode?: MacvlanMode;
  readonly mtu?: number;
  readonly mac?: MacAddress;
  readonly promiscuous?: boolean;
  /** Who may open the character device. */
  readonly owner: { readonly uid: number; readonly gid: number };
}

/** A VLAN of the uplink that one sandbox has for itself. */
export interface VlanLinkSpec extends UplinkChoice {
  readonly kind: 'vlan';
  /** 0 to 4094 */
  readonly vlanId: number;
  readonly mtu?: number;
}

/** How a device of the node is named. `path` begins with /sys/devices/. */
export type HostDeviceName =
  | { readonly by: 'name'; readonly name: string }
  | { readonly by: 'hwaddr'; readonly mac: MacAddress }
  | { readonly by: 'kernelpath'; readonly path: string }
  | { readonly by: 'pci'; readonly address: PciAddress }
  /** `mlx5_core.sf.2`, a folder of /sys/bus/auxiliary/devices. */
  | { readonly by: 'auxiliary'; readonly id: string };

/** A network device of the node that one sandbox gets whole. */
export interface HostDeviceLinkSpec {
  readonly kind: 'host-device';
  readonly device: HostDeviceName;
  readonly mac?: MacAddress;
}

export type LinkSpec =
  | VfLinkSpec
  | MacvlanLinkSpec
  | IpvlanLinkSpec
  | MacvtapLinkSpec
  | VlanLinkSpec
  | HostDeviceLinkSpec;
export type LinkKind = LinkSpec['kind'];

export interface AttachRequest {
  readonly key: AttachmentKey;
  readonly network: NetworkName;
  /** Opened by the front end, which closes it when the operation has ended. */
  readonly sandbox: Namespace;
  /** CNI_NETNS as the runtime wrote it: to find the sandbox again without a descriptor. */
  readonly sandboxPath: string;
  readonly link: LinkSpec;
  readonly ipam?: IpamSpec;
  /** Probe for other users of the addresses before they are used. */
  readonly detectDuplicates?: boolean;
  readonly pod?: PodIdentity;
}

/** One operation's frame: id in logs and records, deadline and cancellation. */
export interface OperationContext {
  readonly requestId: string;
  readonly signal: AbortSignal;
  /** Where IPAM programs are executed for this operation: the runtime's own place, as long as it waits. */
  readonly ipamPrograms?: IpamPrograms;
  /** Of a DEL or CHECK: what it says of the attachment, in case another plugin made it. */
  readonly predecessor?: Predecessor;
}

export interface AttachResult {
  readonly ifname: IfName;
  readonly mac?: MacAddress;
  readonly mtu?: number;
  /** Set for VFs. */
  readonly pci?: PciAddress;
  /** False for a VF on a userspace driver: nothing was put into the sandbox. */
  readonly hasNetdev: boolean;
  readonly addresses: readonly { readonly address: string; readonly gateway?: string }[];
  readonly routes: readonly Route[];
  readonly dns: DnsSpec;
}

/** What CHECK expects to find: the result of the ADD as the runtime kept it. */
export interface CheckRequest {
  readonly key: AttachmentKey;
  readonly sandbox: Namespace;
  readonly link: LinkSpec;
  readonly expected: Pick<AttachResult, 'mac' | 'mtu' | 'addresses' | 'routes'>;
  /** The configuration as CHECK got it, for an IPAM program. */
  readonly stdin?: string;
}

/** A row of `berth attachments`. */
export interface AttachmentSummary {
  readonly containerId: ContainerId;
  readonly ifname: IfName;
  readonly kind: LinkKind;
  /** PCI address of a VF, or the uplink's name. */
  readonly device: string;
  readonly slot?: string;
  readonly network: NetworkName;
  readonly pod?: PodIdentity;
  readonly addresses: readonly string[];
  /** `adding` and `restoring` are in between; `attached` is complete; `stuck` is a restore that still fails. */
  readonly state: 'adding' | 'attached' | 'restoring' | 'stuck';
  /** RFC 3339 */
  readonly since: string;
  /** When the ADD began, RFC 3339. */
  readonly createdAt: string;
  /** What still fails, for `stuck`. */
  readonly problem?: string;
  /** The device is back; only addresses wait to be released. */
  readonly addressesOnly?: true;
}

/** The engine's face to the front ends. */
export interface Attachments {
  /** Throws `BerthError`; whatever it throws, everything it did is undone or recorded to be. */
  attach(request: AttachRequest, context: OperationContext): Promise<AttachResult>;
  /** Idempotent. Aborts a running attach of the same key and waits for its undo. No record: success, nothing touched. */
  detach(key: AttachmentKey, sandbox: Namespace | undefined, context: OperationContext): Promise<void>;
  check(request: CheckRequest, context: OperationContext): Promise<void>;
  list(): readonly AttachmentSummary[];
  /**
   * Takes away attachments of the network that a runtime does not list, except those of pods that
   * kubelet lists. All are tried; throws with everything that failed.
   */
  keepValid(network: NetworkName, valid: readonly AttachmentKey[], context: OperationContext): Promise<void>;
  /**
   * Releases the addresses that Berth noted for the key in an earlier boot, and nothing else: for a
   * DEL that was spooled before the last boot, when whatever the key names now may be another
   * sandbox's. Idempotent. Throws what prevents it; the note stays then.
   */
  releaseAddresses(key: AttachmentKey, context: OperationContext): Promise<void>;
}
