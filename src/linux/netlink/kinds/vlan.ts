/** A VLAN link's part of a link message (linux/if_link.h, IFLA_VLAN_*). */
import { type Attribute, type AttributeWriter, be16, findAttribute, u16 } from '../wire/attribute.ts';

export const VLAN_KIND = 'vlan';

const IFLA_VLAN_ID = 1;
const IFLA_VLAN_PROTOCOL = 5;
/** linux/if_ether.h */
const ETH_P_8021Q = 0x8100;
const ETH_P_8021AD = 0x88a8;

export interface VlanFacts {
  readonly id: number;
  readonly protocol: '802.1q' | '802.1ad';
}

export function writeVlan(writer: AttributeWriter, facts: VlanFacts): void {
  writer.u16(IFLA_VLAN_ID, facts.id);
  writer.be16(IFLA_VLAN_PROTOCOL, facts.protocol === '802.1ad' ? ETH_P_8021AD : ETH_P_8021Q);
}

export function readVlan(data: readonly Attribute[]): VlanFacts | undefined {
  const id = findAttribute(data, IFLA_VLAN_ID);
  if (id === undefined) return undefined;
  const protocol = findAttribute(data, IFLA_VLAN_PROTOCOL);
  const isProvider = protocol !== undefined && be16(protocol) === ETH_P_8021AD;
  return { id: u16(id), protocol: isProvider ? '802.1ad' : '802.1q' };
}
