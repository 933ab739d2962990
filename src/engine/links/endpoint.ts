/**
 * The sandbox side that all kinds share: the name is free, the link gets its name, alias, addresses
 * and routes, and CHECK compares them. Everything that the kernel takes in one message list is sent
 * as one, because each `apply` is a hop to a thread.
 */

import type { AttachResult } from '../attachments/model.ts';
import type { Link, LinkOperation, Namespace, Route } from '../attachments/port.ts';
import { BerthError } from '../errors.ts';
import { addressFamily, addressKey, asIp, networkKey, sameAddress } from '../ipam/ip.ts';
import type { IpamResult } from '../ipam/model.ts';
import type { IfName, MacAddress } from '../values.ts';
import type { LinkCheckInput, LinkContext, LinkOutcome } from './link-driver.ts';

/** RT_SCOPE_LINK, linux/rtnetlink.h: a route to neighbours, which has no gateway. */
const RT_SCOPE_LINK = 253;
/** What the kernel says of an address that is there already, or that it takes for none. */
const ADDRESS_REFUSALS: ReadonlySet<string> = new Set(['EEXIST', 'EINVAL', 'EADDRNOTAVAIL']);

/** Throws `Invalid`, `interface-name-taken`, when the sandbox has a link of that name; touches nothing. */
export async function requireNameFree(sandbox: Namespace, ifname: IfName): Promise<void> {
  const taken = await sandbox.link({ name: ifname });
  if (taken !== undefined) throw nameTaken(ifname, taken.kind);
}

/** The error for a name that somebody else's link has. */
export function nameTaken(ifname: IfName, kind?: string): BerthError {
  return new BerthError({
    code: 'Invalid',
    reason: 'interface-name-taken',
    message: `the sandbox already has an interface ${ifname}${kind === undefined ? '' : ` (${kind})`}`,
    remedy: 'Choose another interface name for this network; the existing interface was not touched.',
  });
}

export interface EndpointPlan {
  readonly index: number;
  readonly ifname: IfName;
  readonly alias: string;
  /** It was born under its name; the group that it was born in ends with the alias. */
  readonly isNamed?: boolean;
  /** It has its name and its alias. */
  readonly isMarked?: boolean;
  readonly mac?: MacAddress;
  readonly addressing: IpamResult;
  /** As in {@link LinkOperation}. */
  readonly isSoftware: boolean;
}

/**
 * Names, marks, addresses and raises the link, then adds its routes, in one `apply`. Addresses come
 * before `up`, so that the kernel announces them itself when the link comes up (arp_notify,
 * ndisc_notify): a packet socket for that would cost more than all the rest, its close waits for RCU.
 */
export async function configureEndpoint(
  context: LinkContext,
  sandbox: Namespace,
  plan: EndpointPlan,
): Promise<Pick<LinkOutcome, 'ndiscNotify'>> {
  const { index, ifname, addressing, isSoftware } = plan;
  const hasV6 = addressing.addresses.some((entry) => addressFamily(entry.address) === 6);
  const named: LinkOperation = {
    op: 'link.set',
    index,
    ...(plan.isMarked === true
      ? {}
      : { ...(plan.isNamed === true ? { group: 0 } : { name: ifname }), alias: plan.alias }),
    arpNotify: true,
    isSoftware,
    ...(plan.mac === undefined ? {} : { mac: plan.mac }),
  };
  const rest: LinkOperation[] = [
    ...addressing.addresses.map(({ address }): LinkOperation => ({ op: 'address.add', index, address })),
    { op: 'link.set', index, up: true, isSoftware },
    ...endpointRoutes(addressing).map((route): LinkOperation => ({ op: 'route.add', index, ...route })),
  ];
  try {
    if (hasV6) {
      await sandbox.apply([named]);
      const kernelAnnounces = await enableIpv6(context, sandbox, ifname);
      await sandbox.apply(rest);
      if (kernelAnnounces) return { ndiscNotify: true };
      await announceIpv6(context, sandbox, plan);
    } else {
      await sandbox.apply([named, ...rest]);
    }
    return {};
  } catch (error) {
    throw await explain(error, sandbox, plan);
  }
}

/**
 * Gives a link that is up already its addresses and routes, and announces them: the kernel does that
 * by itself only when a link comes up.
 */
export async function addAddressing(
  context: LinkContext,
  sandbox: Namespace,
  plan: Pick<EndpointPlan, 'index' | 'ifname' | 'mac' | 'addressing'>,
): Promise<void> {
  const { index, ifname, addressing } = plan;
  if (addressing.addresses.length === 0 && addressing.routes.length === 0) return;
  if (addressing.addresses.some((entry) => addressFamily(entry.address) === 6))
    await enableIpv6(context, sandbox, ifname);
  try {
    await sandbox.apply([
      ...addressing.addresses.map(({ address }): LinkOperation => ({ op: 'address.add', index, address })),
      ...endpointRoutes(addressing).map((route): LinkOperation => ({ op: 'route.add', index, ...route })),
    ]);
  } catch (error) {
    throw await explain(error, sandbox, plan);
  }
  await announce(
    context,
    sandbox,
    index,
    addressing.addresses.map((entry) => entry.address),
  );
}

