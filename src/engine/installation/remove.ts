/**
 * Taking the shim away and giving peers their names back.
 *
 * While an attachment lives its DEL has to reach Berth: under a peer's name it would reach the peer,
 * which knows nothing of it and would leave the device, the address and the record behind.
 */
import { BerthError } from '../errors.ts';
import { checkPeerName, keptName } from './install.ts';
import { OWN_NAME, PEER_NAMES, type RemovedName, type RemoveReport } from './model.ts';
import type { CniFolder } from './port.ts';

export interface RemoveRequest {
  /** These names only; every one that the shim has, when absent. */
  readonly names?: readonly string[];
  /** How many attachments live now. */
  readonly liveAttachments: () => Promise<number>;
}

/**
 * Removes the shim, if nothing is attached. Idempotent.
 * @throws BerthError `Busy` (`attachments-live`), `Invalid` (`cni-name-not-a-peer`) or `Io`.
 */
export async function remove(folder: CniFolder, request: RemoveRequest): Promise<RemoveReport> {
  const names = request.names ?? [OWN_NAME, ...PEER_NAMES];
  for (const name of names) if (name !== OWN_NAME) checkPeerName(name);
  const live = await request.liveAttachments();
  if (live > 0) throw attachmentsLive(live);
  const removed: RemovedName[] = [];
  for (const name of names) {
    const done = await removeOne(folder, name);
    if (done !== undefined) removed.push(done);
  }
  return { folder: folder.path, names: removed };
}

async function removeOne(folder: CniFolder, name: string): Promise<RemovedName | undefined> {
  const kept = keptName(name);
  const occupant = await folder.look(name);
  const isKept = (await folder.look(kept)).kind !== 'absent';
  if (occupant.kind === 'shim' || occupant.kind === 'absent') {
    if (isKept) {
      await folder.putBack(kept, name);
      return { name, action: 'put-back' };
    }
    if (occupant.kind === 'absent') return undefined;
    await folder.remove(name);
    return { name, action: 'removed' };
  }
  if (!isKept) return undefined;
  await folder.remove(kept);
  return { name, action: 'left-to-peer' };
}

function attachmentsLive(count: number): BerthError {
  return new BerthError({
    code: 'Busy',
    reason: 'attachments-live',
    message: `${count} attachment${count === 1 ? '' : 's'} on this node would lose the program that ends them`,
    remedy: 'Delete those pods first (`berth attachments` lists them), or use --when-idle, which waits for their end.',
  });
}
