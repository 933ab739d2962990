/**
 * An SR-IOV virtual function: settings on the PF, then the netdev moves into the sandbox; on a
 * userspace driver (vfio-pci) there is no netdev and only the settings apply. Debug: `ip link show
 * <pf>` on the node shows the settings, the record shows the baseline.
 */

import type { VfLinkSpec } from '../attachments/model.ts';
import type { Link, LinkOperation, PciFunction } from '../attachments/port.ts';
import { checkpoint } from '../cancellation.ts';
import { BerthError, toBerthError } from '../errors.ts';
import type { IfName, MacAddress } from '../values.ts';
import { compareEndpoint, configureEndpoint, requireNameFree } from './endpoint.ts';
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
import { requireUnicast, ZERO_MAC } from './mac.ts';
import { meanwhile, sendAway } from './netdev-away.ts';
import { baselineOf } from './netdev-restore.ts';
import { setReceiveModes } from './receive-modes.ts';
import { isUserspaceDriver } from './userspace-driver.ts';
import { guidOf, makeNetdevAnew, requireGuid, requireOwnGuid, restorableGuids } from './vf-guid.ts';
import { findVf } from './vf-home.ts';
import { setMacs } from './vf-mac.ts';
import { findPlace } from './vf-place.ts';
import { compareRdma, moveRdmaIn, rdmaToMove } from './vf-rdma.ts';
import { restoreVf } from './vf-restore.ts';
import {
  applySettings,
  differences,
  readBack,
  type VfPlace,
  type VfSettings,
  validateSettings,
  wantedSettings,
} from './vf-settings.ts';
import type { VfState } from './vf-state.ts';

export { state } from './vf-state.ts';

export async function resolve(context: LinkContext, spec: VfLinkSpec): Promise<LinkTarget> {
  if ((await context.kernel.incarnation(spec.device)) === undefined) throw deviceGone(spec);
  return { device: spec.device, exclusive: true, lockKey: spec.device };
}

export async function prepare(context: LinkContext, input: PrepareInput<VfLinkSpec>): Promise<VfState> {
  const { spec, sandbox, ifname, marks } = input;
  validateSettings(spec);
  if (spec.mac !== undefined) requireUnicast(spec.mac);
  // Under the device's lock: the last holder's restore may have ended just now.
  const fn = await context.kernel.pciFunction(spec.device);
  if (fn === undefined) throw deviceGone(spec);
  if (fn.pf === undefined || fn.vfIndex === undefined) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'device-not-a-vf',
      message: `${spec.device} is not an SR-IOV virtual function`,
      remedy: 'Name a VF; `berth inventory -o wide` lists them below their NIC.',
    });
  }
  if (fn.driver === undefined) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'device-without-driver',
      message: `VF ${spec.device} is bound to no driver`,
      remedy: 'Bind it to its kernel driver, or to vfio-pci.',
    });
  }
  // In one turn, so that they go to the kernel together.
  const [place, netdev] = await Promise.all([
    findPlace(context, fn),
    isUserspaceDriver(fn.driver) ? undefined : idleNetdev(context, fn),
    requireNameFree(sandbox, ifname),
  ]);
  if (place === undefined) {
    throw new BerthError({
      code: 'NotFound',
      reason: 'pf-missing',
      message: `the PF of VF ${spec.device} (${fn.pf.address}) has no network interface on the node`,
      remedy: 'Bring the PF back to the node: its VFs can be set up only through it.',
    });
  }
  const settings = await context.kernel.host.vfSettings(place.pfIndex, place.vf);
  const wanted = wantedSettings(spec, settings);
  if (spec.guid !== undefined) requireGuid(spec.guid);
  else if (netdev !== undefined) requireOwnGuid(spec.device, netdev);
  const rdma = netdev === undefined ? [] : await rdmaToMove(context, spec, fn);
  requireSettable(spec, place, settings !== undefined, netdev !== undefined, wanted);
  const state: VfState = {
    kind: 'vf',
    device: spec.device,
    driver: fn.driver,
    incarnation: fn.incarnation,
    vfIndex: place.vf,
    ...marks,
    baseline: {
      ...(netdev === undefined ? {} : { netdev: baselineOf(netdev) }),
      ...(settings === undefined ? {} : { settings: spec.guid === undefined ? settings : restorableGuids(settings) }),
    },
    wanted: { ...wanted, ...(spec.mac === undefined || settings === undefined ? {} : { mac: spec.mac }) },
    ...(spec.mtu === undefined || spec.mtu === 0 ? {} : { mtu: spec.mtu }),
    ...(rdma.length === 0 ? {} : { rdma: [...rdma] }),
  };
  if (netdev !== undefined) justSeen.set(state, { netdev, atMs: context.clock.now().getTime() });
  return state;
}

