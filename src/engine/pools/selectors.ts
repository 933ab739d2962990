/**
 * Does a selector match, and if not, the sentence that says why. Fields of one selector are joined
 * by AND, the values of a field by OR. Pure; which functions are candidates at all is decided in
 * vf-candidates.ts and uplinks.ts.
 */
import ipaddr from 'ipaddr.js';
import { macNames, serialNames } from '../inventory/identity.ts';
import type { Nic } from '../inventory/model.ts';
import { matchesGlob } from './glob.ts';
import type { NodeLink } from './links.ts';
import type { PoolFunction, UplinkGroup, UplinkSelector, VfPoolSpec, VfRange, VfSelector } from './model.ts';
import { isUserspace } from './userspace.ts';

/**
 * What does not match, put into words when somebody wants to read it: a node with thousands of VFs
 * and many pools asks far more often than people do.
 */
export type Miss = () => string;

/** `undefined` when the selector matches the function, else the first field that does not, in words. */
export function whyFunctionDiffers(selector: VfSelector, candidate: PoolFunction): string | undefined {
  return functionMiss(selector, candidate)?.();
}

/** {@link whyFunctionDiffers}, to be put into words later. */
export function functionMiss(selector: VfSelector, candidate: PoolFunction): Miss | undefined {
  const { pci } = candidate;
  return (
    notListed('vendors', pci.vendor, selector.vendors) ??
    notListed('devices', pci.device, selector.devices) ??
    notOfClass(pci.class, selector.classes) ??
    notListed('drivers', pci.driver, selector.drivers) ??
    notListed('pciAddresses', pci.address, selector.pciAddresses) ??
    notListed('numaNodes', pci.numaNode, selector.numaNodes) ??
    notListed('pcieRoots', pci.pcieRoot, selector.pcieRoots) ??
    notListed('acpiIndexes', acpiIndexOf(candidate), selector.acpiIndexes) ??
    notBelow('pfNames', candidate, pfNamesOf, selector.pfNames) ??
    notBelow('rootDevices', candidate, (pf) => [pf.address], selector.rootDevices) ??
    notBelow('pfSerials', candidate, serialNames, selector.pfSerials) ??
    notBelow('pfMacs', candidate, ({ netdev }) => macNames(netdev), selector.pfMacs) ??
    notInGroups('pfGroups', linkOfPf(candidate), selector.pfGroups) ??
    notInSubnets('pfSubnets', portOf(candidate).netdev?.addresses ?? [], selector.pfSubnets) ??
    notListed('linkTypes', linkTypeOf(candidate), selector.linkTypes) ??
    notListed('ddpProfiles', portOf(candidate).ddpProfile, selector.ddpProfiles) ??
    notListed('pKeys', partitionKeyOf(candidate), selector.pKeys) ??
    (selector.isRdma === true && !hasRdma(candidate) ? () => 'isRdma: it has no RDMA device' : undefined) ??
    notOfVdpaType(candidate, selector.vdpaType)
  );
}

/** The first selector of the pool that matches: what it asks for besides goes into the container. */
export function selectorOf(spec: VfPoolSpec, candidate: PoolFunction): VfSelector | undefined {
  return spec.selectors.find((selector) => functionMiss(selector, candidate) === undefined);
}

/** `undefined` when the selector matches the link, else the first field that does not, in words. */
export function whyUplinkDiffers(selector: UplinkSelector, link: NodeLink): string | undefined {
  return uplinkMiss(selector, link)?.();
}

function uplinkMiss(selector: UplinkSelector, link: NodeLink): Miss | undefined {
  const { netdev } = link;
  const pci = link.nic ?? link.vf;
  return (
    notNamed(netdev.ifname, selector) ??
    noneListed('altnames', netdev.altnames, selector.altnames) ??
    notListed('kinds', link.kind, selector.kinds) ??
    notListed('drivers', pci?.driver, selector.drivers) ??
    notListed('pciAddresses', pci?.address, selector.pciAddresses) ??
    notListed('numaNodes', pci?.numaNode, selector.numaNodes) ??
    notListed('pcieRoots', pci?.pcieRoot, selector.pcieRoots) ??
    noneListed('serials', link.nic === undefined ? [] : serialNames(link.nic), selector.serials) ??
    noneListed('macs', macNames(netdev), selector.macs) ??
    notInGroups('groups', link, selector.groups) ??
    notInSubnets('subnets', netdev.addresses, selector.subnets)
  );
}

/**
 * The selector points at this very link instead of describing a group of them. A pattern does not;
 * a group does where one of its selectors does.
 */
export function namesUplink(selector: UplinkSelector, link: NodeLink): boolean {
  const { altnames, groups, kinds, macs, names, pciAddresses, serials } = selector;
  if ([altnames, kinds, macs, pciAddresses, serials].some((field) => field !== undefined)) return true;
  if (names?.includes(link.netdev.ifname) === true) return true;
  return (groups ?? [])
    .flatMap(({ uplinks }) => uplinks)
    .some((one) => uplinkMiss(one, link) === undefined && namesUplink(one, link));
}

function acpiIndexOf({ pci, pf }: PoolFunction): string | undefined {
  return pf === undefined && pci.acpiIndex !== undefined ? String(pci.acpiIndex) : undefined;
}

/** The port on the card: the PF of a VF, a NIC itself. */
function portOf({ pci, pf }: PoolFunction): Nic {
  return pf ?? pci;
}

function linkOfPf(candidate: PoolFunction): NodeLink | undefined {
  const nic = portOf(candidate);
  return nic.netdev === undefined ? undefined : { netdev: nic.netdev, kind: 'nic', nic };
}

