/** From netlink's link to the engine's. */
import type { Link, VfState } from '../../engine/attachments/port.ts';
import type { VfSettings } from '../../engine/inventory/model.ts';
import type { LinkMessage } from '../netlink/link.ts';
import { malformed } from '../netlink/wire/attribute.ts';

const SHOWN = [
  'alias',
  'group',
  'kind',
  'mac',
  'permanentMac',
  'promiscuous',
  'allMulticast',
  'carrier',
  'parentIndex',
  'parentNsid',
  'masterIndex',
  'pci',
  'macvlan',
  'ipvlan',
  'vlan',
] as const;

export function linkView(message: LinkMessage): Link {
  const { mtuBytes } = message;
  if (mtuBytes === undefined) throw malformed(`link ${message.index} (${message.name}) without an MTU`);
  const { index, name, altnames, up } = message;
  return Object.assign({ index, name, altnames, mtu: mtuBytes, up }, pick(message, ...SHOWN));
}

export function vfView(settings: VfSettings): VfState {
  const { adminMac, ...rest } = settings;
  return { ...rest, ...(adminMac === undefined ? {} : { mac: adminMac }) };
}

/** Those of the keys that are present: an absent fact stays absent, not `undefined`. */
export function pick<T extends object, Key extends keyof T>(from: T, ...keys: readonly Key[]): Pick<T, Key> {
  const picked: Partial<Pick<T, Key>> = {};
  for (const key of keys) if (from[key] !== undefined) picked[key] = from[key];
  return picked as Pick<T, Key>;
}
