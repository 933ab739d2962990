/** From the kernel's notifications to hints of what to read again. Pure. */
import type { ChangeHint } from '../engine/inventory/port.ts';
import { asPciAddress, type PciAddress } from '../engine/values.ts';
import { RTM_DELADDR, RTM_NEWADDR, readAddress } from './netlink/address.ts';
import { RTM_DELLINK, RTM_NEWLINK, readLink } from './netlink/link.ts';
import { RTM_DELNSID, readNsid } from './netlink/nsid.ts';
import { RTM_DELROUTE, RTM_NEWROUTE, readRoute } from './netlink/route.ts';
import type { Uevent } from './netlink/uevent.ts';
import type { Message } from './netlink/wire/message.ts';

/** A notification of a bridge's port: its end is not the link's. */
const AF_BRIDGE = 7;
const PCI_ACTIONS = ['add', 'remove', 'bind', 'unbind'] as const;
/** ERROR_EVENT of pci_uevent_ers (drivers/pci/pci-driver.c). */
const RECOVERIES: ReadonlyMap<string, 'begun' | 'over' | 'failed'> = new Map([
  ['BEGIN_RECOVERY', 'begun'],
  ['SUCCESSFUL_RECOVERY', 'over'],
  ['FAILED_RECOVERY', 'failed'],
] as const);
/** What makes device nodes or drivers that the inventory tells of. */
const SUBSYSTEMS = new Set([
  'infiniband',
  'infiniband_verbs',
  'infiniband_mad',
  'vfio',
  'vfio-dev',
  'uio',
  'auxiliary',
  'vdpa',
  'module',
  'drivers',
]);

export type Notice =
  | { readonly kind: 'hint'; readonly hint: ChangeHint }
  | { readonly kind: 'namespace-gone'; readonly nsid: number };

/** What a message of an rtnetlink group tells; `undefined` when it is of no concern. */
export function noticeOfMessage(message: Message): Notice | undefined {
  const { type, payload } = message;
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      const link = readLink(payload);
      const isGone = type === RTM_DELLINK && payload.readUInt8(0) !== AF_BRIDGE;
      const behind = link.pci === undefined ? {} : { device: link.pci };
      return hint({ kind: 'link', ifindex: link.index, ifname: link.name, action: isGone ? 'del' : 'new', ...behind });
    }
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return hint({ kind: 'address', ifindex: readAddress(payload).ifindex });
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const route = readRoute(payload);
      return route?.isDefault && route.unicast && !route.cached ? hint({ kind: 'route' }) : undefined;
    }
    case RTM_DELNSID: {
      const nsid = readNsid(payload);
      return nsid === undefined ? undefined : { kind: 'namespace-gone', nsid };
    }
    default:
      return undefined;
  }
}

function hint(value: ChangeHint): Notice {
  return { kind: 'hint', hint: value };
}

/** What a uevent tells; links themselves come by rtnetlink, here only the function behind them. */
export function hintsOfUevent(event: Uevent): readonly ChangeHint[] {
  if (event.subsystem === 'pci') {
    const slot = event.variables.get('PCI_SLOT_NAME');
    const address = slot === undefined ? pciAddressIn(event.devpath) : asPciAddress(slot);
    const action = PCI_ACTIONS.find((name) => name === event.action) ?? 'change';
    const recovery = RECOVERIES.get(event.variables.get('ERROR_EVENT') ?? '');
    return address === undefined
      ? []
      : [{ kind: 'pci', address, action, ...(recovery === undefined ? {} : { recovery }) }];
  }
  const isTold = event.subsystem === 'net' || SUBSYSTEMS.has(event.subsystem);
  if (!isTold) return [];
  const hints: ChangeHint[] = [];
  const behind = pciAddressIn(event.devpath);
  if (behind !== undefined) hints.push({ kind: 'pci', address: behind, action: 'change' });
  if (event.subsystem !== 'net') hints.push({ kind: 'module', subsystem: event.subsystem, devpath: event.devpath });
  return hints;
}

/** The innermost PCI function of a device path. */
function pciAddressIn(devpath: string): PciAddress | undefined {
  return devpath
    .split('/')
    .reverse()
    .map(asPciAddress)
    .find((address) => address !== undefined);
}
