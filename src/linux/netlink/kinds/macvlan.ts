/** What macvlan and macvtap put into a link message (linux/if_link.h, IFLA_MACVLAN_*; drivers/net/macvtap.c takes the same). */
import type { MacvlanMode } from '../../../engine/attachments/port.ts';
import { type Attribute, type AttributeWriter, findAttribute, u32 } from '../wire/attribute.ts';

export const MACVLAN_KIND = 'macvlan';
export const MACVTAP_KIND = 'macvtap';

const IFLA_MACVLAN_MODE = 1;
const IFLA_MACVLAN_BC_QUEUE_LEN = 7;

/** MACVLAN_MODE_*; `source` (16) is not offered. */
const MODES: Readonly<Record<MacvlanMode, number>> = { private: 1, vepa: 2, bridge: 4, passthru: 8 };

export interface MacvlanFacts {
  readonly mode: MacvlanMode;
  /** What this link asked for, in packets; the uplink uses the largest of all. */
  readonly bcQueueLength?: number;
}

export function writeMacvlan(writer: AttributeWriter, facts: MacvlanFacts): void {
  writer.u32(IFLA_MACVLAN_MODE, MODES[facts.mode]);
  if (facts.bcQueueLength !== undefined) writer.u32(IFLA_MACVLAN_BC_QUEUE_LEN, facts.bcQueueLength);
}

/** `undefined` for a mode that the project does not know. */
export function readMacvlan(data: readonly Attribute[]): MacvlanFacts | undefined {
  const value = findAttribute(data, IFLA_MACVLAN_MODE);
  if (value === undefined) return undefined;
  const mode = (Object.keys(MODES) as MacvlanMode[]).find((name) => MODES[name] === u32(value));
  if (mode === undefined) return undefined;
  const queue = findAttribute(data, IFLA_MACVLAN_BC_QUEUE_LEN);
  return { mode, ...(queue === undefined ? {} : { bcQueueLength: u32(queue) }) };
}
