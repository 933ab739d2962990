/**
 * ipvlan's part of a link message (linux/if_link.h, IFLA_IPVLAN_*). Mode and flag belong to the
 * uplink: the last link created or changed on it sets them for all.
 */
import type { IpvlanFlag, IpvlanMode } from '../../../engine/attachments/port.ts';
import { type Attribute, type AttributeWriter, findAttribute, u16 } from '../wire/attribute.ts';

export const IPVLAN_KIND = 'ipvlan';

const IFLA_IPVLAN_MODE = 1;
const IFLA_IPVLAN_FLAGS = 2;

/** IPVLAN_MODE_* */
const MODES: Readonly<Record<IpvlanMode, number>> = { l2: 0, l3: 1, l3s: 2 };
/** IPVLAN_F_*; neither is what iproute2 calls bridge. */
const FLAGS: Readonly<Record<IpvlanFlag, number>> = { bridge: 0, private: 1, vepa: 2 };

export interface IpvlanFacts {
  readonly mode: IpvlanMode;
  readonly flag: IpvlanFlag;
}

export function writeIpvlan(writer: AttributeWriter, facts: IpvlanFacts): void {
  writer.u16(IFLA_IPVLAN_MODE, MODES[facts.mode]);
  writer.u16(IFLA_IPVLAN_FLAGS, FLAGS[facts.flag]);
}

/** `undefined` for a mode or flag that the project does not know. Kernels before 4.15 have no flags. */
export function readIpvlan(data: readonly Attribute[]): IpvlanFacts | undefined {
  const modeValue = findAttribute(data, IFLA_IPVLAN_MODE);
  if (modeValue === undefined) return undefined;
  const flagValue = findAttribute(data, IFLA_IPVLAN_FLAGS);
  const mode = (Object.keys(MODES) as IpvlanMode[]).find((name) => MODES[name] === u16(modeValue));
  const flags = flagValue === undefined ? 0 : u16(flagValue);
  const flag = (Object.keys(FLAGS) as IpvlanFlag[]).find((name) => FLAGS[name] === flags);
  return mode === undefined || flag === undefined ? undefined : { mode, flag };
}
