/** Which link a virtual link stands on: `master`, or the slot that kubelet gave. */
import { type ConfigProblem, type NetworkConfig, unsupportedField } from '../config.ts';
import { optional } from '../optional.ts';
import { deviceOf, type LinkSource } from './source.ts';

export function refuseLinkInContainer(config: NetworkConfig): void {
  if (config.linkInContainer === true) {
    throw unsupportedField('linkInContainer', true, 'Berth looks for uplinks on the node only');
  }
}

/** A slot is `<uplink>-<n>`, split at the last `-`. */
export async function uplinkOf(
  { config, uplinkName }: LinkSource,
  problems: ConfigProblem[],
): Promise<{ uplink?: string; slot?: string }> {
  const master = config.master === '' ? undefined : config.master;
  const slot = deviceOf(config);
  if (slot === undefined) return optional('uplink', master);
  const uplink = /^(?<uplink>.+)-\d+$/.exec(slot)?.groups?.uplink;
  if (uplink === undefined) {
    problems.push({
      path: 'deviceID',
      message: `${JSON.stringify(slot)} is no slot of an uplink (<uplink>-<n>); does the resource of the NetworkAttachmentDefinition offer slots?`,
    });
    return {};
  }
  if (master !== undefined && master !== uplink) {
    const [named, given] = await Promise.all([uplinkName(master), uplinkName(uplink)]);
    if (named === undefined || named !== given) {
      problems.push({
        path: 'master',
        message: `${JSON.stringify(master)} contradicts slot ${slot}, which is on ${uplink}; leave master out, or let the resource offer slots of ${master} only`,
      });
    }
  }
  return { uplink, slot };
}
