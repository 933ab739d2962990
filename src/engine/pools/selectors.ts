/**
 * Does a selector match, and if not, the sentence that says why. Fields of one selector are joined
 * by AND, the values of a field by OR. Pure; which functions are candidates at all is decided in
 * vf-candidates.ts and uplinks.ts.
 */
import ipaddr from 'ipaddr.js';
import type { Nic, Vf } from '../inventory/model.ts';
import type { NodeLink } from './links.ts';
import type { UplinkSelector, VfRange, VfSelector } from './model.ts';

/** `undefined` when the selector matches the VF, else the first field that does not, in words. */
export function whyVfDiffers(selector: VfSelector, vf: Vf, pf: Nic): string | undefined {
  return (
    notListed('vendors', vf.vendor, selector.vendors) ??
    notListed('devices', vf.device, selector.devices) ??
    notListed('drivers', vf.driver, selector.drivers) ??
    notListed('pciAddresses', vf.address, selector.pciAddresses) ??
    notInRanges('pfNames', pfNamesOf(pf), vf.index, selector.pfNames) ??
    notInRanges('rootDevices', [pf.address], vf.index, selector.rootDevices)
  );
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
    notInSubnets(netdev.addresses, selector.subnets)
  );
}

/** The selector points at single links instead of describing a group of them. */
export function namesItsUplinks(selector: UplinkSelector): boolean {
  return selector.names !== undefined || selector.altnames !== undefined || selector.pciAddresses !== undefined;
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

function notInRanges(
  field: string,
  pfNames: readonly string[],
  index: number,
  list: readonly VfRange[] | undefined,
): string | undefined {
  if (list === undefined) return undefined;
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
