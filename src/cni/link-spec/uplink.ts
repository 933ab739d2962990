/**
 * Which link a virtual link stands on: `master`, `masterSelector`, the slot that kubelet gave, or an
 * interface of the sandbox (`linkInContainer`); and the VLAN on it that several pods share.
 */
import type { UplinkChoice } from '../../engine/attachments/model.ts';
import type { UplinkSelector } from '../../engine/pools/model.ts';
import { type ConfigProblem, type NetworkConfig, unsupportedField } from '../config.ts';
import { optional } from '../optional.ts';
import { deviceOf, type LinkSource } from './source.ts';

type Written = Exclude<NetworkConfig['masterSelector'], undefined>;

/** A slot is `<uplink>-<n>`, split at the last `-`. */
export async function uplinkOf(source: LinkSource, problems: ConfigProblem[]): Promise<UplinkChoice> {
  const { config } = source;
  const master = config.master === '' ? undefined : config.master;
  const selectors = selectorsOf(config.masterSelector);
  if (master !== undefined && selectors !== undefined)
    problems.push({ path: 'masterSelector', message: `master ${JSON.stringify(master)} names the uplink already` });
  if (config.linkInContainer === true) return inSandbox(source, master, problems);
  const slot = deviceOf(config);
  if (slot === undefined) return { ...optional('uplink', master), ...optional('uplinkSelectors', selectors) };
  const uplink = /^(?<uplink>.+)-\d+$/.exec(slot)?.groups?.uplink;
  if (uplink === undefined) {
    problems.push({
      path: 'deviceID',
      message: `${JSON.stringify(slot)} is no slot of an uplink (<uplink>-<n>); does the resource of the NetworkAttachmentDefinition offer slots?`,
    });
    return {};
  }
  if (selectors !== undefined) return { slot, uplinkSelectors: selectors };
  if (master !== undefined && master !== uplink) {
    const [named, given] = await Promise.all([source.uplinkName(master), source.uplinkName(uplink)]);
    if (named === undefined || named !== given) {
      problems.push({
        path: 'master',
        message: `${JSON.stringify(master)} contradicts slot ${slot}, which is on ${uplink}; leave master out, or let the resource offer slots of ${master} only`,
      });
    }
  }
  return { uplink, slot };
}

/** Berth's own field `vlan` of macvlan and ipvlan; 0 is none. */
export function uplinkVlanOf(config: NetworkConfig): Pick<UplinkChoice, 'uplinkVlan'> {
  if (config.vlan === undefined || config.vlan === 0) return {};
  if (config.linkInContainer === true) {
    throw unsupportedField('vlan', config.vlan, 'a VLAN is shared on uplinks of the node only; make it in the pod');
  }
  return { uplinkVlan: config.vlan };
}

function inSandbox({ config }: LinkSource, master: string | undefined, problems: ConfigProblem[]): UplinkChoice {
  const device = deviceOf(config);
  if (device !== undefined) {
    problems.push({
      path: 'linkInContainer',
      message: `the pod was given ${device}, which is of the node, and the master is to be one of the pod`,
    });
  }
  if (config.masterSelector !== undefined)
    problems.push({ path: 'masterSelector', message: 'it chooses interfaces of the node, not of the pod' });
  return { ...optional('uplink', master), uplinkInSandbox: true };
}

function selectorsOf(written: Written | undefined): readonly UplinkSelector[] | undefined {
  if (written === undefined) return undefined;
  return (Array.isArray(written) ? written : [written]).map((selector) => ({
    ...optional('names', selector.names),
    ...optional('altnames', selector.altnames),
    ...optional('drivers', selector.drivers),
    ...optional('pciAddresses', selector.pciAddresses),
    ...optional('serials', selector.serials),
    ...optional('macs', selector.macs),
    ...optional('subnets', selector.subnets),
  }));
}