export async function attach(context: LinkContext, input: AttachInput<VfLinkSpec, VfState>): Promise<LinkOutcome> {
  const { spec, state: made, sandbox, signal } = input;
  const { host } = context.kernel;
  // Between looking and now, addresses may have been waited for.
  if ((await context.kernel.incarnation(made.device)) !== made.incarnation) throw vanished(made);
  const { netdev } = made.baseline;
  let link = netdev === undefined ? undefined : await homeLink(context, netdev.ifname, made);

  // A MAC and a name can be changed reliably only while the link is down.
  if (link?.up === true) await host.apply([{ op: 'link.set', index: link.index, up: false }]);
  if (spec.mac !== undefined || Object.keys(made.wanted).length > 0) await setUp(context, input, link);
  const guid = made.wanted.portGuid;
  if (link !== undefined && guid !== undefined && guidOf(link.mac) !== guid) {
    checkpoint(signal, `giving VF ${made.device} its GUID`);
    link = await makeNetdevAnew(context, made.device, made.driver, signal);
    if (link.up) await host.apply([{ op: 'link.set', index: link.index, up: false }]);
  }
  if (link === undefined) {
    const mac = spec.mac ?? adminMac(made);
    return { hasNetdev: false, pci: made.device, ...(mac === undefined ? {} : { mac }) };
  }

  // Left switched on where a pod ended without a DEL that looks at them, sriov-cni's for example.
  await setReceiveModes(context, link, {});
  checkpoint(signal, `moving VF ${made.device} into the sandbox`);
  if (made.mtu !== undefined) await setMtu(context, link, made);
  const isIt = ({ pci }: Link): boolean => pci === made.device;
  const moving = sendAway(context, link, { alias: made.alias, sandbox, ifname: input.ifname, isIt }).catch(
    (error: unknown) => {
      throw toBerthError(error).errno === 'ENODEV' ? vanished(made) : error;
    },
  );
  const { there, result: addressing } = await meanwhile(moving, input.addressing);
  const moved = there !== undefined && isIt(there) ? there : await findVf(sandbox, made.device, made, input.ifname);
  if (moved === undefined) throw vanished(made);
  checkpoint(signal, `configuring VF ${made.device} in the sandbox`);
  const configured = await configureEndpoint(context, sandbox, {
    index: moved.index,
    ifname: input.ifname,
    alias: made.alias,
    isMarked: true,
    addressing,
    isSoftware: false,
    ...(spec.mac === undefined || moved.mac === spec.mac ? {} : { mac: spec.mac }),
  });
  if (made.rdma !== undefined) {
    checkpoint(signal, `moving the RDMA device of VF ${made.device}`);
    await moveRdmaIn(context, made.rdma, sandbox);
  }
  const mac = spec.mac ?? moved.mac;
  return {
    hasNetdev: true,
    index: moved.index,
    mtu: moved.mtu,
    pci: made.device,
    ...(mac === undefined ? {} : { mac }),
    ...configured,
  };
}

