/**
 * Writes what the inventory reads of a node as a folder that `--root` reads again, or as an archive of
 * one: the attributes, links and folders that the reader touched, and the facts that netlink told. Nothing else of the
 * node is in it: no environment, no configuration, no file that the inventory does not need. It does
 * hold hardware and IP addresses, serial numbers and the host's name.
 */
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { BerthError } from '../engine/errors.ts';
import type { Inventory, Netdev, Nic } from '../engine/inventory/model.ts';
import type { NodeReader } from '../engine/inventory/port.ts';
import { FACTS_PATH } from './facts/recorded.ts';
import { RecordingFacts } from './facts/recording.ts';
import type { FactSource } from './facts/source.ts';
import { makeFolder } from './files/make-folder.ts';
import { createNodeReader } from './node-reader.ts';
import { RecordingTree } from './sysfs/recording.ts';
import { openNodeTree, reasonOf } from './sysfs/tree.ts';
import { fitsTar, type TarEntry, tar } from './tar.ts';

/** What was written. */
export interface CaptureSummary {
  readonly files: number;
  readonly bytes: number;
  /** What could not be read or written. */
  readonly notes: readonly string[];
}

/**
 * Reads the node below `root` and writes it to `directory`, which is made, or is empty.
 * Throws `Invalid` when it holds anything, `Io` when it cannot be written.
 */
export async function captureTree(root: string, directory: string, facts?: FactSource): Promise<CaptureSummary> {
  await makeEmpty(directory);
  const { notes, tree } = await recorded(root, facts);
  return await write(tree, directory, notes);
}

/** The folder in the archive. */
export const ARCHIVED = 'captured';

/** The same as a tar archive of one folder, {@link ARCHIVED}: where nothing can be written, as in a container. */
export async function captureArchive(
  root: string,
  facts?: FactSource,
): Promise<CaptureSummary & { readonly archive: Buffer }> {
  const { notes, tree } = await recorded(root, facts);
  const { links, refused } = linksInside(tree);
  const all: readonly TarEntry[] = [
    ...[...tree.folders].map((path): TarEntry => ({ path: inArchive(path), kind: 'folder', mode: 0o755 })),
    ...[...tree.files].map(([path, bytes]): TarEntry => ({ path: inArchive(path), kind: 'file', mode: 0o644, bytes })),
    ...links.map(([path, target]): TarEntry => ({ path: inArchive(path), kind: 'link', target })),
  ];
  const entries = all.filter(fitsTar);
  const tooLong = all.filter((entry) => !fitsTar(entry)).map(({ path }) => `${path}: too long for a tar archive`);
  return {
    archive: tar(entries),
    files: entries.filter(({ kind }) => kind !== 'folder').length,
    bytes: entries.reduce((sum, entry) => sum + (entry.kind === 'file' ? entry.bytes.length : 0), 0),
    notes: [...notes, ...refused, ...tooLong],
  };
}

function inArchive(path: string): string {
  return `${ARCHIVED}/${path}`;
}

async function recorded(
  root: string,
  facts: FactSource | undefined,
): Promise<{ readonly tree: RecordingTree; readonly notes: readonly string[] }> {
  const tree = new RecordingTree(openNodeTree(root));
  const recording = facts === undefined ? undefined : new RecordingFacts(facts);
  const reader = createNodeReader({ root, tree, ...(recording === undefined ? {} : { facts: recording }) });
  const inventory = await reader.read();
  const notes = inventory.unread.map(({ source, reason }) => `${source}: ${reason}`);
  notes.push(...(await recordCounters(reader, inventory)));
  for (const { address, sriov } of inventory.nics) {
    // Never read on the live node, where it takes the device's lock; people and other tools look for it.
    if (sriov !== undefined) tree.add(`sys/bus/pci/devices/${address}`, 'sriov_numvfs', `${sriov.numVfs}`);
  }
  // Told by netlink on the live node.
  for (const { ifname, carrier } of [...inventory.nics.flatMap(netdevsOf), ...inventory.virtual]) {
    if (carrier !== undefined) tree.add(`sys/class/net/${ifname}`, 'carrier', carrier ? '1' : '0');
  }
  const told = recording?.document();
  if (told !== undefined) tree.files.set(FACTS_PATH, Buffer.from(`${JSON.stringify(told, undefined, 1)}\n`));
  return { tree, notes };
}

/** Asks for what the inventory does not, so that the tree has it. Answers what could not be had. */
async function recordCounters(reader: NodeReader, { nics }: Inventory): Promise<readonly string[]> {
  const notes: string[] = [];
  await reader.linkCounters?.(nics.flatMap(netdevsOf));
  for (const { ifname, netdev, vfs } of nics) {
    if (netdev === undefined || vfs.length === 0) continue;
    try {
      await reader.vfCounters?.(netdev);
    } catch (error) {
      notes.push(`netlink IFLA_VF_STATS ${ifname}: ${reasonOf(error)}`);
    }
  }
  return notes;
}

function netdevsOf(nic: Nic): readonly Netdev[] {
  return [nic.netdev, ...nic.vfs.map((vf) => vf.netdev)].filter((netdev) => netdev !== undefined);
}

async function makeEmpty(directory: string): Promise<void> {
  try {
    makeFolder(directory);
    if ((await readdir(directory)).length === 0) return;
  } catch (error) {
    throw unwritable(directory, error);
  }
  throw new BerthError({
    code: 'Invalid',
    reason: 'capture-not-empty',
    message: `${directory} is not empty`,
    remedy: 'Name a folder that does not exist yet.',
  });
}

function unwritable(path: string, error: unknown): BerthError {
  return new BerthError({
    code: 'Io',
    reason: 'capture-unwritable',
    message: `${path}: ${reasonOf(error)}`,
    remedy: 'Name a folder that can be written.',
    cause: error,
  });
}

async function write(tree: RecordingTree, directory: string, notes: readonly string[]): Promise<CaptureSummary> {
  const { links, refused } = linksInside(tree);
  let bytes = 0;
  try {
    for (const folder of tree.folders) await mkdir(join(directory, folder), { recursive: true });
    for (const [path, content] of tree.files) {
      await mkdir(join(directory, dirname(path)), { recursive: true });
      await writeFile(join(directory, path), content, { flag: 'wx' });
      bytes += content.length;
    }
    for (const [path, target] of links) {
      await mkdir(join(directory, dirname(path)), { recursive: true });
      await symlink(target, join(directory, path));
    }
  } catch (error) {
    throw unwritable(directory, error);
  }
  return { files: tree.files.size + links.length, bytes, notes: [...notes, ...refused] };
}

/** Links with their relative targets, and a note on each that leads out of the tree and is left out. */
function linksInside(tree: RecordingTree): {
  readonly links: readonly (readonly [path: string, target: string])[];
  readonly refused: readonly string[];
} {
  const links: [string, string][] = [];
  const refused: string[] = [];
  for (const [path, target] of tree.links) {
    const inside = linkInside(path, target);
    if (inside === undefined) refused.push(`${path}: leads out of the tree`);
    else links.push([path, inside]);
  }
  return { links, refused };
}

/** A relative target that stays below the root; `undefined` when there is none. */
function linkInside(path: string, target: string): string | undefined {
  const meant = target.startsWith('/') ? posix.normalize(target).slice(1) : posix.join(dirname(path), target);
  // A link to its own folder is `.`.
  return /^\.\.(?:\/|$)/.test(meant) ? undefined : posix.relative(dirname(path), meant) || '.';
}
