/**
 * Bringing a VF's netdev back into the node's namespace. A VF is found by its PCI address, wherever
 * it is: still in the sandbox, on its way home from a dying one, or home already under the name it
 * had in the pod.
 */

import type { Link, Namespace, PciFunction } from '../attachments/port.ts';
import { toBerthError } from '../errors.ts';
import type { PciAddress } from '../values.ts';
import type { LinkContext, OwnershipMarks, SandboxView } from './link-driver.ts';

/** A dying namespace hands its devices back within some milliseconds; on a loaded machine within seconds. */
const HOME_TRIES = 100;
const HOME_WAIT_MS = 50;

export interface Homecoming {
  /** The netdev on the node; absent when it did not come. */
  readonly link?: Link;
  /** It is certainly in no sandbox. */
  readonly detached: boolean;
  readonly problems: readonly string[];
}

/** The VF's link in a namespace: by PCI address, or by our alias where the kernel does not tell one. */
export async function findVf(
  namespace: Namespace,
  device: PciAddress,
  marks: OwnershipMarks,
): Promise<Link | undefined> {
  const links = await namespace.links();
  return (
    links.find((link) => link.pci === device) ??
    links.find(
      (link) =>
        link.pci === undefined &&
        link.kind === undefined &&
        (link.alias === marks.alias || link.name === marks.tempName),
    )
  );
}

/** Moves the VF home when the sandbox can be reached, else waits a bounded while for the kernel to do it. */
export async function bringHome(
  context: LinkContext,
  fn: PciFunction,
  marks: OwnershipMarks,
  sandbox: SandboxView,
  signal: AbortSignal,
): Promise<Homecoming> {
  const here = await hostLink(context, fn);
  if (here !== undefined) return { link: here, detached: true, problems: [] };
  const problems: string[] = [];
  if (sandbox.state === 'open') {
    try {
      await moveOut(context, fn.address, marks, sandbox.namespace);
    } catch (error) {
      problems.push(`moving VF ${fn.address} home failed: ${toBerthError(error).message}`);
    }
  }
  const wait = sandbox.state === 'open' && problems.length > 0 ? 1 : HOME_TRIES;
  for (let tries = 0; tries < wait; tries += 1) {
    const current = await context.kernel.pciFunction(fn.address);
    if (current === undefined) return { detached: true, problems: [] };
    const link = await hostLink(context, current);
    // Home is what counts: a move that reported an error after it had happened is no problem.
    if (link !== undefined) return { link, detached: true, problems: [] };
    if (signal.aborted) break;
    await context.clock.delay(HOME_WAIT_MS, signal);
  }
  const where =
    sandbox.state === 'unknown'
      ? `its sandbox cannot be reached: ${sandbox.why}`
      : `its sandbox is ${sandbox.state === 'dead' ? 'gone' : 'open'}`;
  return {
    detached: sandbox.state === 'dead',
    problems: problems.length > 0 ? problems : [`VF ${fn.address} has no network device on the node (${where})`],
  };
}

async function moveOut(
  context: LinkContext,
  device: PciAddress,
  marks: OwnershipMarks,
  sandbox: Namespace,
): Promise<void> {
  const link = await findVf(sandbox, device, marks);
  if (link === undefined) return;
  if (link.up) await sandbox.apply([{ op: 'link.set', index: link.index, up: false }]);
  // Under a name that nobody else has: pods call their interface net1, and so does the next one.
  const taken = (await context.kernel.host.link({ name: marks.tempName })) !== undefined;
  await sandbox.apply([
    { op: 'link.set', index: link.index, moveTo: context.kernel.host, ...(taken ? {} : { name: marks.tempName }) },
  ]);
}

async function hostLink(context: LinkContext, fn: PciFunction): Promise<Link | undefined> {
  if (fn.ifname === undefined) return undefined;
  const link = await context.kernel.host.link({ name: fn.ifname });
  // Between the two reads it can have been renamed and the name given to another.
  return link?.pci === undefined || link.pci === fn.address ? link : undefined;
}
