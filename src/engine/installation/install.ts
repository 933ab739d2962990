/**
 * Putting the shim in place, again and again: at the first installation, at upgrades, and after a peer
 * has put its own program back. Not the agent's start, and no CNI call goes through here.
 *
 * Everything that needs room on the disk comes before the first change that a runtime can see, and
 * each of those is one rename. A file of Berth's is known by what is in it, not by a list somewhere,
 * so there is no list to lose. To debug: `berth install -o json` says what was found under each name.
 */
import { BerthError } from '../errors.ts';
import {
  type InstallAction,
  type InstalledName,
  type InstallReport,
  type InstallRequest,
  KEPT_SUFFIX,
  OWN_NAME,
  PEER_NAMES,
} from './model.ts';
import type { CniFolder, Occupant } from './port.ts';

interface Work {
  readonly name: string;
  readonly occupant: Occupant;
  readonly isKept: boolean;
}

/**
 * Installs the shim under its own name, the names asked for, and those it has from earlier. Idempotent.
 * @throws BerthError `Invalid` (`cni-name-not-a-peer`, `cni-name-no-file`), `Unsupported`
 *   (`shim-does-not-run`) or `Io`; until then every name has the program it had, or the shim.
 */
export async function install(folder: CniFolder, request: InstallRequest): Promise<InstallReport> {
  const asked = [...new Set([OWN_NAME, ...request.as])];
  for (const name of asked) if (name !== OWN_NAME) checkPeerName(name);
  const present = new Set(await folder.names());
  const alsoHeld: string[] = [];
  const works: Work[] = [];
  for (const name of [...asked, ...PEER_NAMES.filter((peer) => !asked.includes(peer))]) {
    const occupant = await folder.look(name);
    if (!asked.includes(name)) {
      if (occupant.kind !== 'shim') continue;
      alsoHeld.push(name);
    }
    if (occupant.kind === 'no-file') throw noFile(folder, name);
    works.push({ name, occupant, isKept: present.has(keptName(name)) });
  }

  // Also when nothing changes: an installation that has been made unexecutable should not look well.
  const verified = await folder.stage();
  await verified.verify();
  const changing = works.filter(({ occupant }) => occupant.kind !== 'shim' || !occupant.isCurrent);
  const staged = [];
  for (const work of changing) staged.push({ work, shim: await folder.stage() });
  for (const { name, occupant } of changing) if (occupant.kind === 'foreign') await folder.keep(name, keptName(name));
  for (const { work, shim } of staged) await shim.commit(work.name);

  return { folder: folder.path, names: works.map(reportOf), alsoHeld };
}

export function keptName(name: string): string {
  return `${name}${KEPT_SUFFIX}`;
}

/** @throws BerthError `Invalid` (`cni-name-not-a-peer`) */
export function checkPeerName(name: string): void {
  if ((PEER_NAMES as readonly string[]).includes(name)) return;
  throw new BerthError({
    code: 'Invalid',
    reason: 'cni-name-not-a-peer',
    message: `${JSON.stringify(name)} is no plugin that Berth can stand in for`,
    remedy: `Names are ${PEER_NAMES.join(', ')}; any other plugin would be lost to the node.`,
  });
}

function noFile(folder: CniFolder, name: string): BerthError {
  return new BerthError({
    code: 'Invalid',
    reason: 'cni-name-no-file',
    message: `${folder.path}/${name} is neither a file nor a symbolic link`,
    remedy: 'Look at what it is and move it away; runtimes cannot execute it either.',
  });
}

function reportOf({ name, occupant, isKept }: Work): InstalledName {
  const action = actionOf(occupant, isKept);
  const keeps = isKept || occupant.kind === 'foreign';
  return { name, action, ...(keeps ? { kept: keptName(name) } : {}) };
}

function actionOf(occupant: Occupant, isKept: boolean): InstallAction {
  if (occupant.kind === 'shim') return occupant.isCurrent ? 'unchanged' : 'upgraded';
  if (occupant.kind === 'foreign') return isKept ? 'took-over-again' : 'took-over';
  return 'added';
}
