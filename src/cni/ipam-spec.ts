/**
 * What addresses a configuration asks for: the fields of the reference plugins host-local and
 * static. Requested addresses come from runtimeConfig.ips, args.cni.ips and CNI_ARGS IP: for
 * host-local from all three together, for static from the first that has any, of which the lists
 * take the place of the configured addresses and CNI_ARGS adds to them. Values are checked for form
 * here; whether an address is free or in a range is the engine's.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Route } from '../engine/attachments/port.ts';
import { addressKey, asIp, asPrefix, contains, formatIp, type Ip, networkOf } from '../engine/ipam/ip.ts';
import {
  DEFAULT_DATA_DIR,
  type DnsSpec,
  type HostLocalSpec,
  type IpamSpec,
  type IpRange,
  MOST_ADDRESSES,
  type StaticSpec,
} from '../engine/ipam/model.ts';
import {
  type ConfigProblem,
  type NetworkConfig,
  type RangeConfig,
  type RouteConfig,
  unsupportedField,
} from './config.ts';
import type { CniArgs } from './environment.ts';
import { CNI_CODES, CniFault } from './errors.ts';

/** Each is compared with every other. */
const MOST_RANGES = 512;
/** Each is looked for in the network of each address. */
const MOST_GATEWAYS = 64;
/** linux/rtnetlink.h */
const RT_TABLE_LOCAL = 255;

type Ipam = NonNullable<NetworkConfig['ipam']>;

interface Requested {
  readonly path: string;
  readonly ips: readonly string[];
}

/** From runtimeConfig, the first that is asked, to CNI_ARGS; those that ask for something. */
type Requests = readonly Requested[];

/** `undefined` for a link without addresses. Wrong fields go to `problems`; throws `CniFault` (codes 2 and 5). */
export function parseIpamSpec(config: NetworkConfig, args: CniArgs, problems: ConfigProblem[]): IpamSpec | undefined {
  const ipam = config.ipam ?? undefined;
  const type = ipam?.type ?? '';
  const requested = requestedOf(config, args, problems);
  if (type !== 'host-local' && (config.runtimeConfig?.ipRanges ?? []).length > 0) {
    const why = type === '' ? 'the network has no ipam' : `ipam ${type} takes none`;
    problems.push({ path: 'runtimeConfig.ipRanges', message: `ranges asked for, but ${why}` });
  }
  if (ipam === undefined || type === '') {
    const [first] = requested;
    if (first !== undefined) {
      problems.push({
        path: first.path,
        message: `${first.ips.join(', ')} asked for, but the network has no ipam to give addresses`,
      });
    }
    return undefined;
  }
  return parseByType(type, config, ipam, args, requested, problems);
}

/**
 * Of an ipvlan without `ipam` behind other plugins: their addresses and routes become the link's, as
 * the reference plugin has it (plugins that make an interface of the node, and say what a pod on it
 * is to have). `undefined` where they gave none.
 */
export function parseInheritedAddressing(config: NetworkConfig, problems: ConfigProblem[]): StaticSpec | undefined {
  const previous = config.prevResult ?? undefined;
  const ips = previous?.ips ?? [];
  if (previous === undefined || ips.length === 0) return undefined;
  return {
    type: 'static',
    addresses: addressesAt('prevResult.ips', ips, problems),
    routes: parseRoutes(previous.routes, problems, 'prevResult.routes'),
    dns: dnsOf(config, previous.dns ?? {}),
  };
}

function parseByType(
  type: string,
  config: NetworkConfig,
  ipam: Ipam,
  args: CniArgs,
  requested: Requests,
  problems: ConfigProblem[],
): IpamSpec {
  switch (type) {
    case 'host-local':
      return parseHostLocal(config, ipam, requested, problems);
    case 'static':
      return parseStatic(config, ipam, args, requested, problems);
    default:
      throw unsupportedField('ipam.type', type, 'Berth has host-local and static');
  }
}

function requestedOf(config: NetworkConfig, args: CniArgs, problems: ConfigProblem[]): Requests {
  const sources: Requests = [
    { path: 'runtimeConfig.ips', ips: config.runtimeConfig?.ips ?? [] },
    { path: 'args.cni.ips', ips: config.args?.cni?.ips ?? [] },
    { path: 'CNI_ARGS IP', ips: args.ips },
  ];
  for (const { path, ips } of sources) {
    if (ips.length <= MOST_ADDRESSES) continue;
    problems.push({ path, message: `${ips.length} addresses, and at most ${MOST_ADDRESSES} can be asked for` });
    return [];
  }
  return sources.filter((source) => source.ips.length > 0);
}

