/**
 * The network configuration on standard input: decoded, its version and name checked, and every
 * field that Berth reads validated, with all problems reported at once. What the fields mean for a
 * link or for addresses is in link-spec and ipam-spec.ts. Fields of others pass unseen.
 */
import { z } from 'zod';
import { MOST_ADDRESSES, MOST_ROUTE_ADVMSS_BYTES, MOST_ROUTE_MTU_BYTES, MOST_ROUTES } from '../engine/ipam/model.ts';
import { asMacAddress, asNetworkName, asPciAddress, type NetworkName } from '../engine/values.ts';
import { CNI_CODES, CniFault } from './errors.ts';
import { withProperNames } from './field-names.ts';
import { isTooDeep, MOST_LEVELS } from './json-depth.ts';
import { asCniVersion, CNI_VERSIONS, type CniVersion, DEFAULT_CNI_VERSION } from './versions.ts';

const text = z.string();
const texts = z.array(text);
const rate = z.int().min(0).max(0xffff_ffff);
/** The Go plugins take an empty text for a field that is not there, and templates write it. */
const wordOf = <const Words extends readonly string[]>(words: Words) =>
  z.preprocess((given) => (given === '' ? undefined : given), z.enum(words).optional()).optional();
const onOff = wordOf(['on', 'off']);
const mtu = z.int().min(0).max(65_535);

function branded<T extends string>(as: (text: string) => T | undefined, what: string) {
  return z.string().transform((given, issues): T => {
    const value = as(given);
    if (value !== undefined) return value;
    issues.addIssue(`${JSON.stringify(given)} is not ${what}`);
    return z.NEVER;
  });
}

const dns = z.looseObject({
  nameservers: texts.optional(),
  domain: text.optional(),
  search: texts.optional(),
  options: texts.optional(),
});

const route = z.looseObject({
  dst: text,
  gw: text.optional(),
  mtu: z.int().min(0).max(MOST_ROUTE_MTU_BYTES).optional(),
  advmss: z.int().min(0).max(MOST_ROUTE_ADVMSS_BYTES).optional(),
  priority: z.int().min(0).max(0xffff_ffff).optional(),
  table: z.int().min(0).max(0xffff_ffff).optional(),
  scope: z.int().min(0).max(255).optional(),
});

const range = z.looseObject({
  subnet: text,
  rangeStart: text.optional(),
  rangeEnd: text.optional(),
  gateway: text.optional(),
});
const rangeSets = z.array(z.array(range).min(1).max(256)).max(64);

const ipam = z.looseObject({
  type: text.optional(),
  ranges: rangeSets.optional(),
  subnet: text.optional(),
  rangeStart: text.optional(),
  rangeEnd: text.optional(),
  gateway: text.optional(),
  routes: z.array(route).max(MOST_ROUTES).optional(),
  dataDir: text.optional(),
  resolvConf: text.optional(),
  addresses: z
    .array(z.looseObject({ address: text, gateway: text.optional() }))
    .max(MOST_ADDRESSES)
    .optional(),
  dns: dns.optional(),
});

const previousResult = z.looseObject({
  interfaces: z
    .array(z.looseObject({ name: text, mac: text.optional(), mtu: z.int().optional(), sandbox: text.optional() }))
    .optional(),
  ips: z
    .array(z.looseObject({ address: text, gateway: text.optional(), interface: z.int().optional() }))
    .max(MOST_ADDRESSES)
    .optional(),
  routes: z.array(route).max(MOST_ROUTES).optional(),
  dns: dns.optional(),
  /** Of 0.1.0 and 0.2.0, handed on as it is. */
  ip4: z.looseObject({}).optional(),
  ip6: z.looseObject({}).optional(),
});

/** What may be looked for on a node that has a hundred uplinks. */
const MOST_WORDS = 256;
const MOST_SELECTORS = 64;
const words = texts.min(1).max(MOST_WORDS);

/** As the uplinks of a pool are selected (docs/configuration.md). */
const uplinkSelector = z
  .strictObject({
    names: words.optional(),
    altnames: words.optional(),
    drivers: words.optional(),
    pciAddresses: z.array(branded(asPciAddress, 'a PCI address')).min(1).max(MOST_WORDS).optional(),
    serials: words.optional(),
    macs: z.array(branded(asMacAddress, 'a hardware address')).min(1).max(MOST_WORDS).optional(),
    subnets: z
      .array(z.union([z.cidrv4(), z.cidrv6()]))
      .min(1)
      .max(MOST_WORDS)
      .optional(),
  })
  .refine((selector) => Object.keys(selector).length > 0, 'a selector needs a field');

