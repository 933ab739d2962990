/** macvtap: a link with a character device for virtual machines. Field names are those of macvtap-cni. */
import type { MacvtapLinkSpec } from '../../engine/attachments/model.ts';
import { asPciAddress } from '../../engine/values.ts';
import type { ConfigProblem } from '../config.ts';
import { optional } from '../optional.ts';
import { MACVLAN_MODES } from './macvlan.ts';
import { deviceOf, type LinkSource, macOf, oneOf, positive } from './source.ts';
import { uplinkOf, uplinkVlanOf } from './uplink.ts';

/** The user `qemu` of KubeVirt's images, which is macvtap-cni's default. */
const QEMU_UID = 107;
const QEMU_GID = 107;

export async function parseMacvtap(source: LinkSource, problems: ConfigProblem[]): Promise<MacvtapLinkSpec> {
  const { config, args } = source;
  const id = deviceOf(config);
  const given = id !== undefined && !/.-\d+$/.test(id) ? id : undefined;
  if (given !== undefined && asPciAddress(given) !== undefined) {
    problems.push({
      path: 'deviceID',
      message: `${given} is a PCI device; does the resource of the NetworkAttachmentDefinition offer macvtap?`,
    });
  }
  if (given !== undefined && config.master !== undefined && config.master !== '')
    problems.push({ path: 'master', message: `the pod was given ${given}, which has its uplink already` });
  const mode = oneOf('mode', config.mode, MACVLAN_MODES, undefined, problems);
  return {
    kind: 'macvtap',
    ...(given === undefined ? await uplinkOf(source, problems) : { given }),
    ...uplinkVlanOf(config),
    ...optional('mode', mode),
    ...optional('mtu', positive(config.mtu)),
    ...optional('mac', macOf(config, args, problems)),
    ...optional('promiscuous', config.promiscMode === true ? true : undefined),
    owner: { uid: config.owner ?? QEMU_UID, gid: config.group ?? QEMU_GID },
  };
}
