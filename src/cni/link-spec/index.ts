/**
 * What link a configuration asks for: which kind, then that kind's own file. Fields that only
 * another kind of link has are left alone, as the reference plugins do; requests that the kind
 * cannot honour fail.
 */
import type { LinkKind, LinkSpec } from '../../engine/attachments/model.ts';
import { asPciAddress } from '../../engine/values.ts';
import { type ConfigProblem, invalidConfig, type NetworkConfig, unsupportedField } from '../config.ts';
import { CNI_CODES, CniFault } from '../errors.ts';
import { parseHostDevice } from './host-device.ts';
import { parseInfiniband } from './infiniband.ts';
import { parseIpvlan } from './ipvlan.ts';
import { parseMacvlan } from './macvlan.ts';
import { parseMacvtap } from './macvtap.ts';
import { deviceOf, type LinkSource } from './source.ts';
import { parseVf } from './vf.ts';
import { parseVlan } from './vlan.ts';

/** The types of the plugins that Berth stands in for, and the kind of link that each makes. */
export const KIND_BY_TYPE: ReadonlyMap<string, LinkKind> = new Map([
  ['sriov', 'vf'],
  ['ib-sriov', 'vf'],
  ['macvlan', 'macvlan'],
  ['ipvlan', 'ipvlan'],
  ['macvtap', 'macvtap'],
  ['vlan', 'vlan'],
  ['host-device', 'host-device'],
]);

/** Wrong fields go to `problems`, and what is returned beside them is not used then; throws `CniFault` for all else. */
export async function parseLinkSpec(source: LinkSource, problems: ConfigProblem[]): Promise<LinkSpec> {
  const kind = linkKindOf(source);
  refuseUnservedCapabilities(kind, source.config);
  const parse = typeOf(source) === 'ib-sriov' ? parseInfiniband : parsers[kind];
  return await parse(source, problems);
}

type Parser = (source: LinkSource, problems: ConfigProblem[]) => Promise<LinkSpec>;
const parsers: Readonly<Record<LinkKind, Parser>> = {
  vf: parseVf,
  macvlan: parseMacvlan,
  ipvlan: parseIpvlan,
  macvtap: parseMacvtap,
  vlan: parseVlan,
  'host-device': parseHostDevice,
};
const LINK_KINDS = Object.keys(parsers) as readonly LinkKind[];

/** The configuration's, or the name under which the shim was executed. */
function typeOf({ config, argv0 }: LinkSource): string {
  return config.type === undefined || config.type === '' ? argv0 : config.type;
}

/** Which kind of link it is; throws `CniFault` when that cannot be told. */
export function linkKindOf(source: LinkSource): LinkKind {
  const { config } = source;
  const type = typeOf(source);
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

/** What runtimes hand over only where the configuration declares the capability, so none of them is anybody else's. */
const UNSERVED_CAPABILITIES = ['portMappings', 'bandwidth', 'infinibandGUID', 'aliases'] as const;
/** Those of them that a kind of link can honour. */
const SERVED_BY: Readonly<Partial<Record<LinkKind, readonly string[]>>> = { vf: ['bandwidth', 'infinibandGUID'] };

function refuseUnservedCapabilities(kind: LinkKind, config: NetworkConfig): void {
  for (const capability of unservedCapabilities(kind)) {
    const value: unknown = config.runtimeConfig?.[capability];
    if (!asksNothing(value))
      throw unsupportedField(`runtimeConfig.${capability}`, value, `${kind} cannot honour this request`);
  }
}

/** Runtimes written in Go hand over what nobody asked for as zeros. */
function asksNothing(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === 0) return true;
  return typeof value === 'object' && Object.values(value).every(asksNothing);
}

/** Capabilities that a pod's request for is refused for a kind of link. */
export function unservedCapabilities(kind: LinkKind): readonly (typeof UNSERVED_CAPABILITIES)[number][] {
  return UNSERVED_CAPABILITIES.filter((capability) => SERVED_BY[kind]?.includes(capability) !== true);
}