const network = z.looseObject({
  type: text.optional(),
  /** What `type: berth` makes. */
  link: text.optional(),
  deviceID: text.optional(),
  pciBusID: text.optional(),
  /** Of InfiniBand VFs; `pkey` is for ib-kubernetes, which sets it in the subnet manager. */
  pkey: text.optional(),
  rdmaIsolation: z.boolean().optional(),
  ibKubernetesEnabled: z.boolean().optional(),
  /** Of macvtap: the user and group of its character device, and whether it takes every packet. */
  owner: z.int().min(0).max(0xffff_fffe).optional(),
  group: z.int().min(0).max(0xffff_fffe).optional(),
  promiscMode: z.boolean().optional(),
  /** Of host-device: an interface's name, hardware address, or path below /sys/devices. */
  device: text.optional(),
  hwaddr: text.optional(),
  kernelpath: text.optional(),
  mac: text.optional(),
  mtu: mtu.optional(),
  vlan: z.int().min(0).max(4094).optional(),
  vlanQoS: z.int().min(0).max(7).optional(),
  vlanProto: z
    .string()
    .toLowerCase()
    .pipe(z.enum(['802.1q', '802.1ad']))
    .optional(),
  min_tx_rate: rate.optional(),
  max_tx_rate: rate.optional(),
  spoofchk: onOff,
  trust: onOff,
  link_state: wordOf(['auto', 'enable', 'disable']),
  master: text.optional(),
  /** Of macvlan and of ipvlan; which words are right depends on the link. */
  mode: text.optional(),
  flag: text.optional(),
  bcqueuelen: z.int().min(0).max(0xffff_ffff).optional(),
  linkInContainer: z.boolean().optional(),
  duplicateAddressDetection: z.boolean().optional(),
  masterSelector: z
    .union(
      [uplinkSelector, z.array(uplinkSelector).min(1).max(MOST_SELECTORS)],
      'neither an object of the fields that docs/cni.md lists nor a list of such',
    )
    .optional(),
  /** Of vlan; `vlan` is that of a VF, or the shared one of a macvlan or ipvlan. */
  vlanId: z.int().min(0).max(4094).optional(),
  ipam: ipam.nullish(),
  /** Berth's own: what makes STATUS of this network fail. */
  statusFailsOn: z.array(z.enum(['uplink', 'devices', 'addresses'])).optional(),
  dns: dns.optional(),
  args: z.looseObject({ cni: z.looseObject({ ips: texts.optional(), guid: text.optional() }).nullish() }).nullish(),
  runtimeConfig: z
    .looseObject({
      mac: text.optional(),
      ips: texts.optional(),
      deviceID: text.optional(),
      infinibandGUID: text.optional(),
      CNIDeviceInfoFile: text.optional(),
      ipRanges: rangeSets.optional(),
      bandwidth: z
        .looseObject({ ingressRate: z.number().min(0).optional(), egressRate: z.number().min(0).optional() })
        .nullish(),
      dns: dns.extend({ servers: texts.optional(), searches: texts.optional() }).optional(),
    })
    .nullish(),
  prevResult: previousResult.nullish(),
});

export type NetworkConfig = z.infer<typeof network>;
/** The fields of the first level that Berth reads, besides `cniVersion` and `name`. */
export const NETWORK_FIELDS: readonly string[] = Object.keys(network.shape);
export type RangeConfig = z.infer<typeof range>;
export type RouteConfig = z.infer<typeof route>;

