/**
 * What CHECK compares the kernel with: what ADD promised for its own link, as far as the result that
 * the runtime kept still says so. Later plugins of a chain may have changed it (another MAC or MTU, a
 * route less), and what others added to the result is theirs to check.
 */
import { addressKey, networkKey } from '../ipam/ip.ts';
import type { LinkCheckInput } from '../links/index.ts';
import type { CheckRequest } from './model.ts';
import type { Route } from './port.ts';
import type { AttachmentRecord } from './record.ts';

/** A record without a result is of an attachment that something else made: what the runtime kept is all there is. */
export function expectedLink(
  { result: promised, ndiscNotify }: Pick<AttachmentRecord, 'result' | 'ndiscNotify'>,
  kept: CheckRequest['expected'],
): LinkCheckInput<unknown>['expected'] {
  if (promised === undefined) return kept;
  const mac = kept.mac ?? promised.mac;
  const keptAddresses = new Set(kept.addresses.map(({ address }) => addressKey(address)));
  const keptRoutes = new Set(kept.routes.map(routeKey));
  return {
    ...(mac === undefined ? {} : { mac }),
    ...(kept.mtu === undefined ? {} : { mtu: kept.mtu }),
    addresses: promised.addresses.filter(({ address }) => keptAddresses.has(addressKey(address))),
    routes: promised.routes.filter((route) => keptRoutes.has(routeKey(route))),
    ...(ndiscNotify === undefined ? {} : { ndiscNotify }),
  };
}

function routeKey({ dst, gateway }: Route): string {
  return `${networkKey(dst)} ${gateway === undefined ? '' : addressKey(gateway)}`;
}
