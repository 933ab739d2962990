/**
 * What the plugins that Berth replaces have left behind: their state on disk, and what a runtime
 * still says of their attachments. Read by `src/linux/files` and by the CNI front end.
 */
import type { AddressPlace } from '../../ipam/model.ts';
import type { MacAddress, NetworkName, PciAddress } from '../../values.ts';
import type { AttachmentKey, LinkKind } from '../model.ts';

/** sriov-cni's cache of one attachment, `<folder>/<container id>-<interface>`. */
export interface SriovCniCache {
  readonly key: AttachmentKey;
  /** The file's JSON, whatever it is; `undefined` when it is none. */
  readonly json: unknown;
  /** Milliseconds since the epoch. */
  readonly writtenAtMs: number;
}

/** sriov-cni's folder, `/var/lib/cni/sriov`. */
export interface SriovCniFiles {
  /** Every cache that is a file of a container and an interface. */
  caches(): readonly SriovCniCache[];
  cache(key: AttachmentKey): SriovCniCache | undefined;
  /** Content of `<folder>/pci/<address>`: the path of the sandbox that the VF was last given to. */
  claim(device: PciAddress): string | undefined;
  removeCache(key: AttachmentKey): void;
  /** Removes the claim if its content is still that. */
  removeClaim(device: PciAddress, sandboxPath: string): void;
}

/** For nodes that never had the plugin. */
export const noSriovCniFiles: SriovCniFiles = {
  caches: () => [],
  cache: () => undefined,
  claim: () => undefined,
  removeCache: () => undefined,
  removeClaim: () => undefined,
};

/**
 * What the configuration of a DEL or CHECK says of an attachment that Berth has no record of. A
 * runtime's word about what it keeps (the previous result) is proof, a configuration alone is none.
 */
export interface Predecessor {
  readonly network: NetworkName;
  /** By the plugin's name; absent for one that Berth does not replace. */
  readonly kind?: LinkKind;
  /** Where its IPAM plugin reserved; content there decides what is released. */
  readonly addresses?: AddressPlace;
  /** Of the interface, in the previous result. */
  readonly mac?: MacAddress;
  /** `master`, for runtimes that keep no previous result. */
  readonly master?: string;
}
