/** ipvlan: a link that shares its uplink's MAC. */
import type { IpvlanLinkSpec } from '../../engine/attachments/model.ts';
import type { IpvlanFlag, IpvlanMode } from '../../engine/attachments/port.ts';
import { type ConfigProblem, unsupportedField } from '../config.ts';
import { optional } from '../optional.ts';
import { firstMac, type LinkSource, oneOf, positive } from './source.ts';
import { uplinkOf, uplinkVlanOf } from './uplink.ts';

const IPVLAN_MODES: readonly IpvlanMode[] = ['l2', 'l3', 'l3s'];
const IPVLAN_FLAGS: readonly IpvlanFlag[] = ['bridge', 'private', 'vepa'];

export async function parseIpvlan(source: LinkSource, problems: ConfigProblem[]): Promise<IpvlanLinkSpec> {
  const { config, args } = source;
  const mac = firstMac(config, args);
  if (mac !== undefined)
    throw unsupportedField(mac.path, mac.text, 'ipvlan links share the hardware address of their uplink');
  return {
    kind: 'ipvlan',
    ...(await uplinkOf(source, problems)),
    ...uplinkVlanOf(config),
    mode: oneOf('mode', config.mode, IPVLAN_MODES, 'l2', problems),
    flag: oneOf('flag', config.flag, IPVLAN_FLAGS, 'bridge', problems),
    ...optional('mtu', positive(config.mtu)),
  };
}
