/** ipvlan: a link that shares its uplink's MAC. */
import type { IpvlanLinkSpec, UplinkChoice } from '../../engine/attachments/model.ts';
import type { IpvlanFlag, IpvlanMode } from '../../engine/attachments/port.ts';
import { type ConfigProblem, type NetworkConfig, unsupportedField } from '../config.ts';
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
    ...chained(config, await uplinkOf(source, problems)),
    ...uplinkVlanOf(config),
    mode: oneOf('mode', config.mode, IPVLAN_MODES, 'l2', problems),
    flag: oneOf('flag', config.flag, IPVLAN_FLAGS, 'bridge', problems),
    ...optional('mtu', positive(config.mtu)),
  };
}

/** In a chain without a master, as the reference plugin has it: the only interface that the earlier plugins made. */
function chained({ prevResult }: NetworkConfig, choice: UplinkChoice): UplinkChoice {
  const [only, ...others] = prevResult?.interfaces ?? [];
  const { uplinkInSandbox, ...chosen } = choice;
  if (Object.keys(chosen).length > 0 || only === undefined || others.length > 0) return choice;
  return { uplink: only.name, ...optional('uplinkInSandbox', uplinkInSandbox) };
}
