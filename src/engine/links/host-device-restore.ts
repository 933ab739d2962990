/**
 * A host device's way back: home, down, its name and MTU; its MAC; up with the addresses and routes
 * that the node had on it; its alias. It is found by PCI address where it has one, else by our alias,
 * or by name and index as long as nothing was done to it.
 */
import type { Link, LinkOperation, Namespace } from '../attachments/port.ts';
import type { HostDeviceBaseline, HostDeviceState } from './host-device.ts';
import type { LinkContext, RestoreInput, RestoreOutcome } from './link-driver.ts';
import { bringHome, type MovedNetdev } from './netdev-home.ts';
import { restoreAlias, restoreIdentity, restoreState, step } from './netdev-restore.ts';

/** Brings the device back to its baseline, wherever it is. */
export async function restoreHostDevice(
  context: LinkContext,
  input: RestoreInput<HostDeviceState>,
): Promise<RestoreOutcome> {
  const { state: made, sandbox, signal } = input;
  const was = made.baseline;
  if (was === undefined || (await isAnother(context, made))) return { detached: true, problems: [] };
  const moved: MovedNetdev = {
    label: made.named,
    marks: made,
    homeName: was.ifname,
    findIn: (namespace) => findIn(namespace, made),
    findHome: async () => {
      const link = await findOwn(context, made);
      // A link that software made ends with its sandbox.
      return link ?? (was.kind !== undefined && sandbox.state === 'dead' ? 'gone' : undefined);
    },
  };
  const home = await bringHome(context, moved, sandbox, signal);
  const { link } = home;
  if (link === undefined) {
    if (home.detached && home.problems.length === 0)
      context.log.info({ device: made.device }, 'the device is gone; its baseline is void');
    return { detached: home.detached, problems: home.problems };
  }
  const problems = [...home.problems, ...(await restoreIdentity(context, link, was))];
  const { mac } = was;
  if (mac !== undefined && link.mac !== mac) {
    problems.push(
      ...(await step(`restoring the MAC of ${was.ifname}`, () =>
        context.kernel.host.apply([{ op: 'link.set', index: link.index, mac }]),
      )),
    );
  }
  problems.push(...(await restoreState(context, link.index, was)));
  if (problems.length === 0) problems.push(...(await restoreNetwork(context, link.index, was)));
  if (problems.length === 0) problems.push(...(await restoreAlias(context, link, was)));
  return { detached: home.detached, problems: [...new Set(problems)] };
}

/** The device on the node: back, or not gone yet. */
export async function findOwn(context: LinkContext, made: HostDeviceState): Promise<Link | 'gone' | undefined> {
  const { kernel } = context;
  const { host } = kernel;
  if (made.pci !== undefined && made.incarnation !== undefined) {
    const fn = await kernel.pciFunction(made.pci);
    if (fn === undefined) return 'gone';
    if (fn.ifname === undefined) return undefined;
    const link = await host.link({ name: fn.ifname });
    return link?.pci === undefined || link.pci === made.pci ? link : undefined;
  }
  const never = await host.link({ name: made.baseline?.ifname ?? '' });
  if (never !== undefined && isStillHere(never, made)) return never;
  return await findIn(host, made);
}

/** The device in a namespace. */
export async function findIn(namespace: Namespace, made: HostDeviceState): Promise<Link | undefined> {
  return (await namespace.links()).find((link) => isDevice(link, made));
}

/** Whether a link is the device: by its PCI address or our marks, the name as releases before 0.2 moved it, too. */
export function isDevice(link: Link, made: HostDeviceState): boolean {
  if (made.pci !== undefined && link.pci === made.pci) return true;
  return link.kind === made.baseline?.kind && (link.alias === made.alias || link.name === made.tempName);
}

/**
 * It never left: its index and kind are those of the baseline, and its alias is not of another attachment.
 * Or all of it is back, and only the record has to go: its index need not be what it was then.
 */
function isStillHere(link: Link, { baseline: was }: HostDeviceState): boolean {
  if (was === undefined || link.kind !== was.kind || (link.alias ?? '') !== (was.alias ?? '')) return false;
  return link.index === was.ifindex || (link.mac === was.mac && link.mtu === was.mtu && link.up === was.up);
}

/** A PCI function that is gone, made anew or on another driver: its netdev is another one, too. */
async function isAnother(context: LinkContext, made: HostDeviceState): Promise<boolean> {
  if (made.pci === undefined || made.incarnation === undefined) return false;
  const fn = await context.kernel.pciFunction(made.pci);
  return fn === undefined || fn.incarnation !== made.incarnation || fn.driver !== made.driver;
}

/** Addresses and routes that the kernel dropped when the device left; those that are there are left alone. */
async function restoreNetwork(context: LinkContext, index: number, was: HostDeviceBaseline): Promise<string[]> {
  const { host } = context.kernel;
  if (was.addresses.length === 0 && was.routes.length === 0) return [];
  const present = new Set((await host.addresses(index)).map((entry) => entry.address));
  const routes = was.up ? was.routes : [];
  const operations: LinkOperation[] = [
    ...was.addresses
      .filter((address) => !present.has(address))
      .map((address): LinkOperation => ({ op: 'address.add', index, address })),
    ...routes.map((route): LinkOperation => ({ op: 'route.add', index, ...route })),
  ];
  const problems = await step(`restoring the addresses of ${was.ifname}`, () => host.apply(operations));
  const after = (await host.addresses(index)).map((entry) => entry.address);
  const left = was.addresses.filter((address) => !after.includes(address));
  return left.length === 0 ? problems : [...problems, `${was.ifname} has not got ${left.join(', ')} back`];
}
