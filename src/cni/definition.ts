/**
 * A network's definition before a pod uses it: what every ADD with it would refuse, and what it says
 * to nobody. The parsers are those of ADD, given what Multus would add; what only a pod can bring
 * (its MAC, its addresses) and what only the node knows (uplinks, files) is not judged.
 */
import type { LinkKind } from '../engine/attachments/model.ts';
import { nearest } from '../engine/suggest.ts';
import type { NetworkName } from '../engine/values.ts';
import {
  type ConfigProblem,
  type DecodedConfig,
  decodeConfig,
  NETWORK_FIELDS,
  parseName,
  properFields,
} from './config.ts';
import { ConfigReview, parseOwnFields } from './config-review.ts';
import { parseDelegatedIpam } from './delegated-ipam.ts';
import type { CniArgs } from './environment.ts';
import { CniFault } from './errors.ts';
import { parseIpamSpec } from './ipam-spec.ts';
import { KIND_BY_TYPE, linkKindOf, parseLinkSpec, unservedCapabilities } from './link-spec/index.ts';
import { deviceOf, type LinkSource } from './link-spec/source.ts';
import { requireExpressible } from './result.ts';

/** What is known of the definition besides its configuration. */
export interface DefinitionContext {
  /** Of the NetworkAttachmentDefinition: the network's, where the configuration has none. */
  readonly name?: string;
  /** Whether pods bring a device: it names a resource (`k8s.v1.cni.cncf.io/resourceName`). */
  readonly bringsDevice: boolean;
}

/** One plugin of the definition; a chain has several. */
export interface PluginReview {
  readonly type: string;
  /** `false` for a plugin that Berth does not stand in for; nothing is said of it then. */
  readonly isServed: boolean;
  /** Because of them every ADD fails. */
  readonly errors: readonly ConfigProblem[];
  /** What the author may not have meant. */
  readonly warnings: readonly ConfigProblem[];
}

/** Read by runtimes, by Multus or for logs, and right in every configuration. */
const FIELDS_OF_ALL = [
  ...['cniVersion', 'cniVersions', 'name', 'capabilities', 'disableCheck', 'disableGC', 'ipMasq'],
  ...['loadOnlyInlinedPlugins', 'logFile', 'logLevel', 'plugins'],
];
const KNOWN_FIELDS = [...NETWORK_FIELDS, ...FIELDS_OF_ALL];
/** Only the node, or ib-kubernetes at the pod's start, can answer these. */
const NOT_OF_THE_DEFINITION: ReadonlySet<string> = new Set(['infiniband-not-configured', 'resolv-conf-unreadable']);
/** In the place of the device that a pod brings. */
const ANY_DEVICE = '0000:00:00.0';
/** Where the name is wrong, which is told, for the parsers that only quote it. */
const NO_NAME = 'network';
const NO_RESOURCE =
  'no pod brings a device: the definition names no resource (annotation k8s.v1.cni.cncf.io/resourceName)';
const NAMED_DEVICE =
  'only the pod that kubelet gave this device to gets it; leave it out, and name the resource instead';
const NO_ARGS: CniArgs = { ips: [], gateways: [] };

type Fields = DecodedConfig['fields'];

/** `text` is `spec.config`, one plugin or a list (`plugins`). Throws `CniFault` for what no runtime can read. */
export async function reviewDefinition(text: string, context: DefinitionContext): Promise<readonly PluginReview[]> {
  const { fields } = decodeConfig(Buffer.from(text));
  const name = fields.name === undefined || fields.name === '' ? context.name : fields.name;
  if (!Array.isArray(fields.plugins)) return [await reviewPlugin({ ...fields, name }, context)];
  const reviews: PluginReview[] = [];
  if (fields.plugins.length === 0) {
    return [{ type: '', isServed: false, errors: [{ path: 'plugins', message: 'it is empty' }], warnings: [] }];
  }
  for (const plugin of fields.plugins as readonly unknown[]) {
    // libcni writes both of the list into each plugin's configuration.
    reviews.push(
      await reviewPlugin({ ...properFields(objectOf(plugin)), name, cniVersion: fields.cniVersion }, context),
    );
  }
  return reviews;
}

