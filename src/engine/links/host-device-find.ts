/** Which device of the node a host-device configuration names. Reads only. */
import type { HostDeviceName } from '../attachments/model.ts';
import type { Link, PciFunction } from '../attachments/port.ts';
import { BerthError } from '../errors.ts';
import type { PciAddress } from '../values.ts';
import type { LinkContext } from './link-driver.ts';

/** What was found; both are absent when the device is not on the node. */
export interface FoundHostDevice {
  readonly pci?: PciFunction;
  readonly link?: Link;
}

/** What a configuration calls the device: the name of its lock and record where the device has no PCI address. */
export function idOfDevice(name: HostDeviceName): string {
  switch (name.by) {
    case 'name':
      return name.name;
    case 'hwaddr':
      return name.mac;
    case 'kernelpath':
      return name.path;
    case 'pci':
      return name.address;
    case 'auxiliary':
      return name.id;
    default:
      return name satisfies never;
  }
}

/** Throws `NotFound` (`device-gone`) for a PCI address that the node does not have. */
export async function findDevice(context: LinkContext, name: HostDeviceName): Promise<FoundHostDevice> {
  if (name.by === 'pci') return await findFunction(context, name.address);
  const link = await findLink(context, name);
  const pci = link?.pci === undefined ? undefined : await context.kernel.pciFunction(link.pci);
  return { ...(link === undefined ? {} : { link }), ...(pci === undefined ? {} : { pci }) };
}

async function findFunction(context: LinkContext, address: PciAddress): Promise<FoundHostDevice> {
  const pci = await context.kernel.pciFunction(address);
  if (pci === undefined) {
    throw new BerthError({
      code: 'NotFound',
      reason: 'device-gone',
      message: `there is no PCI device ${address} on this node`,
      remedy: 'Compare with `berth inventory`; VFs may have been made anew since it was allocated.',
    });
  }
  const link = pci.ifname === undefined ? undefined : await context.kernel.host.link({ name: pci.ifname });
  // Between the two reads it can have been renamed and the name given to another.
  if (link === undefined || (link.pci !== undefined && link.pci !== address)) return { pci };
  return { pci, link };
}

async function findLink(context: LinkContext, name: Exclude<HostDeviceName, { by: 'pci' }>): Promise<Link | undefined> {
  const { host } = context.kernel;
  switch (name.by) {
    case 'name':
      return await host.link({ name: name.name });
    case 'hwaddr': {
      const links = await host.links();
      // The permanent address first: current ones are shared by bonds, VLANs and their members.
      return (
        links.find((link) => link.permanentMac === name.mac) ??
        links.find((link) => link.mac === name.mac && link.kind === undefined) ??
        links.find((link) => link.mac === name.mac)
      );
    }
    case 'kernelpath':
      return await first(context, name.path);
    case 'auxiliary':
      return await first(context, `/sys/bus/auxiliary/devices/${name.id}`);
    default:
      return name satisfies never;
  }
}

async function first(context: LinkContext, path: string): Promise<Link | undefined> {
  for (const ifname of await context.kernel.netdevsAt(path)) {
    const link = await context.kernel.host.link({ name: ifname });
    if (link !== undefined) return link;
  }
  return undefined;
}
