/**
 * A netdev of the node on its way into a sandbox. Marked by its alias on the node, it moves under
 * its name at once: each renaming makes many kernels wait for RCU (dev_change_name,
 * net/core/dev.c), a tenth of the whole ADD of a VF. The way back is `netdev-home.ts`.
 */
import type { Link, Namespace } from '../attachments/port.ts';
import { toBerthError } from '../errors.ts';
import type { IfName } from '../values.ts';
import { nameTaken } from './endpoint.ts';
import type { LinkContext } from './link-driver.ts';
import { freeOwnName } from './own-altname.ts';

/**
 * The netdev's move, and what can be done while the kernel waits for RCU in it. Both have ended when
 * this settles. Throws what the move threw, else what the other did.
 */
export async function meanwhile<T>(
  moving: Promise<Link | undefined>,
  work: () => Promise<T>,
): Promise<{ readonly there: Link | undefined; readonly result: T }> {
  const [moved, worked] = await Promise.allSettled([moving, work()]);
  if (moved.status === 'rejected') throw moved.reason;
  if (worked.status === 'rejected') throw worked.reason;
  return { there: moved.value, result: worked.value };
}

export interface Departure {
  /** Marked with it on the way: only where a failure of that does no harm, since the move is tried all the same. */
  readonly alias?: string;
  readonly sandbox: Namespace;
  readonly ifname: IfName;
  /** Whether a link of the sandbox is the one that moves. */
  isIt(link: Link): boolean;
}

/**
 * Moves it. Answers what has its name in the sandbox then, which the caller compares. Throws
 * `Invalid` (`interface-name-taken`) when that is another link; the netdev may have moved all the same.
 */
export async function sendAway(
  { kernel }: LinkContext,
  link: Link,
  { alias, sandbox, ifname, isIt }: Departure,
): Promise<Link | undefined> {
  const { index } = link;
  try {
    return await kernel.host.applyAndFind(
      [
        ...(alias === undefined ? [] : [{ op: 'link.set', index, alias } as const]),
        ...freeOwnName(link, ifname),
        { op: 'link.set', index, moveTo: sandbox, name: ifname },
      ],
      ifname,
      sandbox,
    );
  } catch (error) {
    const holder = toBerthError(error).errno === 'EEXIST' ? await sandbox.link({ name: ifname }) : undefined;
    throw holder === undefined || isIt(holder) ? error : nameTaken(ifname, holder.kind);
  }
}
