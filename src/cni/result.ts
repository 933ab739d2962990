/**
 * Results as each version of the specification writes them, and the previous result that CHECK gets.
 * Sources: the "Result" sections of the CNI specification 0.2.0, 0.3.1, 1.0.0 and 1.1.0.
 */
import type { AttachResult, CheckRequest, LinkKind } from '../engine/attachments/model.ts';
import type { Route } from '../engine/attachments/port.ts';
import { asPrefix } from '../engine/ipam/ip.ts';
import type { DnsSpec, IpamSpec } from '../engine/ipam/model.ts';
import { asMacAddress, type IfName } from '../engine/values.ts';
import type { ConfigProblem, NetworkConfig } from './config.ts';
import { CNI_CODES, CniFault } from './errors.ts';
import { parseRoutes } from './ipam-spec.ts';
import { type CniVersion, traitsOf } from './versions.ts';

/**
 * To be asked before anything is done: results of 0.1.0 and 0.2.0 consist of one address of each
 * family, and a second one would be the pod's without anybody being told. What a program gives is
 * the program's to say. Throws code 1 for a link without addresses, or with too many.
 */
export function requireExpressible(version: CniVersion, ipam: IpamSpec | undefined, hasOldAddress: boolean): void {
  if (traitsOf(version).result !== 'ip4-ip6') return;
  if (ipam === undefined && !hasOldAddress) {
    throw notExpressible(`cniVersion ${version} cannot describe a link without addresses`, ', or add ipam');
  }
  const addresses = ipam === undefined ? [] : addressesOf(ipam);
  for (const v6 of [false, true]) {
    const same = addresses.filter((address) => isV6(address) === v6);
    if (same.length < 2) continue;
    const which = `${same.length} of ${v6 ? 'IPv6' : 'IPv4'} (${same.join(', ')})`;
    throw notExpressible(`cniVersion ${version} has room for one address of each family, and ipam gives ${which}`);
  }
}

/** One of each address that is going to be given, or the network that it is going to be from. */
function addressesOf(ipam: IpamSpec): readonly string[] {
  switch (ipam.type) {
    case 'host-local':
      return ipam.rangeSets.flatMap((set) => set.slice(0, 1).map(({ subnet }) => subnet));
    case 'static':
      return ipam.addresses.map(({ address }) => address);
    case 'delegated':
      return [];
    default:
      return ipam satisfies never;
  }
}

function notExpressible(message: string, also = ''): CniFault {
  return new CniFault(CNI_CODES.incompatibleVersion, {
    reason: 'result-not-expressible',
    message,
    remedy: `Write a cniVersion of 0.3.1 or later${also}.`,
  });
}

/**
 * Whether a result tells MTU and PCI address: fields of 1.1.0, in 1.0.0 too because Multus shows them
 * to the pod; of a host-device not, whose reference plugin has exactly the fields of 1.0.0 there.
 */
function tellsDetails(version: CniVersion, kind: LinkKind): boolean {
  return traitsOf(version).result === 'current' && (version !== '1.0.0' || kind !== 'host-device');
}

/** The JSON object that ADD prints. `sandboxPath` is CNI_NETNS as the runtime wrote it. */
export function toCniResult(
  result: AttachResult,
  version: CniVersion,
  sandboxPath: string,
  kind: LinkKind,
): Readonly<Record<string, unknown>> {
  const details: Pick<AttachResult, 'mtu' | 'pci'> = tellsDetails(version, kind) ? result : {};
  const shape = traitsOf(version).result;
  switch (shape) {
    case 'current':
      return {
        cniVersion: version,
        interfaces: [
          {
            name: result.ifname,
            ...(result.mac === undefined ? {} : { mac: result.mac }),
            ...(details.mtu === undefined ? {} : { mtu: details.mtu }),
            sandbox: sandboxPath,
            ...(details.pci === undefined ? {} : { pciID: details.pci }),
          },
        ],
        ...addressing(result, (address) => ({ ...address, interface: 0 }), fullRoute),
      };
    case 'ips-versioned':
      return {
        cniVersion: version,
        interfaces: [
          { name: result.ifname, ...(result.mac === undefined ? {} : { mac: result.mac }), sandbox: sandboxPath },
        ],
        ...addressing(
          result,
          (address) => ({ version: isV6(address.address) ? '6' : '4', ...address, interface: 0 }),
          plainRoute,
        ),
      };
    case 'ip4-ip6':
      return {
        cniVersion: version,
        ...oldFamily('ip4', result, false),
        ...oldFamily('ip6', result, true),
        ...dnsPart(result.dns),
      };
    default:
      return shape satisfies never;
  }
}

