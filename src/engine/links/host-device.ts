/**
 * host-device: a network device of the node, given to one sandbox whole and taken back. It is named
 * by interface, hardware address, path below /sys/devices, PCI address or auxiliary device; on a
 * userspace driver there is no netdev, and nothing is moved. What the node had configured on it
 * (name, MAC, MTU, state, addresses, routes through gateways) is its baseline.
 */
import { z } from 'zod';
import type { HostDeviceLinkSpec } from '../attachments/model.ts';
import type { Link } from '../attachments/port.ts';
import { checkpoint } from '../cancellation.ts';
import { BerthError, toBerthError } from '../errors.ts';
import type { IpamResult } from '../ipam/model.ts';
import type { IfName, MacAddress, PciAddress } from '../values.ts';
import { compareEndpoint, configureEndpoint, requireNameFree } from './endpoint.ts';
import { findDevice, idOfDevice } from './host-device-find.ts';
import { findIn, findOwn, isDevice, restoreHostDevice } from './host-device-restore.ts';
import type {
  AttachInput,
  LinkCheckInput,
  LinkContext,
  LinkOutcome,
  LinkTarget,
  PrepareInput,
  RestoreInput,
  RestoreOutcome,
} from './link-driver.ts';
import { requireUnicast } from './mac.ts';
import { meanwhile, sendAway } from './netdev-away.ts';
import { baselineOf, netdevBaseline } from './netdev-restore.ts';
import { receiveModesOf } from './receive-modes.ts';
import { isUserspaceDriver } from './userspace-driver.ts';

const DEFAULT_ROUTES = new Set(['0.0.0.0/0', '::/0']);

const baseline = netdevBaseline.extend({
  ifindex: z.number().int(),
  /** Made by software (IFLA_INFO_KIND): it dies with a sandbox instead of coming home. */
  kind: z.string().exactOptional(),
  addresses: z.array(z.string()),
  routes: z.array(
    z.object({
      dst: z.string(),
      gateway: z.string(),
      priority: z.number().exactOptional(),
      table: z.number().exactOptional(),
      mtu: z.number().exactOptional(),
      advmss: z.number().exactOptional(),
    }),
  ),
});

export const state = z.object({
  kind: z.literal('host-device'),
  /** What the configuration called it. */
  named: z.string(),
  /** PCI address, or what the configuration called it. */
  device: z.string(),
  pci: z
    .string()
    .transform((text) => text as PciAddress)
    .exactOptional(),
  driver: z.string().exactOptional(),
  incarnation: z.string().exactOptional(),
  tempName: z.string().transform((text) => text as IfName),
  alias: z.string(),
  mac: z
    .string()
    .transform((text) => text as MacAddress)
    .exactOptional(),
  /** Absent on a userspace driver. */
  baseline: baseline.exactOptional(),
});

export type HostDeviceState = z.output<typeof state>;
export type HostDeviceBaseline = z.output<typeof baseline>;

export async function resolve(context: LinkContext, spec: HostDeviceLinkSpec): Promise<LinkTarget> {
  const named = idOfDevice(spec.device);
  const found = await findDevice(context, spec.device);
  // While it is in a sandbox only its record knows which device the name stands for.
  const device = found.pci?.address ?? found.link?.pci ?? context.deviceNamed?.(named) ?? named;
  return {
    device,
    exclusive: true,
    lockKey: device,
    ...(found.pci === undefined ? {} : { pci: found.pci }),
    ...(found.link === undefined ? {} : { uplink: found.link }),
  };
}

export async function prepare(context: LinkContext, input: PrepareInput<HostDeviceLinkSpec>): Promise<HostDeviceState> {
  const { spec, sandbox, ifname, marks } = input;
  if (spec.mac !== undefined) requireUnicast(spec.mac);
  // Read again under the device's lock: the last holder's restore may have ended in between.
  const { pci, link } = await findDevice(context, spec.device);
  await requireNameFree(sandbox, ifname);
  const named = idOfDevice(spec.device);
  const address = pci?.address ?? link?.pci;
  const common = {
    kind: 'host-device',
    named,
    device: address ?? named,
    ...(address === undefined ? {} : { pci: address }),
    ...(pci?.driver === undefined ? {} : { driver: pci.driver }),
    ...(pci === undefined ? {} : { incarnation: pci.incarnation }),
    ...marks,
    ...(spec.mac === undefined ? {} : { mac: spec.mac }),
  } as const;
  if (isUserspaceDriver(pci?.driver)) return common;
  if (link === undefined) throw missing(named, pci?.driver);
  return { ...common, baseline: await idleBaseline(context, link, named) };
}

export async function attach(
  context: LinkContext,
  input: AttachInput<HostDeviceLinkSpec, HostDeviceState>,
): Promise<LinkOutcome> {
  const { state: made, sandbox, signal } = input;
  const pci = made.pci === undefined ? {} : { pci: made.pci };
  if (made.baseline === undefined) return { hasNetdev: false, ...pci };
  const link = await findOwn(context, made);
  if (link === undefined || link === 'gone') throw vanished(made);
  checkpoint(signal, `moving ${made.device} into the sandbox`);
  const { moved, addressing } = await moveIn(context, link, input);
  checkpoint(signal, `configuring ${made.device} in the sandbox`);
  const configured = await configureEndpoint(context, sandbox, {
    index: moved.index,
    ifname: input.ifname,
    alias: made.alias,
    isMarked: true,
    addressing,
    isSoftware: false,
    ...(made.mac === undefined ? {} : { mac: made.mac }),
  });
  const mac = made.mac ?? moved.mac;
  return {
    hasNetdev: true,
    index: moved.index,
    mtu: moved.mtu,
    ...pci,
    ...(mac === undefined ? {} : { mac }),
    ...configured,
  };
}