/** A VF whose netdev is in a namespace of its own is judged by its PF, which stays here. */
function isElsewhere({ pci, pf }: PoolFunction): boolean {
  return pf !== undefined && pci.netdev === undefined && !isUserspace(pci);
}

function linkTypeOf(candidate: PoolFunction): string | undefined {
  return isElsewhere(candidate) ? candidate.pf?.netdev?.linkType : candidate.pci.netdev?.linkType;
}

/** With RDMA in exclusive mode a VF's RDMA device is in the pod as well. */
function hasRdma(candidate: PoolFunction): boolean {
  if (candidate.pci.deviceNodes.rdma !== undefined) return true;
  return isElsewhere(candidate) && candidate.pf?.deviceNodes.rdma !== undefined;
}

/** The subnet manager gives a VF keys of its own; while its RDMA device is away nobody can tell them. */
function partitionKeyOf({ pci }: PoolFunction): string | undefined {
  return pci.rdma?.[0]?.partitionKeys?.[0];
}

function notOfVdpaType({ pci }: PoolFunction, wanted: VfSelector['vdpaType']): Miss | undefined {
  if (wanted === undefined || pci.vdpa?.some(({ type }) => type === wanted) === true) return undefined;
  return () => {
    const has = pci.vdpa?.map(({ name, type }) => `${name} (${type ?? 'no driver'})`).join(', ') ?? 'no vDPA device';
    return `vdpaType: ${has} is not ${wanted}`;
  };
}

function pfNamesOf(pf: Nic): readonly string[] {
  return pf.netdev === undefined ? [] : [pf.netdev.ifname, ...pf.netdev.altnames];
}

function notListed<T extends string | number>(
  field: string,
  value: T | undefined,
  list: readonly T[] | undefined,
): Miss | undefined {
  if (list === undefined || (value !== undefined && list.includes(value))) return undefined;
  return () => `${field}: ${value ?? 'none'} is not in [${list.join(', ')}]`;
}

function noneListed(field: string, values: readonly string[], list: readonly string[] | undefined): Miss | undefined {
  if (list === undefined || values.some((value) => list.includes(value))) return undefined;
  return () => `${field}: ${values.length === 0 ? 'none' : values.join(', ')} is not in [${list.join(', ')}]`;
}

function notOfClass(pciClass: string, classes: readonly string[] | undefined): Miss | undefined {
  if (classes === undefined || classes.some((prefix) => pciClass.startsWith(prefix))) return undefined;
  return () => `classes: ${pciClass} is not in [${classes.join(', ')}]`;
}

function notNamed(ifname: string, { names, namePatterns }: UplinkSelector): Miss | undefined {
  if (names === undefined && namePatterns === undefined) return undefined;
  if (names?.includes(ifname) === true) return undefined;
  if (namePatterns?.some((pattern) => matchesGlob(pattern, ifname)) === true) return undefined;
  return () => `names: ${ifname} is not in [${[...(names ?? []), ...(namePatterns ?? [])].join(', ')}]`;
}

function notInGroups(
  field: string,
  link: NodeLink | undefined,
  groups: readonly UplinkGroup[] | undefined,
): Miss | undefined {
  if (groups === undefined) return undefined;
  const isIn = (one: UplinkSelector): boolean => link !== undefined && uplinkMiss(one, link) === undefined;
  if (groups.some(({ uplinks }) => uplinks.some(isIn))) return undefined;
  return () => `${field}: ${link?.netdev.ifname ?? 'none'} is not in [${groups.map(({ name }) => name).join(', ')}]`;
}

function notBelow(
  field: string,
  { pci, pf }: PoolFunction,
  namesOf: (pf: Nic) => readonly string[],
  list: readonly VfRange[] | undefined,
): Miss | undefined {
  if (list === undefined) return undefined;
  if (pf === undefined)
    return () => `${field}: ${pci.ifname ?? pci.address} is not a VF, and ${field} matches VFs only`;
  const { index } = pci;
  const pfNames = namesOf(pf);
  const ofPf = list.filter((entry) => isOfPf(entry, pfNames));
  if (ofPf.some((entry) => isInRanges(entry, index))) return undefined;
  return () => {
    const wanted = (ofPf.length > 0 ? ofPf : list).map(formatRange).join(', ');
    return ofPf.length > 0
      ? `${field}: VF ${index} is not in ${wanted}`
      : `${field}: ${pfNames[0] ?? 'a PF without a network device'} is not in [${wanted}]`;
  };
}

/** The range speaks of a PF that goes by one of these names. */
export function isOfPf({ pf, isPattern }: VfRange, names: readonly string[]): boolean {
  return isPattern === true ? names.some((name) => matchesGlob(pf, name)) : names.includes(pf);
}

/** The VF's number is in the range, or the range is all VFs. */
export function isInRanges({ ranges }: VfRange, index: number): boolean {
  return ranges?.some(([first, last]) => index >= first && index <= last) ?? true;
}

/** `eth0#0-3,7`, as the configuration writes it. */
export function formatRange(range: VfRange): string {
  if (range.ranges === undefined) return range.pf;
  const parts = range.ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  return `${range.pf}#${parts.join(',')}`;
}

function notInSubnets(
  field: string,
  addresses: readonly string[],
  subnets: readonly string[] | undefined,
): Miss | undefined {
  if (subnets === undefined) return undefined;
  const parsed = subnets.map((subnet) => ipaddr.parseCIDR(subnet));
  const inside = addresses.some((address) => {
    const [own] = ipaddr.parseCIDR(address);
    return parsed.some(([net, bits]) => own.kind() === net.kind() && own.match(net, bits));
  });
  if (inside) return undefined;
  const has = addresses.length === 0 ? 'no address' : addresses.join(', ');
  return () => `${field}: ${has} is not in [${subnets.join(', ')}]`;
}
