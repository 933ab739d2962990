/** What an installation puts where: the CNI shim under its own name and, on request, under peers' names. */

/** The name under which the shim always is. */
export const OWN_NAME = 'berth';

/**
 * CNI plugins that the shim can stand in for. Anything else would take a plugin away that Berth does
 * not replace: under `bridge` or `loopback` the node's own network would end.
 */
export const PEER_NAMES = ['sriov', 'ib-sriov', 'macvlan', 'ipvlan', 'macvtap', 'vlan', 'host-device'] as const;

/** The end of the name under which a peer's program is kept beside the shim that took its place. */
export const KEPT_SUFFIX = '.before-berth';

/** Where an installation goes, and under which names of {@link PEER_NAMES} besides its own. */
export interface InstallRequest {
  readonly as: readonly string[];
}

export type InstallAction =
  /** Nothing had that name. */
  | 'added'
  /** It held this very shim already. */
  | 'unchanged'
  /** It held a shim of another release. */
  | 'upgraded'
  /** It held a peer's program, which is kept beside. */
  | 'took-over'
  /** A peer's program had come back over the shim (its own update); the newer one is kept. */
  | 'took-over-again';

export interface InstalledName {
  readonly name: string;
  readonly action: InstallAction;
  /** File name of the peer's program, when one is kept. */
  readonly kept?: string;
}

/** The stable shape of `berth install -o json`. */
export interface InstallReport {
  readonly folder: string;
  readonly names: readonly InstalledName[];
  /** Names from an earlier installation that were not asked for this time; they were brought up to date. */
  readonly alsoHeld: readonly string[];
}

export type RemoveAction =
  /** The shim is gone, and nothing has that name now. */
  | 'removed'
  /** The peer's program is back. */
  | 'put-back'
  /** A peer's program had the name already; what was kept of it was older. */
  | 'left-to-peer';

export interface RemovedName {
  readonly name: string;
  readonly action: RemoveAction;
}

/** The stable shape of `berth uninstall -o json`. */
export interface RemoveReport {
  readonly folder: string;
  readonly names: readonly RemovedName[];
}
