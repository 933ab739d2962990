/** Where a VF's PF-side settings are made. */
import type { PciFunction } from '../attachments/port.ts';
import type { LinkContext } from './link-driver.ts';
import type { VfPlace } from './vf-settings.ts';

/** `undefined` when the PF has no netdev on the node, or the function is no VF. */
export async function findPlace(context: LinkContext, fn: PciFunction): Promise<VfPlace | undefined> {
  if (fn.pf?.ifname === undefined || fn.vfIndex === undefined) return undefined;
  const pf = await context.kernel.host.link({ name: fn.pf.ifname });
  return pf === undefined ? undefined : { device: fn.address, pfName: pf.name, pfIndex: pf.index, vf: fn.vfIndex };
}