function objectOf(plugin: unknown): Fields {
  return typeof plugin === 'object' && plugin !== null && !Array.isArray(plugin) ? (plugin as Fields) : {};
}

async function reviewPlugin(written: Fields, { bringsDevice }: DefinitionContext): Promise<PluginReview> {
  const stdin = Buffer.from(JSON.stringify(written));
  const { fields, version } = decodeConfig(stdin);
  const type = typeof fields.type === 'string' ? fields.type : '';
  const isServed = type === 'berth' || KIND_BY_TYPE.has(type);
  if (type === '') return { type, isServed, errors: [{ path: 'type', message: 'it is missing' }], warnings: [] };
  if (!isServed) return { type, isServed, errors: [], warnings: [] };

  const review = new ConfigReview(parseOwnFields(fields));
  const { config, problems } = review;
  const network = await review.attempt(() => parseName(fields));
  const isNamed = deviceOf(config) !== undefined;
  // Of Berth's own type the device alone tells that it is a VF, where nothing else does.
  const isAssumed = !isNamed && (bringsDevice || type !== 'berth' || config.link !== undefined);
  const source: LinkSource = {
    config: isAssumed ? { ...config, deviceID: ANY_DEVICE } : config,
    args: NO_ARGS,
    argv0: type,
    network: network ?? (NO_NAME as NetworkName),
    uplinkName: (name) => Promise.resolve(name),
  };
  const kind = kindOf(source);
  const call = { environment: new Map<string, string>(), argv0: type, stdin };
  const ipam = await review.attempt(() =>
    ofDefinition(() => parseDelegatedIpam(fields, call, problems) ?? parseIpamSpec(config, NO_ARGS, problems)),
  );
  const link = kind === 'vf' || (kind === 'host-device' && bringsDevice) ? source : { ...source, config };
  await review.attempt(() => ofDefinition(() => parseLinkSpec(link, problems)));
  await review.attempt(() => requireExpressible(version, ipam, false));
  const { problems: wrong, faults } = review.found;
  const isWithout = kind === 'vf' && !isNamed && !bringsDevice;
  return {
    type,
    isServed,
    errors: [
      ...wrong,
      ...faults.map(({ message }) => ({ path: '', message })),
      ...(isWithout ? [{ path: '', message: NO_RESOURCE }] : []),
    ],
    warnings: [
      ...unreadFields(fields),
      ...unservedRequests(fields, kind),
      ...(kind === 'vf' && isNamed ? [{ path: namedAt(config), message: NAMED_DEVICE }] : []),
    ],
  };
}

/** `undefined` for what only the pod or the node can answer. */
async function ofDefinition<T>(parse: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await parse();
  } catch (error) {
    if (error instanceof CniFault && NOT_OF_THE_DEFINITION.has(error.reason)) return undefined;
    throw error;
  }
}

function kindOf(source: LinkSource): LinkKind | undefined {
  try {
    return linkKindOf(source);
  } catch (error) {
    // parseLinkSpec says it.
    if (error instanceof CniFault) return undefined;
    throw error;
  }
}

/** Misspelt, of a fork of the plugin, or meant for a reader that Berth does not know. */
function unreadFields(fields: Fields): readonly ConfigProblem[] {
  return Object.keys(fields).flatMap((path) => {
    if (KNOWN_FIELDS.includes(path)) return [];
    const meant = nearest(path, NETWORK_FIELDS);
    return [{ path, message: `Berth does not read it${meant === undefined ? '' : `; did you mean ${meant}?`}` }];
  });
}

function unservedRequests({ capabilities }: Fields, kind: LinkKind | undefined): readonly ConfigProblem[] {
  if (kind === undefined || typeof capabilities !== 'object' || capabilities === null) return [];
  return unservedCapabilities(kind).flatMap((capability) =>
    Reflect.get(capabilities, capability) === true
      ? [{ path: `capabilities.${capability}`, message: `a pod that asks for it is refused: ${kind} cannot do it` }]
      : [],
  );
}

function namedAt({ deviceID }: LinkSource['config']): string {
  return deviceID === undefined || deviceID === '' ? 'pciBusID' : 'deviceID';
}