export async function check(context: LinkContext, input: LinkCheckInput<VfState>): Promise<readonly string[]> {
  const { state: made, sandbox, ifname, expected } = input;
  const found: string[] = [];
  const fn = await context.kernel.pciFunction(made.device);
  if (fn === undefined || fn.incarnation !== made.incarnation) return [`VF ${made.device} is gone or was made anew`];
  if (fn.driver !== made.driver)
    found.push(`VF ${made.device} is on driver ${fn.driver ?? 'none'}, not ${made.driver}`);
  if (Object.keys(made.wanted).length > 0) {
    const place = await findPlace(context, fn);
    if (place === undefined) found.push(`the PF of VF ${made.device} has no network interface on the node`);
    else
      found.push(
        ...differences(made.wanted, await context.kernel.host.vfSettings(place.pfIndex, place.vf)).map(
          (text) => `VF ${made.device}: ${text}`,
        ),
      );
  }
  if (made.baseline.netdev === undefined) return found;
  const link = await sandbox.link({ name: ifname });
  if (link === undefined) return [...found, `${ifname} is gone from the sandbox`];
  if (link.pci !== undefined && link.pci !== made.device)
    return [...found, `${ifname} is device ${link.pci}, not ${made.device}`];
  if (made.rdma !== undefined) found.push(...(await compareRdma(context, made.rdma, sandbox)));
  return [...found, ...(await compareEndpoint(sandbox, link, expected))];
}

export function restore(context: LinkContext, input: RestoreInput<VfState>): Promise<RestoreOutcome> {
  return restoreVf(context, input);
}

async function idleNetdev(context: LinkContext, fn: PciFunction): Promise<Link> {
  const link = fn.ifname === undefined ? undefined : await context.kernel.host.link({ name: fn.ifname });
  if (link === undefined) {
    throw new BerthError({
      code: 'Busy',
      reason: 'device-not-home',
      message: `VF ${fn.address} (driver ${fn.driver ?? 'none'}) has no network device on the node: it is in another namespace, or its driver has not made one yet`,
      remedy: 'Look for it in running containers that were attached by something else.',
    });
  }
  const use =
    link.masterIndex !== undefined
      ? `it is enslaved to link ${link.masterIndex}`
      : link.up
        ? await ownAddress(context, link)
        : undefined;
  if (use === undefined) return link;
  throw new BerthError({
    code: 'Busy',
    reason: 'device-in-use',
    message: `the node itself uses VF ${fn.address} (${link.name}): ${use}`,
    remedy: 'Free it on the node, or leave it out of the pool.',
  });
}

async function ownAddress(context: LinkContext, link: Link): Promise<string | undefined> {
  const own = (await context.kernel.host.addresses(link.index)).find((entry) => entry.scope === 'global');
  return own === undefined ? undefined : `it has the address ${own.address}`;
}

function requireSettable(
  spec: VfLinkSpec,
  place: VfPlace,
  hasSettings: boolean,
  hasNetdev: boolean,
  wanted: VfSettings,
): void {
  if (hasSettings) return;
  const asked = [...Object.keys(wanted), ...(spec.mac !== undefined && !hasNetdev ? ['mac'] : [])];
  if (asked.length === 0) return;
  throw new BerthError({
    code: 'Unsupported',
    reason: 'vf-settings-unsupported',
    message: `the driver of ${place.pfName} has no settings for its VFs, and ${asked.join(', ')} was asked for VF ${spec.device}`,
    remedy: 'Remove these settings from the network configuration.',
  });
}

/** On the PF: the settings, and both MACs; read back. */
async function setUp(
  context: LinkContext,
  { spec, state: made, signal }: AttachInput<VfLinkSpec, VfState>,
  link: Link | undefined,
): Promise<void> {
  const fn = await context.kernel.pciFunction(made.device);
  const place = fn === undefined ? undefined : await findPlace(context, fn);
  if (place === undefined) throw vanished(made);
  await applySettings(context, place, made.wanted, made.baseline.settings, signal);
  if (spec.mac !== undefined) {
    checkpoint(signal, `setting the MAC of VF ${made.device}`);
    await setMacs(
      context,
      place,
      {
        freeFirst: false,
        ...(link === undefined ? {} : { own: { index: link.index, mac: spec.mac } }),
        ...(made.baseline.settings === undefined ? {} : { admin: spec.mac }),
      },
      signal,
    );
  }
  await requireApplied(context, place, made.wanted, signal);
}