/** Routes as the kernel needs them: one without a gateway goes through that of its own family's address. */
export function endpointRoutes(addressing: IpamResult): readonly Route[] {
  const gateways = new Map<4 | 6, string>();
  for (const { gateway } of addressing.routes.length === 0 ? [] : addressing.addresses) {
    if (gateway === undefined) continue;
    const family = addressFamily(gateway);
    if (!gateways.has(family)) gateways.set(family, gateway);
  }
  return addressing.routes.map((route) => {
    if (route.gateway !== undefined || route.scope === RT_SCOPE_LINK) return route;
    const gateway = gateways.get(addressFamily(route.dst));
    return gateway === undefined ? route : { ...route, gateway };
  });
}

async function announceIpv6(
  context: LinkContext,
  sandbox: Namespace,
  { index, addressing }: EndpointPlan,
): Promise<void> {
  const addresses = addressing.addresses
    .map((entry) => entry.address)
    .filter((address) => addressFamily(address) === 6);
  await announce(context, sandbox, index, addresses);
}

/** Tells the neighbours; an announcement that cannot be sent does not fail an ADD. */
async function announce(
  context: LinkContext,
  sandbox: Namespace,
  index: number,
  addresses: readonly string[],
): Promise<void> {
  try {
    const mac = (await sandbox.link({ index }))?.mac;
    if (mac !== undefined) await sandbox.announce(index, mac, addresses);
  } catch (error) {
    context.log.warn({ err: error, index }, 'announcing the addresses failed');
  }
}

/** What differs between a link in the sandbox and what ADD promised. Later chained plugins may have added, not removed. */
export async function compareEndpoint(
  sandbox: Namespace,
  link: Link,
  expected: LinkCheckInput<unknown>['expected'],
): Promise<string[]> {
  return [...(await compareResult(sandbox, link, expected)), ...(await compareSysctls(sandbox, link, expected))];
}

/** The part that every plugin's ADD promises: what its result says. */
export async function compareResult(
  sandbox: Namespace,
  link: Link,
  expected: Pick<AttachResult, 'mac' | 'mtu' | 'addresses' | 'routes'>,
): Promise<string[]> {
  const { name } = link;
  const differences: string[] = [];
  if (!link.up) differences.push(`${name} is down`);
  if (expected.mac !== undefined && link.mac !== expected.mac) {
    differences.push(`${name} has hardware address ${link.mac ?? 'none'}, not ${expected.mac}`);
  }
  if (expected.mtu !== undefined && link.mtu !== expected.mtu) {
    differences.push(`${name} has MTU ${link.mtu}, not ${expected.mtu}`);
  }
  if (expected.addresses.length > 0) {
    const present = new Map((await sandbox.addresses(link.index)).map((entry) => [addressKey(entry.address), entry]));
    for (const { address } of expected.addresses) {
      const found = present.get(addressKey(address));
      if (found === undefined) differences.push(`${name} lacks the address ${address}`);
      else if (found.dadFailed)
        differences.push(`${address} on ${name} is also used by a neighbour (duplicate address)`);
    }
  }
  if (expected.routes.length > 0) {
    const present = Map.groupBy(await sandbox.routes(link.index), ({ dst }) => networkKey(dst));
    for (const route of endpointRoutes({ addresses: expected.addresses, routes: expected.routes, dns: {} })) {
      if (present.get(networkKey(route.dst))?.some((entry) => keepsRoute(entry, route, link)) !== true)
        differences.push(`${name} lacks the route ${describeRoute(route)}`);
    }
  }
  return differences;
}

/** Each field that was asked for, of a route to the same network; the kernel fills the others in by itself. */
function keepsRoute(present: Route, wanted: Route, link: Link): boolean {
  // The gateway zero is none: whoever writes it wants the neighbours to be asked.
  const gateway = asIp(wanted.gateway ?? '')?.value === 0n ? undefined : wanted.gateway;
  if (gateway !== undefined && (present.gateway === undefined || !sameAddress(present.gateway, gateway))) return false;
  if ((['mtu', 'advmss', 'priority'] as const).some((field) => (wanted[field] || present[field]) !== present[field]))
    return false;
  // The kernel knows no scope of IPv6 routes.
  if (addressFamily(wanted.dst) === 4 && (wanted.scope ?? present.scope) !== present.scope) return false;
  // A VRF takes the routes of its ports into its own table, and a chained plugin may have made it one.
  return link.masterIndex !== undefined || (wanted.table || present.table) === present.table;
}

