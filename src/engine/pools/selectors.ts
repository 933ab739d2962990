/**
 * Does a selector match, and if not, the sentence that says why. Fields of one selector are joined
 * by AND, the values of a field by OR. Pure; which functions are candidates at all is decided in
 * vf-candidates.ts and uplinks.ts.
 */
import ipaddr from 'ipaddr.js';
import { macNames, serialNames } from '../inventory/identity.ts';
import type { Nic } from '../inventory/model.ts';
import type { NodeLink } from './links.ts';
import type { PoolFunction, UplinkSelector, VfPoolSpec, VfRange, VfSelector } from './model.ts';
import { isUserspace } from './userspace.ts';

/** `undefined` when the selector matches the function, else the first field that does not, in words. */
export function whyFunctionDiffers(selector: VfSelector, candidate: PoolFunction): string | undefined {
  const { pci } = candidate;
  return (
    notListed('vendors', pci.vendor, selector.vendors) ??
    notListed('devices', pci.device, selector.devices) ??
    notListed('drivers', pci.driver, selector.drivers) ??
    notListed('pciAddresses', pci.address, selector.pciAddresses) ??
    notListed('acpiIndexes', acpiIndexOf(candidate), selector.acpiIndexes) ??
    notBelow('pfNames', candidate, pfNamesOf, selector.pfNames) ??
    notBelow('rootDevices', candidate, (pf) => [pf.address], selector.rootDevices) ??
    notBelow('pfSerials', candidate, serialNames, selector.pfSerials) ??
    notBelow('pfMacs', candidate, ({ netdev }) => macNames(netdev), selector.pfMacs) ??
    notListed('linkTypes', linkTypeOf(candidate), selector.linkTypes) ??
    (selector.isRdma === true && !hasRdma(candidate) ? 'isRdma: it has no RDMA device' : undefined)
  );
}

/** The first selector of the pool that matches: what it asks for besides goes into the container. */
export function selectorOf(spec: VfPoolSpec, candidate: PoolFunction): VfSelector | undefined {
  return spec.selectors.find((selector) => whyFunctionDiffers(selector, candidate) === undefined);
}

/** `undefined` when the selector matches the link, else the first field that does not, in words. */
export function whyUplinkDiffers(selector: UplinkSelector, link: NodeLink): string | undefined {
  const { netdev } = link;
  const pci = link.nic ?? link.vf;
  return (
    notListed('names', netdev.ifname, selector.names) ??
    noneListed('altnames', netdev.altnames, selector.altnames) ??
    notListed('drivers', pci?.driver, selector.drivers) ??
    notListed('pciAddresses', pci?.address, selector.pciAddresses) ??
    noneListed('serials', link.nic === undefined ? [] : serialNames(link.nic), selector.serials) ??
    noneListed('macs', macNames(netdev), selector.macs) ??
    notInSubnets(netdev.addresses, selector.subnets)
  );
}

/** The selector points at single links instead of describing a group of them. */
export function namesItsUplinks(selector: UplinkSelector): boolean {
  const { altnames, macs, names, pciAddresses, serials } = selector;
  return [altnames, macs, names, pciAddresses, serials].some((field) => field !== undefined);
}

function acpiIndexOf({ pci, pf }: PoolFunction): string | undefined {
  return pf === undefined && pci.acpiIndex !== undefined ? String(pci.acpiIndex) : undefined;
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

function pfNamesOf(pf: Nic): readonly string[] {
  return pf.netdev === undefined ? [] : [pf.netdev.ifname, ...pf.netdev.altnames];
}

function notListed(field: string, value: string | undefined, list: readonly string[] | undefined): string | undefined {
  if (list === undefined || (value !== undefined && list.includes(value))) return undefined;
  return `${field}: ${value ?? 'none'} is not in [${list.join(', ')}]`;
}

function noneListed(field: string, values: readonly string[], list: readonly string[] | undefined): string | undefined {
  if (list === undefined || values.some((value) => list.includes(value))) return undefined;
  return `${field}: ${values.length === 0 ? 'none' : values.join(', ')} is not in [${list.join(', ')}]`;
}

function notBelow(
  field: string,
  { pci, pf }: PoolFunction,
  namesOf: (pf: Nic) => readonly string[],
  list: readonly VfRange[] | undefined,
): string | undefined {
  if (list === undefined) return undefined;
  if (pf === undefined) return `${field}: ${pci.ifname ?? pci.address} is not a VF, and ${field} matches VFs only`;
  const { index } = pci;
  const pfNames = namesOf(pf);
  const ofPf = list.filter((entry) => pfNames.includes(entry.pf));
  if (ofPf.some((entry) => entry.ranges?.some(([first, last]) => index >= first && index <= last) ?? true)) {
    return undefined;
  }
  const wanted = (ofPf.length > 0 ? ofPf : list).map(formatRange).join(', ');
  return ofPf.length > 0
    ? `${field}: VF ${index} is not in ${wanted}`
    : `${field}: ${pfNames[0] ?? 'a PF without a network device'} is not in [${wanted}]`;
}

/** `eth0#0-3,7`, as the configuration writes it. */
export function formatRange(range: VfRange): string {
  if (range.ranges === undefined) return range.pf;
  const parts = range.ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  return `${range.pf}#${parts.join(',')}`;
}

function notInSubnets(addresses: readonly string[], subnets: readonly string[] | undefined): string | undefined {
  if (subnets === undefined) return undefined;
  const parsed = subnets.map((subnet) => ipaddr.parseCIDR(subnet));
  const inside = addresses.some((address) => {
    const [own] = ipaddr.parseCIDR(address);
    return parsed.some(([net, bits]) => own.kind() === net.kind() && own.match(net, bits));
  });
  if (inside) return undefined;
  const has = addresses.length === 0 ? 'no address' : addresses.join(', ');
  return `subnets: ${has} is not in [${subnets.join(', ')}]`;
}
