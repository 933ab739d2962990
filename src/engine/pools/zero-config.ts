/** The pools of a node without a configuration file (docs/architecture.md, Zero configuration). */
import { DEFAULT_HEALTH } from './health.ts';
import type { PoolSpec } from './model.ts';

/** Prefix of every resource name unless configured. */
export const DEFAULT_PREFIX = 'berth.dev';

/** Slots on each uplink unless configured. */
export const DEFAULT_CAPACITY = 100;

/** `origin` of the pools that exist without being configured. */
export const BUILT_IN = 'built-in';

/** `<prefix>/vf`, `vf-vfio`, `macvlan` and `ipvlan`, in this order. */
export function zeroConfigPools(prefix: string = DEFAULT_PREFIX): readonly PoolSpec[] {
  const base = { origin: BUILT_IN, excludeTopology: false, health: DEFAULT_HEALTH };
  return [
    { ...base, kind: 'vf', resource: `${prefix}/vf`, selectors: [{ idleNetdev: true }], additionalInfo: {} },
    { ...base, kind: 'vf', resource: `${prefix}/vf-vfio`, selectors: [{ drivers: ['vfio-pci'] }], additionalInfo: {} },
    { ...base, kind: 'macvlan', resource: `${prefix}/macvlan`, uplinks: [], capacity: DEFAULT_CAPACITY },
    { ...base, kind: 'ipvlan', resource: `${prefix}/ipvlan`, uplinks: [], capacity: DEFAULT_CAPACITY },
  ];
}