function describeRoute({ dst, gateway, ...fields }: Route): string {
  const rest = Object.entries(fields).map(([name, value]) => `${name} ${value}`);
  return [dst, ...(gateway === undefined ? [] : ['via', gateway]), ...rest].join(' ');
}

/** Values that ADD set; one that cannot be read is not judged. */
async function compareSysctls(
  sandbox: Namespace,
  { name }: Link,
  expected: Pick<LinkCheckInput<unknown>['expected'], 'addresses' | 'ndiscNotify'>,
): Promise<string[]> {
  const wanted: readonly (readonly [string, string, string])[] = [
    ['ipv4', 'arp_notify', '1'],
    ...(expected.addresses.some(({ address }) => addressFamily(address) === 6)
      ? [['ipv6', 'disable_ipv6', '0'] as const]
      : []),
    ...(expected.ndiscNotify === true ? [['ipv6', 'ndisc_notify', '1'] as const] : []),
  ];
  const values = await Promise.all(
    wanted.map(async ([family, key, value]) => {
      const present = (await sandbox.readSysctl([family, 'conf', name, key]))?.trim();
      return present === undefined || present === value
        ? []
        : [`net.${family}.conf.${name}.${key} is ${present}, not ${value}`];
    }),
  );
  return values.flat();
}

/**
 * Before the first IPv6 address: IPv6 is there, also on `lo`, through which a pod reaches its own
 * addresses, and they outlive a `down` of the link as those of IPv4 do. Answers whether the kernel
 * will announce them itself.
 */
async function enableIpv6(context: LinkContext, sandbox: Namespace, ifname: IfName): Promise<boolean> {
  for (const name of ['lo', ifname]) {
    const path = ['ipv6', 'conf', name, 'disable_ipv6'];
    if ((await sandbox.readSysctl(path))?.trim() === '1') await sandbox.writeSysctl(path, '0');
  }
  const isSet = (key: string): Promise<boolean> => setIfWritable(context, sandbox, ifname, key);
  await isSet('keep_addr_on_down');
  return isSet('ndisc_notify');
}

async function setIfWritable(context: LinkContext, sandbox: Namespace, ifname: IfName, key: string): Promise<boolean> {
  try {
    await sandbox.writeSysctl(['ipv6', 'conf', ifname, key], '1');
    return true;
  } catch (error) {
    // A read-only /proc/sys is the common cause.
    context.log.debug({ err: error, ifname }, `${key} could not be set`);
    return false;
  }
}

async function explain(
  error: unknown,
  sandbox: Namespace,
  plan: Pick<EndpointPlan, 'index' | 'ifname' | 'mac'>,
): Promise<unknown> {
  if (!(error instanceof BerthError)) return error;
  if (error.errno === 'EEXIST' && error.op?.startsWith('link.set') === true) {
    const holder = await sandbox.link({ name: plan.ifname });
    if (holder !== undefined && holder.index !== plan.index) return nameTaken(plan.ifname, holder.kind);
  }
  if (error.errno === 'EADDRINUSE' && error.op?.startsWith('link.set') === true) {
    const mac = plan.mac ?? (await sandbox.link({ index: plan.index }))?.mac;
    return new BerthError({
      code: 'Busy',
      reason: 'mac-in-use',
      message: `${plan.ifname} cannot have the hardware address ${mac}, which its uplink or another link on it has: ${error.message}`,
      remedy: 'Ask for another MAC, or for none, and the kernel chooses one.',
      cause: error,
      op: error.op,
      errno: error.errno,
    });
  }
  if (error.op?.startsWith('address.add') === true && ADDRESS_REFUSALS.has(error.errno ?? '')) {
    return new BerthError({
      code: 'Invalid',
      reason: 'address-refused',
      message: `the kernel refused an address of ${plan.ifname}: ${error.message}`,
      remedy: 'Correct what `ipam` gives: each address once, and only those that an interface can have.',
      cause: error,
      op: error.op,
      ...(error.errno === undefined ? {} : { errno: error.errno }),
      ...(error.extack === undefined ? {} : { extack: error.extack }),
    });
  }
  if (error.op?.startsWith('route.add') === true) {
    return new BerthError({
      code: 'Invalid',
      reason: 'route-refused',
      message: `the kernel refused a route of ${plan.ifname}: ${error.message}`,
      remedy:
        error.errno === 'ENETUNREACH' || error.errno === 'EHOSTUNREACH'
          ? "A gateway must be reachable through one of the interface's own addresses."
          : "Correct the route in `ipam.routes`; the kernel's words say what is wrong with it.",
      cause: error,
      op: error.op,
      ...(error.errno === undefined ? {} : { errno: error.errno }),
      ...(error.extack === undefined ? {} : { extack: error.extack }),
    });
  }
  return error;
}
