/**
 * An SR-IOV virtual function: settings on the PF, then the netdev moves into the sandbox; on a
 * userspace driver (vfio-pci) there is no netdev and only the settings apply. Debug: `ip link show
 * <pf>` on the node shows the settings, the record shows the baseline.
 */
import { z } from 'zod';
import { BerthError, toBerthError } from '../errors.ts';
import { checkpoint } from '../cancellation.ts';
import type { VfLinkSpec } from '../attachments/model.ts';
import type { Link, LinkOperation, PciFunction } from '../attachments/port.ts';
import type { IfName, MacAddress, PciAddress } from '../values.ts';
import { announce, compareEndpoint, configureEndpoint, requireNameFree } from './endpoint.ts';
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
import { bringHome, findVf } from './vf-home.ts';
import { setMacs } from './vf-mac.ts';
import {
  applySettings,
  differences,
  readBack,
  restoreSettings,
  validateSettings,
  vfSettings,
  wantedSettings,
  type VfPlace,
  type VfSettings,
} from './vf-settings.ts';

/** Drivers that give a device to user space: no netdev, and that is right. */
const USERSPACE_DRIVERS = new Set(['vfio-pci', 'uio_pci_generic', 'igb_uio']);

const baseline = z.object({
  /** Netdev side; absent on a userspace driver. */
  netdev: z
    .object({
      ifname: z.string().transform((text) => text as IfName),
      mac: z
        .string()
        .transform((text) => text as MacAddress)
        .exactOptional(),
      mtu: z.number().int(),
      up: z.boolean(),
      alias: z.string().exactOptional(),
    })
    .exactOptional(),
  /** PF side; absent when the driver has no such settings. */
  settings: vfSettings.exactOptional(),
});

export const state = z.object({
  kind: z.literal('vf'),
  device: z.string().transform((text) => text as PciAddress),
  driver: z.string(),
  incarnation: z.string(),
  vfIndex: z.number().int(),
  tempName: z.string().transform((text) => text as IfName),
  alias: z.string(),
  baseline,
  /** What ADD set on the PF, for CHECK. */
  wanted: vfSettings,
  mtu: z.number().int().exactOptional(),
});

export type VfState = z.output<typeof state>;

export async function resolve(context: LinkContext, spec: VfLinkSpec): Promise<LinkTarget> {
  const pci = await context.kernel.pciFunction(spec.device);
  if (pci === undefined) {
    throw new BerthError({
      code: 'NotFound',
      reason: 'device-gone',
      message: `there is no PCI device ${spec.device} on this node`,
      remedy: 'The VFs may have been made anew since it was allocated; delete the pod so that it gets another device.',
    });
  }
  return { device: spec.device, exclusive: true, lockKey: spec.device, pci };
}

export async function prepare(context: LinkContext, input: PrepareInput<VfLinkSpec>): Promise<VfState> {
  const { spec, sandbox, ifname, marks } = input;
  validateSettings(spec);
  if (spec.mac !== undefined) requireUnicast(spec.mac);
  // Read again under the device's lock: the last holder's restore may have ended in between.
  const fn = (await context.kernel.pciFunction(spec.device)) ?? (input.target.pci as PciFunction);
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
  const place = await findPlace(context, fn);
  if (place === undefined) {
    throw new BerthError({
      code: 'NotFound',
      reason: 'pf-missing',
      message: `the PF of VF ${spec.device} (${fn.pf.address}) has no network interface on the node`,
      remedy: 'Bring the PF back to the node: its VFs can be set up only through it.',
    });
  }
  await requireNameFree(sandbox, ifname);
  const netdev = USERSPACE_DRIVERS.has(fn.driver) ? undefined : await idleNetdev(context, fn);
  const settings = await context.kernel.host.vfSettings(place.pfIndex, place.vf);
  const wanted = wantedSettings(spec, settings);
  requireSettable(spec, place, settings !== undefined, netdev !== undefined, wanted);
  return {
    kind: 'vf',
    device: spec.device,
    driver: fn.driver,
    incarnation: fn.incarnation,
    vfIndex: place.vf,
    ...marks,
    baseline: {
      ...(netdev === undefined
        ? {}
        : {
            netdev: {
              ifname: netdev.name,
              mtu: netdev.mtu,
              up: netdev.up,
              ...(netdev.mac === undefined ? {} : { mac: netdev.mac }),
              ...(netdev.alias === undefined ? {} : { alias: netdev.alias }),
            },
          }),
      ...(settings === undefined ? {} : { settings }),
    },
    wanted: { ...wanted, ...(spec.mac === undefined || settings === undefined ? {} : { mac: spec.mac }) },
    ...(spec.mtu === undefined || spec.mtu === 0 ? {} : { mtu: spec.mtu }),
  };
}