/** What `prepare` saw. */
const justSeen = new WeakMap<VfState, { readonly netdev: Link; readonly atMs: number }>();
/** For so long a netdev counts as seen just now; its addresses may have been waited for. */
const JUST_MS = 20;

/** The netdev under the name that it had a moment ago; where the kernel does not tell its device, sysfs is asked. */
async function homeLink(context: LinkContext, ifname: IfName, made: VfState): Promise<Link> {
  const seen = justSeen.get(made);
  const sinceMs = seen === undefined ? Number.NaN : context.clock.now().getTime() - seen.atMs;
  if (seen !== undefined && sinceMs >= 0 && sinceMs < JUST_MS) return seen.netdev;
  const link = await context.kernel.host.link({ name: ifname });
  const device = link?.pci === undefined ? await context.kernel.pciFunction(made.device) : undefined;
  const isIt = link?.pci === made.device || device?.ifname === ifname;
  if (link === undefined || !isIt) throw vanished(made);
  return link;
}

/** What a userspace driver reads from its VF, where the PF's driver tells it. */
function adminMac({ baseline }: VfState): MacAddress | undefined {
  const mac = baseline.settings?.mac;
  return mac === ZERO_MAC ? undefined : mac;
}

function deviceGone({ device }: VfLinkSpec): BerthError {
  return new BerthError({
    code: 'NotFound',
    reason: 'device-gone',
    message: `there is no PCI device ${device} on this node`,
    remedy: 'The VFs may have been made anew since it was allocated; delete the pod so that it gets another device.',
  });
}

async function requireApplied(
  context: LinkContext,
  place: VfPlace,
  wanted: VfSettings,
  signal: AbortSignal,
): Promise<void> {
  if (Object.keys(wanted).length === 0) return;
  const left = await readBack(context, place, wanted, signal);
  checkpoint(signal, `reading the settings of VF ${place.device} back`);
  if (left.length === 0) return;
  throw new BerthError({
    code: 'Unsupported',
    reason: 'vf-setting-ignored',
    message: `the driver of ${place.pfName} accepted the settings of VF ${place.device} and did not apply them: ${left.join('; ')}`,
    remedy: 'Remove the setting from the network configuration, or update the driver or firmware.',
  });
}

async function setMtu(context: LinkContext, link: Link, made: VfState): Promise<void> {
  const operation: LinkOperation = {
    op: 'link.set',
    index: link.index,
    ...(made.mtu === undefined ? {} : { mtu: made.mtu }),
  };
  try {
    await context.kernel.host.apply([operation]);
  } catch (error) {
    const failure = toBerthError(error);
    throw new BerthError({
      code: 'Invalid',
      reason: 'mtu-refused',
      message: `VF ${made.device} cannot have mtu ${made.mtu}: ${failure.message}`,
      remedy: 'A VF can have at most the MTU of its PF.',
      cause: failure,
      ...(failure.errno === undefined ? {} : { errno: failure.errno }),
      ...(failure.extack === undefined ? {} : { extack: failure.extack }),
    });
  }
  const after = await context.kernel.host.link({ index: link.index });
  if (after !== undefined && after.mtu !== made.mtu) {
    throw new BerthError({
      code: 'Unsupported',
      reason: 'mtu-refused',
      message: `VF ${made.device} was given mtu ${made.mtu} and has ${after.mtu}`,
      remedy: 'A VF can have at most the MTU of its PF.',
    });
  }
}

function vanished(made: VfState): BerthError {
  return new BerthError({
    code: 'Busy',
    reason: 'device-vanished',
    message: `VF ${made.device} vanished or was renamed while it was attached`,
    remedy: 'The runtime tries again.',
  });
}