type WrittenHostLocal = Pick<HostLocalSpec, 'rangeSets' | 'routes' | 'dataDir'>;

/** Of definitions that every pod of a network brings again (recent-configs.ts). */
const writtenBefore = new WeakMap<NetworkConfig, WrittenHostLocal>();

function parseHostLocal(
  config: NetworkConfig,
  ipam: Ipam,
  requested: Requests,
  problems: ConfigProblem[],
): HostLocalSpec {
  return {
    type: 'host-local',
    ...writtenHostLocal(config, ipam, problems),
    requested: requested.flatMap(({ path, ips }) =>
      ips.map((text) => parseAddress(path, text.split('/')[0] ?? text, problems)),
    ),
    dns: dnsOf(config, ipam.resolvConf === undefined || ipam.resolvConf === '' ? {} : readResolvConf(ipam.resolvConf)),
  };
}

/** What the definition alone says. */
function writtenHostLocal(config: NetworkConfig, ipam: Ipam, problems: ConfigProblem[]): WrittenHostLocal {
  const before = writtenBefore.get(config);
  if (before !== undefined) return before;
  const count = problems.length;
  const written = readHostLocal(config, ipam, problems);
  if (problems.length === count && Object.isFrozen(config)) writtenBefore.set(config, written);
  return written;
}

function readHostLocal(config: NetworkConfig, ipam: Ipam, problems: ConfigProblem[]): WrittenHostLocal {
  const rangeSets: (readonly IpRange[])[] = [];
  const add = (path: string, sets: readonly (readonly RangeConfig[])[]): void => {
    for (const [s, set] of sets.entries())
      rangeSets.push(set.map((range, r) => parseRange(`${path}.${s}.${r}`, range, problems)));
  };
  add('runtimeConfig.ipRanges', config.runtimeConfig?.ipRanges ?? []);
  const { subnet } = ipam;
  if (subnet !== undefined) rangeSets.push([parseRange('ipam', { ...ipam, subnet }, problems)]);
  add('ipam.ranges', ipam.ranges ?? []);
  if (rangeSets.length === 0)
    problems.push({ path: 'ipam.ranges', message: 'host-local has no range to take addresses from' });
  const count = rangeSets.reduce((sum, set) => sum + set.length, 0);
  if (count > MOST_RANGES)
    problems.push({ path: 'ipam.ranges', message: `${count} ranges, and at most ${MOST_RANGES} are taken` });
  return {
    rangeSets,
    routes: parseOwnRoutes(ipam.routes, problems),
    dataDir:
      ipam.dataDir === undefined || ipam.dataDir === ''
        ? DEFAULT_DATA_DIR
        : absolute('ipam.dataDir', ipam.dataDir, problems),
  };
}

function parseStatic(
  config: NetworkConfig,
  ipam: Ipam,
  args: CniArgs,
  requested: Requests,
  problems: ConfigProblem[],
): StaticSpec {
  const [first] = requested;
  const isOfArgs = first?.path === 'CNI_ARGS IP';
  const gateways = gatewaysOf(args, problems);
  const addresses = [
    ...(first === undefined || isOfArgs
      ? addressesAt(
          'ipam.addresses',
          (ipam.addresses ?? []).map((given) => ({ ...given, ...withGateway(given.address, gateways) })),
          problems,
        )
      : []),
    ...(first === undefined
      ? []
      : addressesAt(
          first.path,
          first.ips.map((address) => withGateway(address, isOfArgs ? gateways : [])),
          problems,
        )),
  ];
  return {
    type: 'static',
    addresses: distinct(addresses),
    routes: parseOwnRoutes(ipam.routes, problems),
    dns: dnsOf(config, ipam.dns ?? {}),
  };
}

type StaticAddress = StaticSpec['addresses'][number];

/** The same address from two places, or twice from one, is one address: the first counts. */
function distinct(addresses: readonly StaticAddress[]): readonly StaticAddress[] {
  const byKey = new Map<string, StaticAddress>();
  for (const each of addresses) {
    const key = addressKey(each.address);
    if (!byKey.has(key)) byKey.set(key, each);
  }
  return [...byKey.values()];
}

