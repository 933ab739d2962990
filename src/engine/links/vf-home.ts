/**
 * Where a VF's netdev is. A VF is found by its PCI address, wherever it is: still in the sandbox, on
 * its way home from a dying one, or home already under the name it had in the pod.
 */

import type { Link, Namespace, PciFunction } from '../attachments/port.ts';
import type { IfName, PciAddress } from '../values.ts';
import type { LinkContext, OwnershipMarks } from './link-driver.ts';
import type { MovedNetdev } from './netdev-home.ts';

/** The VF's link in a namespace: by PCI address, or by our alias where the kernel does not tell one. Most often it is `expected`. */
export async function findVf(
  namespace: Namespace,
  device: PciAddress,
  marks: OwnershipMarks,
  expected: IfName,
): Promise<Link | undefined> {
  const likely = await namespace.link({ name: expected });
  if (likely?.pci === device) return likely;
  const links = await namespace.links();
  return (
    links.find((link) => link.pci === device) ??
    links.find(
      (link) =>
        link.pci === undefined &&
        link.kind === undefined &&
        (link.alias === marks.alias || link.name === marks.tempName),
    )
  );
}

/** How `bringHome` finds a VF. */
export function movedVf(
  context: LinkContext,
  device: PciAddress,
  marks: OwnershipMarks,
  names: { readonly inside: IfName; readonly home: IfName },
): MovedNetdev {
  return {
    label: `VF ${device}`,
    marks,
    homeName: names.home,
    findIn: (sandbox) => findVf(sandbox, device, marks, names.inside),
    findHome: async () => {
      const current = await context.kernel.pciFunction(device);
      return current === undefined ? 'gone' : await hostLink(context, current);
    },
  };
}

async function hostLink(context: LinkContext, fn: PciFunction): Promise<Link | undefined> {
  if (fn.ifname === undefined) return undefined;
  const link = await context.kernel.host.link({ name: fn.ifname });
  // Between the two reads it can have been renamed and the name given to another.
  return link?.pci === undefined || link.pci === fn.address ? link : undefined;
}