type Address = AttachResult['addresses'][number];

function addressing(
  result: AttachResult,
  address: (address: Address) => Readonly<Record<string, unknown>>,
  route: (route: Route) => Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return {
    ...(result.addresses.length === 0 ? {} : { ips: result.addresses.map(address) }),
    ...(result.routes.length === 0 ? {} : { routes: result.routes.map(route) }),
    ...dnsPart(result.dns),
  };
}

/** One address a family is all that 0.1.0 and 0.2.0 have room for, see {@link requireExpressible}. */
function oldFamily(key: string, result: AttachResult, v6: boolean): Readonly<Record<string, unknown>> {
  const first = result.addresses.find(({ address }) => isV6(address) === v6);
  if (first === undefined) return {};
  const routes = result.routes.filter(({ dst }) => isV6(dst) === v6).map(plainRoute);
  return {
    [key]: {
      ip: first.address,
      ...(first.gateway === undefined ? {} : { gateway: first.gateway }),
      ...(routes.length === 0 ? {} : { routes }),
    },
  };
}

function plainRoute(route: Route): Readonly<Record<string, unknown>> {
  return { dst: route.dst, ...(route.gateway === undefined ? {} : { gw: route.gateway }) };
}

function fullRoute({ gateway, ...rest }: Route): Readonly<Record<string, unknown>> {
  return { ...rest, ...(gateway === undefined ? {} : { gw: gateway }) };
}

function dnsPart(dns: DnsSpec): Readonly<Record<string, unknown>> {
  return Object.keys(dns).length === 0 ? {} : { dns };
}

function isV6(address: string): boolean {
  return address.includes(':');
}

/**
 * What CHECK expects, from `prevResult`. It may hold more than ADD answered (Multus adds default
 * routes, chained plugins add interfaces): addresses of other interfaces are left out. Throws code 7.
 */
export function parsePreviousResult(
  config: NetworkConfig,
  ifname: IfName,
  problems: ConfigProblem[],
): CheckRequest['expected'] {
  const previous = config.prevResult ?? undefined;
  if (previous === undefined) {
    throw new CniFault(CNI_CODES.invalidConfig, {
      reason: 'previous-result-missing',
      message: 'CHECK came without prevResult',
      remedy: 'The runtime has to hand over the result of the ADD (CNI specification, "CHECK").',
    });
  }
  const index = previous.interfaces?.findIndex((entry) => entry.name === ifname && (entry.sandbox ?? '') !== '') ?? -1;
  const entry = previous.interfaces?.[index];
  if (entry === undefined)
    problems.push({ path: 'prevResult.interfaces', message: `no interface ${ifname} in a sandbox` });
  const macText = entry?.mac ?? '';
  const mac = macText === '' ? undefined : asMacAddress(macText);
  if (macText !== '' && mac === undefined)
    problems.push({
      path: `prevResult.interfaces.${index}.mac`,
      message: `${JSON.stringify(macText)} is no hardware address`,
    });
  const routes = parseRoutes(previous.routes, problems, 'prevResult.routes');
  for (const [at, { address }] of (previous.ips ?? []).entries()) {
    if (asPrefix(address) !== undefined) continue;
    const message = `${JSON.stringify(address)} is no address with prefix length`;
    problems.push({ path: `prevResult.ips.${at}.address`, message });
  }
  const addresses = (previous.ips ?? [])
    .filter((ip) => ip.interface === undefined || ip.interface === index)
    .map(({ address, gateway }) => (gateway === undefined || gateway === '' ? { address } : { address, gateway }));
  const mtu = entry?.mtu;
  return { addresses, routes, ...(mtu === undefined ? {} : { mtu }), ...(mac === undefined ? {} : { mac }) };
}

/**
 * With the MTU of the configuration where results tell none. Where they do, one that is missing was
 * dropped by a later plugin, which may have changed it.
 */
export function withConfiguredMtu(
  expected: CheckRequest['expected'],
  { mtu }: NetworkConfig,
  version: CniVersion,
  kind: LinkKind,
): CheckRequest['expected'] {
  if (expected.mtu !== undefined || mtu === undefined || mtu === 0 || tellsDetails(version, kind)) return expected;
  return { ...expected, mtu };
}