function addressesAt(
  path: string,
  written: NonNullable<Ipam['addresses']>,
  problems: ConfigProblem[],
): readonly StaticAddress[] {
  return written.map(({ address, gateway }, i) => {
    parseCidr(`${path}.${i}`, address, problems);
    refuseUnusable(`${path}.${i}`, address, problems);
    if (gateway === undefined || gateway === '') return { address };
    if (familyOf(parseAddress(`${path}.${i}.gateway`, gateway, problems)) !== familyOf(address)) {
      problems.push({ path: `${path}.${i}.gateway`, message: `${gateway} is of another family than ${address}` });
    }
    return { address, gateway };
  });
}

/** The kernel takes the first for no address at all, and refuses the others. */
function refuseUnusable(path: string, text: string, problems: ConfigProblem[]): void {
  const ip = asIp(text.split('/')[0] ?? '');
  if (ip === undefined) return;
  const isMulticast = ip.family === 6 && ip.value >> 120n === 0xffn;
  if (ip.value === 0n || isMulticast)
    problems.push({
      path,
      message: `${text} is ${isMulticast ? 'a group address' : 'zero'}, which no interface can have`,
    });
}

/** CNI_ARGS GATEWAY lists gateways beside IP; one belongs to the addresses whose network it is in. */
function withGateway(address: string, gateways: readonly Ip[]): { address: string; gateway?: string } {
  const network = asPrefix(address);
  const gateway = network === undefined ? undefined : gateways.find((candidate) => contains(network, candidate));
  return gateway === undefined ? { address } : { address, gateway: formatIp(gateway) };
}

function gatewaysOf(args: CniArgs, problems: ConfigProblem[]): readonly Ip[] {
  const path = 'CNI_ARGS GATEWAY';
  if (args.gateways.length > MOST_GATEWAYS) {
    problems.push({ path, message: `${args.gateways.length} gateways, and at most ${MOST_GATEWAYS} are taken` });
    return [];
  }
  return args.gateways.flatMap((text) => {
    parseAddress(path, text, problems);
    return asIp(text) ?? [];
  });
}

function parseRange(path: string, range: RangeConfig, problems: ConfigProblem[]): IpRange {
  parseCidr(`${path}.subnet`, range.subnet, problems);
  const family = familyOf(range.subnet);
  const parsed: { subnet: string; rangeStart?: string; rangeEnd?: string; gateway?: string } = { subnet: range.subnet };
  for (const key of ['rangeStart', 'rangeEnd', 'gateway'] as const) {
    const text = range[key];
    if (text === undefined || text === '') continue;
    parsed[key] = parseAddress(`${path}.${key}`, text, problems);
    if (familyOf(text) !== family)
      problems.push({ path: `${path}.${key}`, message: `${text} is of another family than ${range.subnet}` });
  }
  return parsed;
}

/** Those that are to be made, so what the kernel would refuse or change is refused. */
function parseOwnRoutes(routes: readonly RouteConfig[] | undefined, problems: ConfigProblem[]): readonly Route[] {
  for (const [i, { dst, gw = '', table }] of (routes ?? []).entries()) {
    const path = `ipam.routes.${i}`;
    refuseHostBits(`${path}.dst`, dst, problems);
    // An IPv4 route may go through an IPv6 gateway (RTA_VIA), and not the other way round.
    if (gw !== '' && familyOf(dst) === 'ipv6' && familyOf(gw) === 'ipv4')
      problems.push({ path: `${path}.gw`, message: `${gw} is of another family than ${dst}` });
    if (table === RT_TABLE_LOCAL)
      problems.push({ path: `${path}.table`, message: `${table} is the kernel's own, for local addresses` });
  }
  return parseRoutes(routes, problems, 'ipam.routes');
}

/** Of an IPAM section, or of a previous result, where `path` is its place. */
export function parseRoutes(
  routes: readonly RouteConfig[] | undefined,
  problems: ConfigProblem[],
  path: string,
): readonly Route[] {
  return (routes ?? []).map((route, i) => {
    parseCidr(`${path}.${i}.dst`, route.dst, problems);
    const gateway =
      route.gw === undefined || route.gw === '' ? undefined : parseAddress(`${path}.${i}.gw`, route.gw, problems);
    return {
      dst: route.dst,
      ...(gateway === undefined ? {} : { gateway }),
      ...(route.mtu === undefined ? {} : { mtu: route.mtu }),
      ...(route.advmss === undefined ? {} : { advmss: route.advmss }),
      ...(route.priority === undefined ? {} : { priority: route.priority }),
      ...(route.table === undefined ? {} : { table: route.table }),
      ...(route.scope === undefined ? {} : { scope: route.scope }),
    };
  });
}

