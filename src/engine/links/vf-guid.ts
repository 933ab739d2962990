/**
 * The GUIDs of an InfiniBand VF: set on the PF, and taken over by the VF when its driver is bound
 * anew, which makes its netdev anew. The hardware address of the netdev ends with the port's GUID.
 */
import type { Link } from '../attachments/port.ts';
import { BerthError } from '../errors.ts';
import type { MacAddress, PciAddress } from '../values.ts';
import type { LinkContext } from './link-driver.ts';
import type { VfSettings } from './vf-settings.ts';

const NO_GUID = '00:00:00:00:00:00:00:00';
/** What a VF has that was given none: firmware takes no zeros. */
const ANY_GUID = 'ff:ff:ff:ff:ff:ff:ff:ff';
const INFINIBAND_TEXT = 59;

const APPEARS_TRIES = 200;
const APPEARS_WAIT_MS = 50;

/** Of an IPoIB address of 20 bytes the last eight; `undefined` for Ethernet. */
export function guidOf(mac: MacAddress | undefined): string | undefined {
  return mac?.length === INFINIBAND_TEXT ? mac.slice(-NO_GUID.length) : undefined;
}

/** Throws `Invalid` (`guid-invalid`) for zeros and ones, which stand for no GUID. */
export function requireGuid(guid: string): void {
  if (guid !== NO_GUID && guid !== ANY_GUID) return;
  throw new BerthError({
    code: 'Invalid',
    reason: 'guid-invalid',
    message: `${guid} stands for no GUID`,
    remedy: 'Ask for another one, or let ib-kubernetes choose it.',
  });
}

/** A VF that is to be used without being given a GUID must have one. Throws `Invalid` (`guid-missing`). */
export function requireOwnGuid(device: PciAddress, link: Link): void {
  const guid = guidOf(link.mac);
  if (guid !== NO_GUID && guid !== ANY_GUID) return;
  throw new BerthError({
    code: 'Invalid',
    reason: 'guid-missing',
    message: `VF ${device} has no GUID (${guid}), and none is given to it`,
    remedy: 'Ask for one (capability infinibandGUID, or ib-kubernetes), or set one on the node for each VF.',
  });
}

/** The baseline to come back to: what cannot be set is replaced by what stands for no GUID. */
export function restorableGuids(settings: VfSettings): VfSettings {
  const { nodeGuid, portGuid } = settings;
  return {
    ...settings,
    ...(nodeGuid === NO_GUID ? { nodeGuid: ANY_GUID } : {}),
    ...(portGuid === NO_GUID ? { portGuid: ANY_GUID } : {}),
  };
}

/** Binds the driver anew and waits for the netdev. Throws `Busy` (`device-vanished`) when none comes. */
export async function makeNetdevAnew(
  context: LinkContext,
  device: PciAddress,
  driver: string,
  signal: AbortSignal,
): Promise<Link> {
  const { kernel } = context;
  await kernel.rebind(device, driver);
  for (let tries = 0; tries < APPEARS_TRIES && !signal.aborted; tries += 1) {
    const ifname = (await kernel.pciFunction(device))?.ifname;
    const link = ifname === undefined ? undefined : await kernel.host.link({ name: ifname });
    if (link !== undefined && (link.pci === undefined || link.pci === device)) return link;
    await context.clock.delay(APPEARS_WAIT_MS, signal);
  }
  throw new BerthError({
    code: 'Busy',
    reason: 'device-vanished',
    message: `VF ${device} has no network device after its driver was bound anew`,
    remedy: 'The runtime tries again; the kernel log tells what the driver did.',
  });
}
