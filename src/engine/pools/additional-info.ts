/** Keys and values that a pool's author gives containers along with a device. */
import { macNames, serialNames } from '../inventory/identity.ts';
import type { PoolFunction, VfPoolSpec } from './model.ts';
import { isInRanges, isOfPf } from './selectors.ts';

/**
 * For all devices first, then by the port in the order of the file, then by the function's own
 * address: what is said later, and closer to the device, wins. `id` is for a device that is gone.
 */
export function additionalInfoOf(
  spec: Pick<VfPoolSpec, 'additionalInfo' | 'infoByPort'>,
  candidate: PoolFunction | undefined,
  id: string,
): Readonly<Record<string, string>> {
  const { additionalInfo, infoByPort = [] } = spec;
  const ofPort = candidate === undefined ? [] : infoByPort.filter(({ port }) => isOf(port, candidate));
  return Object.assign(
    {},
    additionalInfo['*'],
    ...ofPort.map(({ info }) => info),
    additionalInfo[candidate?.pci.address ?? id],
  ) as Readonly<Record<string, string>>;
}

/** A VF by its PF and number; a NIC that is given away whole by itself. */
function isOf(range: Parameters<typeof isOfPf>[0], { pci, pf }: PoolFunction): boolean {
  const port = pf ?? pci;
  const { netdev } = port;
  const own = netdev === undefined ? [] : [netdev.ifname, ...netdev.altnames];
  if (!isOfPf(range, [port.address, ...own, ...macNames(netdev), ...serialNames(port)])) return false;
  return pf === undefined ? range.ranges === undefined : isInRanges(range, pci.index);
}
