/** Who holds which device according to kubelet's pod-resources; implemented by `src/kubelet`. */
import type { PodIdentity } from './model.ts';

export interface PodDevices {
  /**
   * Holders by device id, over all resources of ours; at most 100 ms old, one call in flight.
   * `undefined` when kubelet cannot be asked. An entry is proof; a missing entry proves nothing
   * (after a kubelet restart the list is empty for a while).
   */
  holders(): Promise<ReadonlyMap<string, readonly DeviceHolder[]> | undefined>;
  /** Whether kubelet lists the pod at all, with or without devices; of the same answer as `holders`, when that is fresh. */
  lists(pod: PodIdentity): Promise<boolean>;
  /** Whether kubelet gives that device to pods, whosever device plugin offers it; false when it does not answer. */
  manages(device: string): Promise<boolean>;
  /** Whether kubelet lists any pod; without one its list says nothing. */
  listsAny(): Promise<boolean>;
  /**
   * Calls back for every answer to `holders`, whoever asked: what it says, and whether it lists any pod.
   * Answers the function that ends it.
   */
  onAnswer(listener: PodDevicesListener): () => void;
  /** Whether this node has such a kubelet, answering or not. */
  isThere(): boolean;
}

export type PodDevicesListener = (holders: ReadonlyMap<string, readonly DeviceHolder[]>, listsAny: boolean) => void;

export interface DeviceHolder {
  readonly resource: string;
  readonly pod: PodIdentity;
  readonly container: string;
}
