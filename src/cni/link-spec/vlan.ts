/** vlan: a VLAN of an uplink that one pod has for itself. */
import type { VlanLinkSpec } from '../../engine/attachments/model.ts';
import { type ConfigProblem, unsupportedField } from '../config.ts';
import { optional } from '../optional.ts';
import { firstMac, type LinkSource, positive } from './source.ts';
import { uplinkOf } from './uplink.ts';

export async function parseVlan(source: LinkSource, problems: ConfigProblem[]): Promise<VlanLinkSpec> {
  const { config, args } = source;
  const mac = firstMac(config, args);
  if (mac !== undefined)
    throw unsupportedField(mac.path, mac.text, 'a VLAN link has the hardware address of its uplink');
  if (config.vlanId === undefined)
    problems.push({ path: 'vlanId', message: 'it is missing; a number of 0 to 4094 is needed' });
  return {
    kind: 'vlan',
    ...(await uplinkOf(source, problems)),
    vlanId: config.vlanId ?? 0,
    ...optional('mtu', positive(config.mtu)),
  };
}
