/**
 * Does a pool of functions take this one? Candidates first (a function of the kind that the pool
 * gives away, bound to a driver, not in use by the node), then the pool's selectors. A function that
 * is in a pod has no netdev here and is judged without it.
 */
import { macNames } from '../inventory/identity.ts';
import { deviceIdOf, type LinkIndex } from './links.ts';
import type { PoolContext, PoolFunction, VfPoolSpec, VfSelector } from './model.ts';
import { carriesNode } from './node-carrier.ts';
import { formatRange, functionMiss, isInRanges, isOfPf, type Miss } from './selectors.ts';
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
  const impossible = whyImpossible(spec, candidate, context, index);
  if (impossible !== undefined) return { takes: false, why: impossible };
  const every = NOUNS[spec.candidates ?? 'vfs'];
  if (spec.selectors.length === 0) return { takes: true, why: `the pool takes every ${every}` };
  const misses = new Set<string>();
  for (const selector of spec.selectors) {
    const miss = missOf(selector, candidate, context);
    if (miss === undefined) {
      const facts = describeMatch(selector, candidate);
      return { takes: true, why: facts === '' ? `the selector is empty and takes every ${every}` : facts };
    }
    misses.add(miss());
  }
  return { takes: false, why: [...misses].join('; and ') };
}

/** {@link decideFunction} without its words, which cost more than the decision. */
export function takesFunction(
  spec: VfPoolSpec,
  candidate: PoolFunction,
  context: PoolContext,
  index: LinkIndex,
): boolean {
  if (whyImpossible(spec, candidate, context, index) !== undefined) return false;
  const { selectors } = spec;
  return selectors.length === 0 || selectors.some((selector) => missOf(selector, candidate, context) === undefined);
}

function whyImpossible(
  spec: VfPoolSpec,
  candidate: PoolFunction,
  context: PoolContext,
  index: LinkIndex,
): string | undefined {
  return whyNoCandidate(spec, candidate) ?? whyKeptBack(spec, candidate) ?? whyNodeUsesIt(candidate, context, index);
}

function missOf(selector: VfSelector, candidate: PoolFunction, context: PoolContext): Miss | undefined {
  return functionMiss(selector, candidate) ?? notIdle(selector, candidate, context);
}

const NOUNS = {
  vfs: 'VF',
  functions: 'function',
  accelerators: 'accelerator',
  scalable: 'scalable function',
} as const;

const PLURALS = {
  vfs: 'VFs',
  functions: 'network functions',
  accelerators: 'accelerators',
  scalable: 'scalable functions',
} as const;

function familyOf({ sf, isAccelerator }: PoolFunction): string {
  if (sf !== undefined) return 'a scalable function';
  return isAccelerator === true ? 'an accelerator' : 'a network function';
}

/** The function is of the family that the pool is about; of others people need not be told. */
export function isOfFamily({ candidates = 'vfs' }: VfPoolSpec, { sf, isAccelerator = false }: PoolFunction): boolean {
  return (candidates === 'scalable') === (sf !== undefined) && (candidates === 'accelerators') === isAccelerator;
}

function whyNoCandidate(spec: VfPoolSpec, candidate: PoolFunction): string | undefined {
  const { pci, pf } = candidate;
  const name = candidate.sf?.name ?? pci.ifname ?? pci.address;
  if (!isOfFamily(spec, candidate)) {
    return `${name} is ${familyOf(candidate)}, and the pool takes ${PLURALS[spec.candidates ?? 'vfs']}`;
  }
  if (pf === undefined) {
    if (spec.candidates === undefined || spec.candidates === 'vfs') {
      return `${name} is not a VF; only its VFs can be in this pool`;
    }
    // Base class 02, network controllers (PCI Code and ID Assignment Specification).
    if (candidate.isAccelerator !== true && !pci.class.startsWith('02')) {
      return `${name} is no network function: its PCI class is ${pci.class}`;
    }
    const vfs = Math.max(pci.vfs.length, pci.sriov?.numVfs ?? 0);
    if (vfs > 0) return `${name} has ${vfs} VFs, which can be in the pool instead of it`;
  }
  return pci.driver === undefined ? 'no driver is bound to it' : undefined;
}