/** A configuration that is JSON and of a known version, and nothing more: all that DEL looks at. */
export interface DecodedConfig {
  readonly version: CniVersion;
  /** Under their proper names: {@link properFields}. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Throws code 6 for what is no JSON object and code 1 for a version that is not served. */
export function decodeConfig(stdin: Buffer): DecodedConfig {
  const fields = properFields(decodeObject(stdin));
  const declared = fields.cniVersion;
  // Multus leaves it out, or empty, for configurations of the first specification.
  const version =
    declared === undefined || declared === ''
      ? DEFAULT_CNI_VERSION
      : typeof declared === 'string'
        ? asCniVersion(declared)
        : undefined;
  if (version === undefined) {
    throw new CniFault(CNI_CODES.incompatibleVersion, {
      reason: 'unsupported-cni-version',
      message: `cniVersion is ${JSON.stringify(declared)}, which Berth does not serve`,
      remedy: `Write one of ${CNI_VERSIONS.join(', ')}.`,
    });
  }
  return { version, fields };
}

/** Read besides those of {@link network}. */
const OTHER_FIELDS = ['cniVersion', 'name', 'logFile', 'logLevel'];

/** One plugin's configuration with the names of its fields as docs/cni.md has them, in whatever case they were written. */
export function properFields(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return withProperNames(network, fields, OTHER_FIELDS) as Readonly<Record<string, unknown>>;
}

function decodeObject(stdin: Buffer): Readonly<Record<string, unknown>> {
  const remedy = "The runtime or Multus ended early, or the NetworkAttachmentDefinition's spec.config is not JSON.";
  if (stdin.length === 0) {
    throw new CniFault(CNI_CODES.decode, {
      reason: 'config-not-json',
      message: 'the network configuration is empty',
      remedy,
    });
  }
  if (isTooDeep(stdin)) {
    throw new CniFault(CNI_CODES.decode, {
      reason: 'config-not-json',
      message: `the network configuration (${stdin.length} bytes) has more than ${MOST_LEVELS} lists and objects inside each other`,
      remedy: 'Something has written it wrongly: no field of a network is nested so deeply.',
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(stdin));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CniFault(CNI_CODES.decode, {
      reason: 'config-not-json',
      message: `the network configuration (${stdin.length} bytes) is not JSON: ${why}`,
      remedy,
      cause,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CniFault(CNI_CODES.decode, {
      reason: 'config-not-json',
      message: 'the network configuration is not a JSON object',
      remedy,
    });
  }
  return value as Readonly<Record<string, unknown>>;
}

/** Throws code 7: a name that is no network name. */
export function parseName(fields: Readonly<Record<string, unknown>>): NetworkName {
  const name = typeof fields.name === 'string' ? asNetworkName(fields.name) : undefined;
  if (name !== undefined) return name;
  throw new CniFault(CNI_CODES.invalidConfig, {
    reason: 'invalid-network-name',
    message:
      fields.name === undefined
        ? 'the network configuration has no name'
        : `name is ${JSON.stringify(fields.name)}, which is no network name`,
    remedy:
      'Letters, digits, "_", "." and "-", beginning with a letter or digit, at most 200; without a name Multus writes the NetworkAttachmentDefinition\'s.',
  });
}

/** One wrong field. */
export interface ConfigProblem {
  readonly path: string;
  readonly message: string;
}

export interface ParsedNetwork {
  readonly config: NetworkConfig;
  /** Every field of the wrong type, with its value. */
  readonly problems: readonly ConfigProblem[];
  /** What `config` lacks because of them; a part of the configuration each. */
  readonly leftOut: readonly string[];
}

/** Every field that Berth reads; never throws, so that the rest is looked at too. */
export function parseNetwork(fields: Readonly<Record<string, unknown>>): ParsedNetwork {
  const problems: ConfigProblem[] = [];
  const leftOut = new Set<string>();
  let left = fields;
  for (;;) {
    const parsed = network.safeParse(left);
    if (parsed.success) return { config: parsed.data, problems, leftOut: [...leftOut] };
    const before = leftOut.size;
    for (const { path, message } of parsed.error.issues) {
      const problem = {
        path: path.map(String).join('.'),
        message: `${message} (it is ${shorten(valueAt(left, path))})`,
      };
      problems.push(problem);
      leftOut.add(partOf(path).join('.'));
    }
    if (leftOut.size === before) throw invalidConfig(problems);
    left = [...leftOut].reduce((value, path) => without(value, path.split('.')), fields);
  }
}

/** A list of thousands may be wrong in each entry, and the message goes into an event of the pod. */
const MOST_TOLD = 20;

export function invalidConfig(problems: readonly ConfigProblem[], also = ''): CniFault {
  const wrong = problems.slice(0, MOST_TOLD).map(({ path, message }) => `${path}: ${message}`);
  if (problems.length > MOST_TOLD) wrong.push(`and ${problems.length - MOST_TOLD} more`);
  return new CniFault(CNI_CODES.invalidConfig, {
    reason: 'invalid-network-config',
    message: [...wrong, ...(also === '' ? [] : [also])].join('; '),
    remedy: `Correct ${problems.every(isOfPod) ? 'what the pod asks for (k8s.v1.cni.cncf.io/networks)' : 'the NetworkAttachmentDefinition'}; docs/cni.md lists every field.`,
  });
}

/** Whether the pod asked for it, which Multus hands over in these places. */
function isOfPod({ path }: ConfigProblem): boolean {
  return /^(runtimeConfig|CNI_ARGS|args\.cni)\b/.test(path) && !path.startsWith('runtimeConfig.CNIDeviceInfoFile');
}

/** Objects whose fields are left out one by one; elsewhere it is the whole field of the first level. */
const PARTS = new Set(['ipam', 'runtimeConfig', 'prevResult', 'dns']);

function partOf(path: readonly PropertyKey[]): readonly string[] {
  const [first = '', second] = path.map(String);
  return second !== undefined && PARTS.has(first) ? [first, second] : [first];
}

function without(
  fields: Readonly<Record<string, unknown>>,
  [first = '', second]: readonly string[],
): Readonly<Record<string, unknown>> {
  const { [first]: value, ...rest } = fields;
  if (second === undefined || typeof value !== 'object' || value === null) return rest;
  return { ...rest, [first]: without(value as Readonly<Record<string, unknown>>, [second]) };
}

/** Code 2; the specification wants the key and the value in the message. */
export function unsupportedField(path: string, value: unknown, why: string): CniFault {
  return new CniFault(CNI_CODES.unsupportedField, {
    reason: 'unsupported-field',
    message: `${path} is ${shorten(value)}: ${why}`,
    remedy: 'Remove it, or the capability or annotation that asks for it; docs/cni.md lists what each link can do.',
  });
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value: unknown = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}

function shorten(value: unknown): string {
  const written = JSON.stringify(value) ?? 'missing';
  return written.length > 80 ? `${written.slice(0, 77)}...` : written;
}