export async function check(context: LinkContext, input: LinkCheckInput<HostDeviceState>): Promise<readonly string[]> {
  const { state: made, sandbox, ifname, expected } = input;
  const found: string[] = [];
  if (made.pci !== undefined && made.incarnation !== undefined) {
    const fn = await context.kernel.pciFunction(made.pci);
    if (fn === undefined || fn.incarnation !== made.incarnation) return [`${made.pci} is gone or was made anew`];
    if (fn.driver !== made.driver)
      found.push(`${made.pci} is on driver ${fn.driver ?? 'none'}, not ${made.driver ?? 'none'}`);
  }
  if (made.baseline === undefined) return found;
  const link = await sandbox.link({ name: ifname });
  if (link === undefined) return [...found, `${ifname} is gone from the sandbox`];
  if (made.pci !== undefined && link.pci !== undefined && link.pci !== made.pci)
    return [...found, `${ifname} is device ${link.pci}, not ${made.pci}`];
  if (link.kind !== made.baseline.kind)
    return [...found, `${ifname} is a ${link.kind ?? 'physical link'}, not ${made.baseline.kind ?? 'a physical link'}`];
  return [...found, ...(await compareEndpoint(sandbox, link, expected))];
}

export function restore(context: LinkContext, input: RestoreInput<HostDeviceState>): Promise<RestoreOutcome> {
  return restoreHostDevice(context, input);
}

async function moveIn(
  context: LinkContext,
  link: Link,
  { state: made, sandbox, ifname, addressing }: AttachInput<HostDeviceLinkSpec, HostDeviceState>,
): Promise<{ readonly moved: Link; readonly addressing: IpamResult }> {
  const isIt = (other: Link): boolean => isDevice(other, made);
  // By itself: without its mark nothing would tell it from others in the sandbox.
  await context.kernel.host.apply([{ op: 'link.set', index: link.index, alias: made.alias }]);
  const moving = sendAway(context, link, { sandbox, ifname, isIt }).catch((error: unknown) => {
    throw immovable(error, made, link);
  });
  const { there, result } = await meanwhile(moving, addressing);
  const moved = there !== undefined && isIt(there) ? there : await findIn(sandbox, made);
  if (moved === undefined) throw vanished(made);
  return { moved, addressing: result };
}

/** What the node has on the device; throws when it is not to be had, or would cut the node off. */
async function idleBaseline(context: LinkContext, link: Link, named: string): Promise<HostDeviceBaseline> {
  const { host } = context.kernel;
  const routes = await host.routes(link.index);
  const addresses = await host.addresses(link.index);
  const use =
    link.masterIndex !== undefined
      ? `it is enslaved to link ${link.masterIndex}`
      : routes.some((route) => DEFAULT_ROUTES.has(route.dst))
        ? 'it carries a default route'
        : undefined;
  if (use !== undefined) {
    throw new BerthError({
      code: 'Busy',
      reason: 'device-in-use',
      message: `the node itself uses ${named} (${link.name}): ${use}`,
      remedy: 'Free it on the node, or name another device.',
    });
  }
  return {
    ...baselineOf(link),
    ...receiveModesOf(link),
    ifindex: link.index,
    ...(link.kind === undefined ? {} : { kind: link.kind }),
    addresses: addresses.filter((entry) => entry.scope === 'global').map((entry) => entry.address),
    routes: routes.flatMap(({ dst, gateway, priority, table, mtu, advmss }) =>
      gateway === undefined
        ? []
        : [
            {
              dst,
              gateway,
              ...(priority === undefined ? {} : { priority }),
              ...(table === undefined ? {} : { table }),
              ...(mtu === undefined ? {} : { mtu }),
              ...(advmss === undefined ? {} : { advmss }),
            },
          ],
    ),
  };
}

function missing(named: string, driver: string | undefined): BerthError {
  return new BerthError({
    code: 'NotFound',
    reason: 'device-not-on-node',
    message: `the node has no network device ${named}${driver === undefined ? '' : ` (driver ${driver})`}`,
    remedy: 'Compare with `berth inventory`; it may be in another container, or its driver has not made it yet.',
  });
}

/** The kernel keeps some links in their namespace (NETIF_F_NETNS_LOCAL; net/core/dev.c). */
function immovable(error: unknown, made: HostDeviceState, link: Link): BerthError {
  const failure = toBerthError(error);
  if (failure.errno !== 'EINVAL') return failure;
  return new BerthError({
    code: 'Unsupported',
    reason: 'device-immovable',
    message: `${made.named} (${link.name}) cannot be moved into a sandbox: ${failure.message}`,
    remedy: 'The loopback interface and links that belong to their namespace, such as bridges of some drivers, stay.',
    cause: failure,
    errno: 'EINVAL',
    ...(failure.extack === undefined ? {} : { extack: failure.extack }),
  });
}

function vanished(made: HostDeviceState): BerthError {
  return new BerthError({
    code: 'Busy',
    reason: 'device-vanished',
    message: `${made.named} vanished or was renamed while it was attached`,
    remedy: 'The runtime tries again.',
  });
}
