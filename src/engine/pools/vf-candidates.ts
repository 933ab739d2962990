/**
 * Does a pool of VFs take this VF? Candidates first (bound to a driver, not in use by the node),
 * then the pool's selectors. A VF that is in a pod has no netdev here and is judged without it.
 */
import type { Nic, Vf } from '../inventory/model.ts';
import type { LinkIndex } from './links.ts';
import type { PoolContext, VfPoolSpec, VfSelector } from './model.ts';
import { carriesNode } from './node-carrier.ts';
import { whyVfDiffers } from './selectors.ts';

/** The answer for one device and one pool, in the words of {@link Verdict}. */
export interface Decision {
  readonly takes: boolean;
  readonly why: string;
}

/** Drivers that give a function to userspace: it has no netdev and needs device nodes instead. */
const USERSPACE_DRIVERS = new Set(['vfio-pci', 'uio_pci_generic', 'igb_uio', 'pci-stub', 'xen-pciback']);

/** True for a VF whose driver gives it to userspace. */
export function isUserspace(vf: Vf): boolean {
  const { vfio, uio } = vf.deviceNodes;
  return vfio !== undefined || uio !== undefined || (vf.driver !== undefined && USERSPACE_DRIVERS.has(vf.driver));
}

/** Decides for one pool alone; that an earlier pool has it is not its business. */
export function decideVf(spec: VfPoolSpec, vf: Vf, pf: Nic, context: PoolContext, index: LinkIndex): Decision {
  if (vf.driver === undefined) return { takes: false, why: 'no driver is bound to it' };
  const inUse = whyNodeUsesIt(vf, context, index);
  if (inUse !== undefined) return { takes: false, why: inUse };
  if (spec.selectors.length === 0) return { takes: true, why: 'the pool takes every VF' };
  const misses: string[] = [];
  for (const selector of spec.selectors) {
    const miss = whyVfDiffers(selector, vf, pf) ?? whyNotIdle(selector, vf, context);
    if (miss === undefined) return { takes: true, why: describeMatch(selector, vf, pf) };
    if (!misses.includes(miss)) misses.push(miss);
  }
  return { takes: false, why: misses.join('; and ') };
}

function whyNodeUsesIt(vf: Vf, context: PoolContext, index: LinkIndex): string | undefined {
  // During ADD and DEL of ours its netdev is here, up and addressed, without being the node's.
  if (vf.netdev === undefined || context.heldDevices.has(vf.address)) return undefined;
  const why = carriesNode({ netdev: vf.netdev, kind: 'vf', vf }, index);
  return why === undefined ? undefined : `the node uses it: ${vf.netdev.ifname} ${why}`;
}

function whyNotIdle(selector: VfSelector, vf: Vf, context: PoolContext): string | undefined {
  if (selector.idleNetdev !== true) return undefined;
  if (isUserspace(vf)) return `its driver ${vf.driver} gives it to userspace, so it has no network device`;
  if (vf.netdev !== undefined || context.heldDevices.has(vf.address)) return undefined;
  if (context.settling?.has(vf.address) === true) return undefined;
  return `its network device is not on the node: ${vf.driver} has made none, or it is in a namespace that Berth did not put it into`;
}

function describeMatch(selector: VfSelector, vf: Vf, pf: Nic): string {
  const facts: string[] = [];
  if (selector.vendors !== undefined) facts.push(`vendor ${vf.vendor}`);
  if (selector.devices !== undefined) facts.push(`device ${vf.device}`);
  if (selector.drivers !== undefined) facts.push(`driver ${vf.driver}`);
  if (selector.pciAddresses !== undefined) facts.push(`address ${vf.address}`);
  if (selector.pfNames !== undefined) facts.push(`VF ${vf.index} of ${pf.ifname ?? pf.address}`);
  if (selector.rootDevices !== undefined) facts.push(`VF ${vf.index} of ${pf.address}`);
  if (selector.idleNetdev === true) {
    facts.push(vf.netdev === undefined ? `a VF of driver ${vf.driver}, in a pod` : `an idle VF of driver ${vf.driver}`);
  }
  return facts.length === 0 ? 'the selector is empty and takes every VF' : facts.join(', ');
}
