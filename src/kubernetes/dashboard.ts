/** The dashboard's way into the cluster, by a person's kubeconfig. */
import { type Clock, systemClock } from '../engine/clock.ts';
import { personConfig } from './cluster-config.ts';
import { createInventoryListing, type SilenceLimits } from './inventory-listing.ts';
import { InventoryWatch } from './inventory-watch.ts';

export interface ClusterAccess {
  /** Where kubectl looks when absent. */
  readonly kubeconfig?: string;
  /** That of the file when absent. */
  readonly context?: string;
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly limits?: SilenceLimits;
}

/** Connects nothing yet: `run` does. Throws `Invalid` (`kubeconfig-unusable`). */
export function watchInventories(access: ClusterAccess): InventoryWatch {
  const { clock = systemClock, context, kubeconfig, limits = {}, random = Math.random } = access;
  const first = personConfig(kubeconfig, context);
  const identity = { context: first.getCurrentContext(), server: first.getCurrentCluster()?.server ?? '' };
  // The file names another context as its own at times; what was chosen at the start stays.
  const connect = () => createInventoryListing(personConfig(kubeconfig, identity.context), random, limits);
  return new InventoryWatch({ identity, connect, clock, random });
}
