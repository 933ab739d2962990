/**
 * What link a configuration asks for. Each value is taken from the first of: runtimeConfig (what the
 * pod asked for), CNI_ARGS (the same, from runtimes that know no capabilities), the configuration.
 * Fields that only another kind of link has are left alone, as the reference plugins do; requests
 * that this kind cannot honour fail.
 */
import type {
  IpvlanLinkSpec,
  LinkKind,
  LinkSpec,
  MacvlanLinkSpec,
  PodIdentity,
  VfLinkSpec,
} from '../engine/attachments/model.ts';
import type { IpvlanFlag, IpvlanMode, MacvlanMode } from '../engine/attachments/port.ts';
import { asMacAddress, asPciAddress, type MacAddress, type NetworkName } from '../engine/values.ts';
import { type ConfigProblem, invalidConfig, type NetworkConfig, unsupportedField } from './config.ts';
import type { CniArgs } from './environment.ts';
import { CNI_CODES, CniFault } from './errors.ts';
import { optional } from './optional.ts';

const KIND_BY_TYPE: ReadonlyMap<string, LinkKind> = new Map([
  ['sriov', 'vf'],
  ['macvlan', 'macvlan'],
  ['ipvlan', 'ipvlan'],
]);
const LINK_KINDS: readonly LinkKind[] = ['vf', 'macvlan', 'ipvlan'];
const MACVLAN_MODES: readonly MacvlanMode[] = ['bridge', 'private', 'vepa', 'passthru'];
const IPVLAN_MODES: readonly IpvlanMode[] = ['l2', 'l3', 'l3s'];
const IPVLAN_FLAGS: readonly IpvlanFlag[] = ['bridge', 'private', 'vepa'];

export interface LinkSource {
  readonly config: NetworkConfig;
  readonly args: CniArgs;
  /** The name under which the shim was executed: the type where the configuration has none. */
  readonly argv0: string;
  readonly network: NetworkName;
  /** The interface's name of an uplink that is called by another name of it; `undefined` when there is no such link. */
  readonly uplinkName: (name: string) => Promise<string | undefined>;
}

/** Throws `CniFault`: code 7 with every wrong field, code 2 for requests that the link cannot honour. */
export async function parseLinkSpec(source: LinkSource): Promise<LinkSpec> {
  const kind = linkKindOf(source);
  refuseUnservedCapabilities(source.config);
  const problems: ConfigProblem[] = [];
  const spec = await parsers[kind](source, problems);
  if (problems.length > 0) throw invalidConfig(problems);
  return spec;
}

type Parser = (source: LinkSource, problems: ConfigProblem[]) => Promise<LinkSpec>;
const parsers: Readonly<Record<LinkKind, Parser>> = { vf: parseVf, macvlan: parseMacvlan, ipvlan: parseIpvlan };

function linkKindOf({ config, argv0 }: LinkSource): LinkKind {
  const type = config.type === undefined || config.type === '' ? argv0 : config.type;
  const byType = KIND_BY_TYPE.get(type);
  const byLink = LINK_KINDS.find((kind) => kind === config.link);
  if (config.link !== undefined && byLink === undefined) throw unknownKind(`link is ${JSON.stringify(config.link)}`);
  if (byType !== undefined) {
    if (byLink === undefined || byLink === byType) return byType;
    throw invalidConfig([{ path: 'link', message: `${byLink} contradicts type ${type}, which makes ${byType}` }]);
  }
  if (type !== 'berth') throw unknownKind(`type is ${JSON.stringify(type)}`);
  if (byLink !== undefined) return byLink;
  // Only a VF is called by its PCI address.
  if (asPciAddress(deviceOf(config) ?? '') !== undefined) return 'vf';
  throw new CniFault(CNI_CODES.invalidConfig, {
    reason: 'link-kind-missing',
    message: 'type is berth, and neither "link" nor the device tells which kind of link to make',
    remedy: `Add "link": ${LINK_KINDS.map((kind) => JSON.stringify(kind)).join(' or ')}.`,
  });
}

function unknownKind(what: string): CniFault {
  return new CniFault(CNI_CODES.invalidConfig, {
    reason: 'unknown-link-kind',
    message: `${what}, which is no kind of link that Berth makes`,
    remedy: `Use type berth with link ${LINK_KINDS.join(', ')}, or one of the types ${[...KIND_BY_TYPE.keys()].join(', ')}.`,
  });
}

/** Requests reach runtimeConfig only where the configuration declares the capability, so none of them is anybody else's. */
const UNSERVED_CAPABILITIES = ['portMappings', 'bandwidth', 'infinibandGUID', 'aliases'] as const;

function refuseUnservedCapabilities(config: NetworkConfig): void {
  for (const capability of UNSERVED_CAPABILITIES) {
    const value = config.runtimeConfig?.[capability];
    const empty = value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0);
    if (!empty) throw unsupportedField(`runtimeConfig.${capability}`, value, 'Berth cannot honour this request');
  }
}

function deviceOf(config: NetworkConfig): string | undefined {
  return [config.runtimeConfig?.deviceID, config.deviceID, config.pciBusID].find((id) => id !== undefined && id !== '');
}

