/**
 * Queues, rings and features of an interface (linux/ethtool_netlink.h, the generic netlink family
 * `ethtool`). Codecs only. The same by hand: `ethtool -l`, `-g` and `-k`.
 */
import type { QueueCounts, RingSizes } from '../../engine/inventory/model.ts';
import { genericAttributes, writeGenericHeader } from './genetlink.ts';
import {
  type Attribute,
  type AttributeWriter,
  findAttribute,
  malformed,
  readAttributes,
  text,
  u32,
} from './wire/attribute.ts';

/** Name of the family. */
export const ETHTOOL_GENL_NAME = 'ethtool';

/** The questions, each with the request's command. */
export const ETHTOOL_MSG = { features: 11, rings: 15, channels: 17 } as const;

/** Every request and answer begins with it, whatever its command. */
const ETHTOOL_A_HEADER = 1;
const ETHTOOL_A_HEADER_DEV_INDEX = 1;
const ETHTOOL_A_FEATURES_ACTIVE = 4;
const ETHTOOL_A_BITSET_BITS = 3;
const ETHTOOL_A_BITSET_BIT_NAME = 2;
/** ETHTOOL_A_CHANNELS_RX_MAX and so on. */
const CHANNELS = { rxMax: 2, txMax: 3, combinedMax: 5, rx: 6, tx: 7, combined: 9 } as const;
/** ETHTOOL_A_RINGS_RX_MAX and so on. */
const RINGS = { rxMax: 2, txMax: 5, rx: 6, tx: 9 } as const;
/** More than any kernel has features; a list is kept in the inventory for each NIC. */
const MOST_FEATURES = 128;
/** What drivers say when there is no limit. */
const NO_LIMIT = 0xffffffff;

/** One question about an interface; EOPNOTSUPP when the driver does not offer the answer. */
export function writeEthtoolGet(writer: AttributeWriter, command: number, ifindex: number): void {
  writeGenericHeader(writer, command);
  writer.nest(ETHTOOL_A_HEADER, () => {
    writer.u32(ETHTOOL_A_HEADER_DEV_INDEX, ifindex);
  });
}

/** The same question about all interfaces of the namespace, for a dump; drivers that do not offer the answer are left out. */
export function writeEthtoolDump(writer: AttributeWriter, command: number): void {
  writeGenericHeader(writer, command);
  // Up to Linux 6.6 at least, no header at all is EINVAL; an empty one is every interface.
  writer.nest(ETHTOOL_A_HEADER, () => undefined);
}

/** Which interface an answer is about. Throws `netlink-malformed` when it does not tell. */
export function readEthtoolIndex(payload: Buffer): number {
  const header = nested(readAttributes(genericAttributes(payload, 'ethtool')), ETHTOOL_A_HEADER);
  const index = findAttribute(header, ETHTOOL_A_HEADER_DEV_INDEX);
  if (index === undefined) throw malformed('an answer of ethtool without an interface');
  return u32(index);
}

/** ETHTOOL_MSG_CHANNELS_GET_REPLY: kinds of channels that the NIC does not have are absent. */
export function readChannels(payload: Buffer): QueueCounts {
  const number = numbersOf(payload, 'channels');
  return {
    ...kind('combined', number(CHANNELS.combined), number(CHANNELS.combinedMax)),
    ...kind('rx', number(CHANNELS.rx), number(CHANNELS.rxMax)),
    ...kind('tx', number(CHANNELS.tx), number(CHANNELS.txMax)),
  };
}

/** ETHTOOL_MSG_RINGS_GET_REPLY. */
export function readRings(payload: Buffer): RingSizes {
  const number = numbersOf(payload, 'rings');
  return {
    ...kind('rx', number(RINGS.rx), number(RINGS.rxMax)),
    ...kind('tx', number(RINGS.tx), number(RINGS.txMax)),
  };
}

/** ETHTOOL_MSG_FEATURES_GET_REPLY: names of the active features, in the kernel's order. */
export function readFeatures(payload: Buffer): readonly string[] {
  const bitset = nested(readAttributes(genericAttributes(payload, 'features')), ETHTOOL_A_FEATURES_ACTIVE);
  // Sent as a list without a mask: what is listed is on.
  return nested(bitset, ETHTOOL_A_BITSET_BITS)
    .slice(0, MOST_FEATURES)
    .flatMap((bit) => {
      const name = findAttribute(readAttributes(bit.value), ETHTOOL_A_BITSET_BIT_NAME);
      return name === undefined ? [] : [text(name)];
    });
}

function nested(attributes: readonly Attribute[], type: number): readonly Attribute[] {
  const value = findAttribute(attributes, type);
  return value === undefined ? [] : readAttributes(value);
}

function numbersOf(payload: Buffer, what: string): (type: number) => number | undefined {
  const attributes = readAttributes(genericAttributes(payload, what));
  return (type) => {
    const value = findAttribute(attributes, type);
    return value === undefined ? undefined : u32(value);
  };
}

/** Nothing when the NIC can have none of the kind: 0 would read as "all are off". */
function kind<Name extends string>(
  name: Name,
  now: number | undefined,
  max: number | undefined,
): { readonly [Key in Name | `${Name}Max`]?: number } {
  if (now === undefined || (now === 0 && (max ?? 0) === 0)) return {};
  const limit = max === undefined || max === NO_LIMIT ? {} : { [`${name}Max`]: max };
  return { [name]: now, ...limit } as { readonly [Key in Name | `${Name}Max`]?: number };
}