/** The kernel refuses them in IPv4 routes, and ignores them in IPv6 ones. */
function refuseHostBits(path: string, text: string, problems: ConfigProblem[]): void {
  const prefix = asPrefix(text);
  if (prefix?.ip.family !== 4 || prefix.ip.value === networkOf(prefix)) return;
  const network = `${formatIp({ family: 4, value: networkOf(prefix) })}/${prefix.length}`;
  problems.push({ path, message: `${text} has host bits set; the network is ${network}` });
}

function isCidr(text: string): boolean {
  return asPrefix(text) !== undefined;
}

function familyOf(text: string): 'ipv4' | 'ipv6' {
  return text.includes(':') ? 'ipv6' : 'ipv4';
}

function parseCidr(path: string, text: string, problems: ConfigProblem[]): void {
  if (!isCidr(text))
    problems.push({ path, message: `${JSON.stringify(text)} is no address with prefix length, as in 10.0.0.0/24` });
}

function parseAddress(path: string, text: string, problems: ConfigProblem[]): string {
  if (asIp(text) === undefined) problems.push({ path, message: `${JSON.stringify(text)} is no IP address` });
  return text;
}

function absolute(path: string, text: string, problems: ConfigProblem[]): string {
  if (!text.startsWith('/') || text.split('/').includes('..'))
    problems.push({ path, message: `${JSON.stringify(text)} is no absolute path without ".."` });
  return text;
}

interface DnsFields {
  readonly nameservers?: readonly string[] | undefined;
  readonly domain?: string | undefined;
  readonly search?: readonly string[] | undefined;
  readonly options?: readonly string[] | undefined;
}

/** The pod's own request, the network's, and what IPAM says, in this order. */
function dnsOf(config: NetworkConfig, fromIpam: DnsFields): DnsSpec {
  const asked = config.runtimeConfig?.dns;
  // The dns capability of the CNI conventions says servers and searches.
  const request: DnsFields =
    asked === undefined
      ? {}
      : { ...asked, nameservers: asked.nameservers ?? asked.servers, search: asked.search ?? asked.searches };
  const sources: readonly DnsFields[] = [request, config.dns ?? {}, fromIpam];
  const first = sources.find(
    (dns) =>
      (dns.nameservers?.length ?? 0) + (dns.search?.length ?? 0) + (dns.options?.length ?? 0) > 0 ||
      (dns.domain ?? '') !== '',
  );
  if (first === undefined) return {};
  return {
    ...(first.nameservers === undefined ? {} : { nameservers: first.nameservers }),
    ...(first.domain === undefined ? {} : { domain: first.domain }),
    ...(first.search === undefined ? {} : { search: first.search }),
    ...(first.options === undefined ? {} : { options: first.options }),
  };
}

/** A resolv.conf is some hundred bytes. */
const MOST_RESOLV_CONF_BYTES = 64 * 1024;

/** As host-local reads it: of several `search` lines all count, where resolv.conf(5) has the last one. */
function readResolvConf(path: string): DnsSpec {
  const text = readSmallFile(path);
  const nameservers: string[] = [];
  const search: string[] = [];
  const options: string[] = [];
  let domain: string | undefined;
  for (const line of text.split('\n')) {
    const [keyword, ...words] = line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/);
    if (words.length === 0) continue;
    if (keyword === 'nameserver') nameservers.push(...words.slice(0, 1));
    else if (keyword === 'search') search.push(...words);
    else if (keyword === 'domain') domain = words[0];
    else if (keyword === 'options') options.push(...words);
  }
  return {
    ...(nameservers.length === 0 ? {} : { nameservers }),
    ...(search.length === 0 ? {} : { search }),
    ...(options.length === 0 ? {} : { options }),
    ...(domain === undefined ? {} : { domain }),
  };
}

/** The path is the definition's author's: a pipe must not hold the agent up, nor a device fill its memory. */
function readSmallFile(path: string): string {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!fstatSync(fd).isFile()) throw new Error('it is no plain file');
      const buffer = Buffer.alloc(MOST_RESOLV_CONF_BYTES + 1);
      const length = readSync(fd, buffer);
      if (length > MOST_RESOLV_CONF_BYTES) throw new Error(`it has more than ${MOST_RESOLV_CONF_BYTES} bytes`);
      return buffer.toString('utf8', 0, length);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    throw new CniFault(CNI_CODES.io, {
      code: 'Io',
      reason: 'resolv-conf-unreadable',
      message: `ipam.resolvConf ${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      remedy: 'Correct the path; it is one on the node.',
      cause,
    });
  }
}