async function parseVf({ config, args, network }: LinkSource, problems: ConfigProblem[]): Promise<VfLinkSpec> {
  const id = deviceOf(config);
  if (id === undefined) throw deviceMissing(args.pod, network);
  const device = asPciAddress(id);
  if (device === undefined) {
    throw invalidConfig([
      ...problems,
      {
        path: 'deviceID',
        message: `${JSON.stringify(id)} is not the PCI address of a VF; does the resource of the NetworkAttachmentDefinition offer VFs?`,
      },
    ]);
  }
  const vlan = config.vlan;
  if (vlan === undefined || vlan === 0) {
    if (config.vlanQoS !== undefined && config.vlanQoS !== 0)
      problems.push({ path: 'vlanQoS', message: `${config.vlanQoS} needs a vlan other than 0` });
    if (config.vlanProto === '802.1ad')
      problems.push({ path: 'vlanProto', message: '802.1ad needs a vlan other than 0' });
  }
  const { min_tx_rate: min, max_tx_rate: max } = config;
  if (min !== undefined && max !== undefined && max !== 0 && min > max) {
    problems.push({ path: 'min_tx_rate', message: `${min} is above max_tx_rate ${max}` });
  }
  return {
    kind: 'vf',
    device,
    ...optional('mac', macOf(config, args, problems)),
    ...optional('mtu', positive(config.mtu)),
    ...optional('vlan', vlan),
    ...optional('vlanQos', config.vlanQoS),
    ...optional('vlanProto', config.vlanProto),
    ...optional('minTxRateMbps', min),
    ...optional('maxTxRateMbps', max),
    ...optional('spoofCheck', config.spoofchk === undefined ? undefined : config.spoofchk === 'on'),
    ...optional('trust', config.trust === undefined ? undefined : config.trust === 'on'),
    ...optional('linkState', config.link_state),
  };
}

/** Multus calls a plugin without any device when the pod has none left, and says nothing about it. */
function deviceMissing(pod: PodIdentity | undefined, network: NetworkName): CniFault {
  const who = pod === undefined ? 'the container' : `pod ${pod.namespace}/${pod.name}`;
  return new CniFault(CNI_CODES.invalidConfig, {
    reason: 'device-missing',
    message: `${who} was given no device for network ${network}: the call has no deviceID`,
    remedy:
      "Most likely the pod does not request the resource that the NetworkAttachmentDefinition names in k8s.v1.cni.cncf.io/resourceName, or has more attachments of it than it requests devices; it can also be that the definition names no resource. Request as many in the container's resources.limits.",
  });
}

async function parseMacvlan(source: LinkSource, problems: ConfigProblem[]): Promise<MacvlanLinkSpec> {
  const { config, args } = source;
  refuseLinkInContainer(config);
  return {
    kind: 'macvlan',
    ...(await uplinkOf(source, problems)),
    mode: oneOf('mode', config.mode, MACVLAN_MODES, 'bridge', problems),
    ...optional('mtu', positive(config.mtu)),
    ...optional('mac', macOf(config, args, problems)),
    ...optional('bcQueueLength', config.bcqueuelen),
  };
}

async function parseIpvlan(source: LinkSource, problems: ConfigProblem[]): Promise<IpvlanLinkSpec> {
  const { config, args } = source;
  refuseLinkInContainer(config);
  const mac = firstMac(config, args);
  if (mac !== undefined)
    throw unsupportedField(mac.path, mac.text, 'ipvlan links share the hardware address of their uplink');
  return {
    kind: 'ipvlan',
    ...(await uplinkOf(source, problems)),
    mode: oneOf('mode', config.mode, IPVLAN_MODES, 'l2', problems),
    flag: oneOf('flag', config.flag, IPVLAN_FLAGS, 'bridge', problems),
    ...optional('mtu', positive(config.mtu)),
  };
}

function refuseLinkInContainer(config: NetworkConfig): void {
  if (config.linkInContainer === true) {
    throw unsupportedField('linkInContainer', true, 'Berth looks for uplinks on the node only');
  }
}

/** A slot is `<uplink>-<n>`, split at the last `-`. */
async function uplinkOf(
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

function firstMac(config: NetworkConfig, args: CniArgs): { readonly path: string; readonly text: string } | undefined {
  const sources = [
    { path: 'runtimeConfig.mac', text: config.runtimeConfig?.mac },
    { path: 'CNI_ARGS MAC', text: args.mac },
    { path: 'mac', text: config.mac },
  ];
  for (const { path, text } of sources) if (text !== undefined && text !== '') return { path, text };
  return undefined;
}

function macOf(config: NetworkConfig, args: CniArgs, problems: ConfigProblem[]): MacAddress | undefined {
  const first = firstMac(config, args);
  if (first === undefined) return undefined;
  const mac = asMacAddress(first.text);
  if (mac === undefined || mac.length !== 17) {
    problems.push({
      path: first.path,
      message: `${JSON.stringify(first.text)} is no Ethernet address, six hexadecimal bytes as in 02:00:00:00:00:01`,
    });
    return undefined;
  }
  // The kernel refuses group addresses and all zeros for a link (is_valid_ether_addr, linux/etherdevice.h).
  if ((Number.parseInt(mac.slice(0, 2), 16) & 1) === 1 || mac === '00:00:00:00:00:00') {
    problems.push({ path: first.path, message: `${mac} is a group address or zero, which no interface can have` });
    return undefined;
  }
  return mac;
}

function oneOf<T extends string>(
  path: string,
  text: string | undefined,
  words: readonly T[],
  otherwise: T,
  problems: ConfigProblem[],
): T {
  if (text === undefined || text === '') return otherwise;
  const word = words.find((known) => known === text);
  if (word === undefined) problems.push({ path, message: `${JSON.stringify(text)} is none of ${words.join(', ')}` });
  return word ?? otherwise;
}

/** The reference plugins write 0 for "as it comes". */
function positive(mtu: number | undefined): number | undefined {
  return mtu === 0 ? undefined : mtu;
}
