/** macvlan: a link with a MAC of its own on an uplink. */
import type { MacvlanLinkSpec } from '../../engine/attachments/model.ts';
import type { MacvlanMode } from '../../engine/attachments/port.ts';
import type { ConfigProblem } from '../config.ts';
import { optional } from '../optional.ts';
import { type LinkSource, macOf, oneOf, positive } from './source.ts';
import { uplinkOf, uplinkVlanOf } from './uplink.ts';

export const MACVLAN_MODES: readonly MacvlanMode[] = ['bridge', 'private', 'vepa', 'passthru'];

export async function parseMacvlan(source: LinkSource, problems: ConfigProblem[]): Promise<MacvlanLinkSpec> {
  const { config, args } = source;
  return {
    kind: 'macvlan',
    ...(await uplinkOf(source, problems)),
    ...uplinkVlanOf(config),
    mode: oneOf('mode', config.mode, MACVLAN_MODES, 'bridge', problems),
    ...optional('mtu', positive(config.mtu)),
    ...optional('mac', macOf(config, args, problems)),
    ...optional('bcQueueLength', config.bcqueuelen),
  };
}