function whyKeptBack(spec: VfPoolSpec, { pci, pf }: PoolFunction): string | undefined {
  if (pf === undefined) return undefined;
  const { keepBack = 0 } = spec.perPf ?? {};
  const pfName = pf.ifname ?? pf.address;
  if (pci.index < keepBack)
    return `the pool keeps back the first ${keepBack} of ${pfName}, and it is number ${pci.index}`;
  if (spec.keptBack === undefined || spec.keptBack.length === 0) return undefined;
  const names = [pf.address, ...(pf.netdev === undefined ? [] : [pf.netdev.ifname, ...pf.netdev.altnames])];
  const range = spec.keptBack.find((entry) => isOfPf(entry, names) && isInRanges(entry, pci.index));
  return range === undefined ? undefined : `${formatRange(range)} is kept back for the node`;
}

function whyNodeUsesIt(candidate: PoolFunction, context: PoolContext, index: LinkIndex): string | undefined {
  const { pci, pf } = candidate;
  // During ADD and DEL of ours its netdev is here, up and addressed, without being the node's.
  if (pci.netdev === undefined || context.heldDevices.has(deviceIdOf(candidate))) return undefined;
  const owner = pf === undefined ? { kind: 'nic', nic: pci } : { kind: 'vf', vf: pci };
  const why = carriesNode({ netdev: pci.netdev, ...owner }, index);
  return why === undefined ? undefined : `the node uses it: ${pci.netdev.ifname} ${why}`;
}

function notIdle(selector: VfSelector, candidate: PoolFunction, context: PoolContext): Miss | undefined {
  const { pci } = candidate;
  if (selector.idleNetdev !== true) return undefined;
  if (isUserspace(pci)) return () => `its driver ${pci.driver} gives it to userspace, so it has no network device`;
  const id = deviceIdOf(candidate);
  if (pci.netdev !== undefined || context.heldDevices.has(id)) return undefined;
  if (context.settling?.has(id) === true) return undefined;
  return () =>
    `its network device is not on the node: ${pci.driver} has made none, or it is in a namespace that Berth did not put it into`;
}

/** Empty for a selector that asks for nothing. */
function describeMatch(selector: VfSelector, { pci, pf }: PoolFunction): string {
  const facts: string[] = [];
  const port = pf ?? pci;
  if (selector.vendors !== undefined) facts.push(`vendor ${pci.vendor}`);
  if (selector.devices !== undefined) facts.push(`device ${pci.device}`);
  if (selector.classes !== undefined) facts.push(`class ${pci.class}`);
  if (selector.drivers !== undefined) facts.push(`driver ${pci.driver}`);
  if (selector.pciAddresses !== undefined) facts.push(`address ${pci.address}`);
  if (pf === undefined && selector.acpiIndexes !== undefined) facts.push(`ACPI index ${pci.acpiIndex}`);
  if (pf !== undefined && selector.pfNames !== undefined) facts.push(`VF ${pci.index} of ${pf.ifname ?? pf.address}`);
  if (pf !== undefined && selector.rootDevices !== undefined) facts.push(`VF ${pci.index} of ${pf.address}`);
  if (pf !== undefined && selector.pfSerials !== undefined) facts.push(`VF ${pci.index} of serial ${pf.serial}`);
  if (pf !== undefined && selector.pfMacs !== undefined) facts.push(`VF ${pci.index} of ${macNames(pf.netdev)[0]}`);
  if (selector.numaNodes !== undefined) facts.push(`NUMA node ${pci.numaNode}`);
  if (selector.pcieRoots !== undefined) facts.push(`PCIe root ${pci.pcieRoot}`);
  if (selector.pfGroups !== undefined) facts.push(`${port.ifname} is in the group`);
  if (selector.pfSubnets !== undefined) facts.push(`${port.ifname} has ${port.netdev?.addresses.join(', ')}`);
  if (selector.linkTypes !== undefined) facts.push(`link type ${(pci.netdev ?? pf?.netdev)?.linkType}`);
  if (selector.ddpProfiles !== undefined) facts.push(`DDP package ${port.ddpProfile}`);
  if (selector.pKeys !== undefined) facts.push(`partition key ${pci.rdma?.[0]?.partitionKeys?.[0]}`);
  if (selector.isRdma === true) facts.push('an RDMA device');
  if (selector.vdpaType !== undefined) facts.push(`a vDPA device of type ${selector.vdpaType}`);
  if (selector.idleNetdev === true) {
    facts.push(
      pci.netdev === undefined ? `a VF of driver ${pci.driver}, in a pod` : `an idle VF of driver ${pci.driver}`,
    );
  }
  return facts.join(', ');
}
