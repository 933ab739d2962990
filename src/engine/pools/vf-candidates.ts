/**
 * Does a pool of PCI functions take this one? Candidates first (a function of the kind that the pool
 * gives away, bound to a driver, not in use by the node), then the pool's selectors. A function that
 * is in a pod has no netdev here and is judged without it.
 */
import { macNames } from '../inventory/identity.ts';
import type { LinkIndex } from './links.ts';
import type { PoolContext, PoolFunction, VfPoolSpec, VfSelector } from './model.ts';
import { carriesNode } from './node-carrier.ts';
import { whyFunctionDiffers } from './selectors.ts';
import { isUserspace } from './userspace.ts';

/** The answer for one device and one pool, in the words of {@link Verdict}. */
export interface Decision {
  readonly takes: boolean;
  readonly why: string;
}

/** Decides for one pool alone; that an earlier pool has it is not its business. */
export function decideFunction(
  spec: VfPoolSpec,
  candidate: PoolFunction,
  context: PoolContext,
  index: LinkIndex,
): Decision {
  const impossible = whyNoCandidate(spec, candidate) ?? whyNodeUsesIt(candidate, context, index);
  if (impossible !== undefined) return { takes: false, why: impossible };
  const every = spec.candidates === 'functions' ? 'function' : 'VF';
  if (spec.selectors.length === 0) return { takes: true, why: `the pool takes every ${every}` };
  const misses: string[] = [];
  for (const selector of spec.selectors) {
    const miss = whyFunctionDiffers(selector, candidate) ?? whyNotIdle(selector, candidate, context);
    if (miss === undefined) {
      const facts = describeMatch(selector, candidate);
      return { takes: true, why: facts === '' ? `the selector is empty and takes every ${every}` : facts };
    }
    if (!misses.includes(miss)) misses.push(miss);
  }
  return { takes: false, why: misses.join('; and ') };
}

function whyNoCandidate(spec: VfPoolSpec, { pci, pf }: PoolFunction): string | undefined {
  if (pf === undefined) {
    const name = pci.ifname ?? pci.address;
    if (spec.candidates !== 'functions') return `${name} is not a VF; only its VFs can be in this pool`;
    // Base class 02, network controllers (PCI Code and ID Assignment Specification).
    if (!pci.class.startsWith('02')) return `${name} is no network function: its PCI class is ${pci.class}`;
    const vfs = Math.max(pci.vfs.length, pci.sriov?.numVfs ?? 0);
    if (vfs > 0) return `${name} has ${vfs} VFs, which can be in the pool instead of it`;
  }
  return pci.driver === undefined ? 'no driver is bound to it' : undefined;
}

function whyNodeUsesIt({ pci, pf }: PoolFunction, context: PoolContext, index: LinkIndex): string | undefined {
  // During ADD and DEL of ours its netdev is here, up and addressed, without being the node's.
  if (pci.netdev === undefined || context.heldDevices.has(pci.address)) return undefined;
  const owner = pf === undefined ? { kind: 'nic', nic: pci } : { kind: 'vf', vf: pci };
  const why = carriesNode({ netdev: pci.netdev, ...owner }, index);
  return why === undefined ? undefined : `the node uses it: ${pci.netdev.ifname} ${why}`;
}

function whyNotIdle(selector: VfSelector, { pci }: PoolFunction, context: PoolContext): string | undefined {
  if (selector.idleNetdev !== true) return undefined;
  if (isUserspace(pci)) return `its driver ${pci.driver} gives it to userspace, so it has no network device`;
  if (pci.netdev !== undefined || context.heldDevices.has(pci.address)) return undefined;
  if (context.settling?.has(pci.address) === true) return undefined;
  return `its network device is not on the node: ${pci.driver} has made none, or it is in a namespace that Berth did not put it into`;
}

/** Empty for a selector that asks for nothing. */
function describeMatch(selector: VfSelector, { pci, pf }: PoolFunction): string {
  const facts: string[] = [];
  if (selector.vendors !== undefined) facts.push(`vendor ${pci.vendor}`);
  if (selector.devices !== undefined) facts.push(`device ${pci.device}`);
  if (selector.drivers !== undefined) facts.push(`driver ${pci.driver}`);
  if (selector.pciAddresses !== undefined) facts.push(`address ${pci.address}`);
  if (pf === undefined && selector.acpiIndexes !== undefined) facts.push(`ACPI index ${pci.acpiIndex}`);
  if (pf !== undefined && selector.pfNames !== undefined) facts.push(`VF ${pci.index} of ${pf.ifname ?? pf.address}`);
  if (pf !== undefined && selector.rootDevices !== undefined) facts.push(`VF ${pci.index} of ${pf.address}`);
  if (pf !== undefined && selector.pfSerials !== undefined) facts.push(`VF ${pci.index} of serial ${pf.serial}`);
  if (pf !== undefined && selector.pfMacs !== undefined) facts.push(`VF ${pci.index} of ${macNames(pf.netdev)[0]}`);
  if (selector.linkTypes !== undefined) facts.push(`link type ${(pci.netdev ?? pf?.netdev)?.linkType}`);
  if (selector.isRdma === true) facts.push('an RDMA device');
  if (selector.idleNetdev === true) {
    facts.push(
      pci.netdev === undefined ? `a VF of driver ${pci.driver}, in a pod` : `an idle VF of driver ${pci.driver}`,
    );
  }
  return facts.join(', ');
}