export async function attach(context: LinkContext, input: AttachInput<VfLinkSpec, VfState>): Promise<LinkOutcome> {
  const { spec, state: made, sandbox, signal } = input;
  const { host } = context.kernel;
  const fn = await context.kernel.pciFunction(made.device);
  const place = fn === undefined ? undefined : await findPlace(context, fn);
  if (fn === undefined || place === undefined || fn.incarnation !== made.incarnation) throw vanished(made);
  const link = made.baseline.netdev === undefined ? undefined : await homeLink(context, fn, made);

  // A MAC and a name can be changed reliably only while the link is down.
  if (link?.up === true) await host.apply([{ op: 'link.set', index: link.index, up: false }]);
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
  if (link === undefined)
    return { hasNetdev: false, pci: made.device, ...(spec.mac === undefined ? {} : { mac: spec.mac }) };

  checkpoint(signal, `moving VF ${made.device} into the sandbox`);
  if (made.mtu !== undefined) await setMtu(context, link, made);
  await host.apply([{ op: 'link.set', index: link.index, moveTo: sandbox, name: made.tempName }]);
  const moved = await findVf(sandbox, made.device, made);
  if (moved === undefined) throw vanished(made);
  checkpoint(signal, `configuring VF ${made.device} in the sandbox`);
  await configureEndpoint(context, sandbox, {
    index: moved.index,
    ifname: input.ifname,
    alias: made.alias,
    addressing: input.addressing,
    ...(spec.mac === undefined || moved.mac === spec.mac ? {} : { mac: spec.mac }),
  });
  const mac = spec.mac ?? moved.mac;
  await announce(context, sandbox, moved.index, mac, input.addressing);
  return {
    hasNetdev: true,
    index: moved.index,
    mtu: moved.mtu,
    pci: made.device,
    ...(mac === undefined ? {} : { mac }),
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
  if (made.mtu !== undefined && link.mtu !== made.mtu) found.push(`${ifname} has MTU ${link.mtu}, not ${made.mtu}`);
  return [...found, ...(await compareEndpoint(sandbox, link, expected))];
}

export async function restore(context: LinkContext, input: RestoreInput<VfState>): Promise<RestoreOutcome> {
  const { state: made, sandbox, signal } = input;
  const fn = await context.kernel.pciFunction(made.device);
  if (fn === undefined || fn.incarnation !== made.incarnation) {
    context.log.info(
      { device: made.device, gone: fn === undefined },
      'the VF is gone or was made anew; its baseline is void',
    );
    return { detached: true, problems: [] };
  }
  const problems: string[] = [];
  const netdev = made.baseline.netdev;
  // On another driver than at ADD the netdev of the baseline does not exist any more, and will not come.
  const expectsNetdev = netdev !== undefined && fn.driver === made.driver;
  let detached = true;
  let link: Link | undefined;
  if (expectsNetdev) {
    const home = await bringHome(context, fn, made, sandbox, signal);
    ({ detached, link } = home);
    problems.push(...home.problems);
    if (link !== undefined) problems.push(...(await restoreName(context, link, netdev)));
  }
  problems.push(...(await restoreSide(context, made, link)));
  if (link !== undefined && netdev !== undefined) problems.push(...(await restoreNetdev(context, link.index, netdev)));
  return { detached, problems: [...new Set(problems)] };
}

/** Down, and its own name again. */
async function restoreName(
  context: LinkContext,
  link: Link,
  was: NonNullable<VfState['baseline']['netdev']>,
): Promise<string[]> {
  const { host } = context.kernel;
  const problems: string[] = [];
  const touched = link.name !== was.ifname || (link.alias ?? '') !== (was.alias ?? '');
  if (link.up && (touched || link.mac !== was.mac)) {
    problems.push(
      ...(await step(`taking ${link.name} down`, () => host.apply([{ op: 'link.set', index: link.index, up: false }]))),
    );
  }
  if (link.name !== was.ifname) {
    problems.push(
      ...(await step(`naming ${link.name} ${was.ifname} again`, () =>
        host.apply([{ op: 'link.set', index: link.index, name: was.ifname }]),
      )),
    );
  }
  if ((link.alias ?? '') !== (was.alias ?? '')) {
    problems.push(
      ...(await step(`restoring the alias of ${was.ifname}`, () =>
        host.apply([{ op: 'link.set', index: link.index, alias: was.alias ?? '' }]),
      )),
    );
  }
  return problems;
}

/** PF-side settings and both MACs, then read back. */
async function restoreSide(context: LinkContext, made: VfState, link: Link | undefined): Promise<string[]> {
  const { settings, netdev } = made.baseline;
  const problems: string[] = [];
  const fn = await context.kernel.pciFunction(made.device);
  if (fn === undefined) return problems;
  const place = await findPlace(context, fn);
  if (place === undefined) return [`the PF of VF ${made.device} has no network interface on the node`];
  // Only what a cancelled request asked for is cut short, never an undo: its waits are bounded.
  const unhurried = new AbortController().signal;
  const current = settings === undefined ? undefined : await readSettings(context, place, problems);
  if (settings !== undefined) problems.push(...(await restoreSettings(context, place, settings, current)));
  const ownDiffers = link !== undefined && netdev?.mac !== undefined && link.mac !== netdev.mac;
  const adminDiffers = settings?.mac !== undefined && current?.mac !== settings.mac;
  if (ownDiffers || adminDiffers) {
    const goal = {
      freeFirst: settings?.mac !== undefined && current?.mac !== ZERO_MAC,
      ...(link === undefined || netdev?.mac === undefined ? {} : { own: { index: link.index, mac: netdev.mac } }),
      ...(settings?.mac === undefined ? {} : { admin: settings.mac }),
    };
    problems.push(
      ...(await step(`restoring the MAC of VF ${made.device}`, () => setMacs(context, place, goal, unhurried))),
    );
  }
  if (settings !== undefined && problems.length === 0) {
    problems.push(
      ...(await step(`reading VF ${made.device} back`, async () => {
        const left = await readBack(context, place, settings, unhurried);
        if (left.length > 0) throw new BerthError({ code: 'Io', reason: 'vf-not-restored', message: left.join('; ') });
      })),
    );
  }
  return problems;
}

/** MTU and administrative state last, then everything about the netdev is read back. */
async function restoreNetdev(
  context: LinkContext,
  index: number,
  was: NonNullable<VfState['baseline']['netdev']>,
): Promise<string[]> {
  const { host } = context.kernel;
  const problems: string[] = [];
  const now = await host.link({ index });
  if (now === undefined) return [`${was.ifname} vanished while it was restored`];
  if (now.mtu !== was.mtu)
    problems.push(
      ...(await step(`restoring the MTU of ${was.ifname}`, () =>
        host.apply([{ op: 'link.set', index, mtu: was.mtu }]),
      )),
    );
  if (now.up !== was.up)
    problems.push(
      ...(await step(`restoring the state of ${was.ifname}`, () =>
        host.apply([{ op: 'link.set', index, up: was.up }]),
      )),
    );
  const after = await host.link({ index });
  if (after === undefined) return [...problems, `${was.ifname} vanished while it was restored`];
  const left = [
    ...(after.name === was.ifname ? [] : [`name is ${after.name}, not ${was.ifname}`]),
    ...(was.mac === undefined || after.mac === was.mac
      ? []
      : [`hardware address is ${after.mac ?? 'none'}, not ${was.mac}`]),
    ...(after.mtu === was.mtu ? [] : [`MTU is ${after.mtu}, not ${was.mtu}`]),
    ...(after.up === was.up ? [] : [`it is ${after.up ? 'up' : 'down'}, not ${was.up ? 'up' : 'down'}`]),
  ];
  return problems.length > 0 || left.length === 0 ? problems : [`${was.ifname} is not as it was: ${left.join('; ')}`];
}

async function readSettings(context: LinkContext, place: VfPlace, problems: string[]): Promise<VfSettings | undefined> {
  try {
    return await context.kernel.host.vfSettings(place.pfIndex, place.vf);
  } catch (error) {
    problems.push(`reading the settings of VF ${place.device} failed: ${toBerthError(error).message}`);
    return undefined;
  }
}

/** Runs one step of a restore; the next runs even if it fails. */
async function step(what: string, work: () => Promise<void>): Promise<string[]> {
  try {
    await work();
    return [];
  } catch (error) {
    return [`${what}: ${toBerthError(error).message}`];
  }
}

async function findPlace(context: LinkContext, fn: PciFunction): Promise<VfPlace | undefined> {
  if (fn.pf?.ifname === undefined || fn.vfIndex === undefined) return undefined;
  const pf = await context.kernel.host.link({ name: fn.pf.ifname });
  return pf === undefined ? undefined : { device: fn.address, pfName: pf.name, pfIndex: pf.index, vf: fn.vfIndex };
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

async function homeLink(context: LinkContext, fn: PciFunction, made: VfState): Promise<Link> {
  const link = fn.ifname === undefined ? undefined : await context.kernel.host.link({ name: fn.ifname });
  if (link === undefined || (link.pci !== undefined && link.pci !== made.device)) throw vanished(made);
  return link;
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
