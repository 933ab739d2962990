/**
 * Bringing a netdev that was given away back into the node's namespace, wherever it is: still in the
 * sandbox, on its way home from a dying one, or home already under the name it had in the pod. How
 * it is told from others is the kind's own (`MovedNetdev`).
 */
import type { Link, Namespace } from '../attachments/port.ts';
import { toBerthError } from '../errors.ts';
import type { IfName } from '../values.ts';
import type { LinkContext, OwnershipMarks, SandboxView } from './link-driver.ts';
import { freeOwnName } from './own-altname.ts';

/** A dying namespace hands its devices back within some milliseconds; on a loaded machine within seconds. */
const HOME_TRIES = 100;
const HOME_WAIT_MS = 50;

/** A netdev that is moved, and how it is found. */
export interface MovedNetdev {
  /** For messages: `VF 0000:41:10.0`. */
  readonly label: string;
  readonly marks: Pick<OwnershipMarks, 'tempName'>;
  /** What it was called on the node. */
  readonly homeName: IfName;
  findIn(sandbox: Namespace): Promise<Link | undefined>;
  /** `gone`: it exists no more, so there is nothing to bring home. */
  findHome(): Promise<Link | 'gone' | undefined>;
}

export interface Homecoming {
  /** The netdev on the node; absent when it did not come. */
  readonly link?: Link;
  /** It is certainly in no sandbox. */
  readonly detached: boolean;
  readonly problems: readonly string[];
}

/** Moves the netdev home when the sandbox can be reached, else waits a bounded while for the kernel to do it. */
export async function bringHome(
  context: LinkContext,
  moved: MovedNetdev,
  sandbox: SandboxView,
  signal: AbortSignal,
): Promise<Homecoming> {
  const problems: string[] = [];
  if (sandbox.state === 'open') {
    try {
      await moveOut(context, moved, sandbox.namespace);
    } catch (error) {
      problems.push(`moving ${moved.label} home failed: ${toBerthError(error).message}`);
    }
  }
  const wait = sandbox.state === 'open' && problems.length > 0 ? 1 : HOME_TRIES;
  for (let tries = 0; tries < wait; tries += 1) {
    // Home is what counts: a move that reported an error after it had happened is no problem.
    const found = await moved.findHome();
    if (found !== undefined) return arrived(found);
    if (signal.aborted) break;
    await context.clock.delay(HOME_WAIT_MS, signal);
  }
  const where =
    sandbox.state === 'unknown'
      ? `its sandbox cannot be reached: ${sandbox.why}`
      : `its sandbox is ${sandbox.state === 'dead' ? 'gone' : 'open'}`;
  return {
    detached: sandbox.state === 'dead',
    problems: problems.length > 0 ? problems : [`${moved.label} has no network device on the node (${where})`],
  };
}

function arrived(found: Link | 'gone'): Homecoming {
  return { detached: true, problems: [], ...(found === 'gone' ? {} : { link: found }) };
}

async function moveOut(context: LinkContext, moved: MovedNetdev, sandbox: Namespace): Promise<void> {
  const link = await moved.findIn(sandbox);
  if (link === undefined) return;
  const { host } = context.kernel;
  const isFree = async (name: IfName): Promise<boolean> => (await host.link({ name })) === undefined;
  // Its own name, or one that nobody else has: pods call their interface net1, and so does the next one.
  const name = (await isFree(moved.homeName))
    ? moved.homeName
    : (await isFree(moved.marks.tempName))
      ? moved.marks.tempName
      : undefined;
  const { index } = link;
  await sandbox.apply([
    ...(link.up ? [{ op: 'link.set', index, up: false } as const] : []),
    ...(name === undefined ? [] : freeOwnName(link, name)),
    { op: 'link.set', index, moveTo: host, ...(name === undefined ? {} : { name }) },
  ]);
}
