/**
 * Notes of the addresses that Berth reserved, below `/var/lib/berth`, which survives a reboot, as the
 * reservations do. Each names its boot. Neither is written with fsync, because host-local's own files
 * are not.
 *
 * All are lines of one file, `<folder>/notes`: ext4 takes fifty times as long to make a file as to
 * append a line, and a sixth of an ADD was spent on that. When an address is given back the first byte
 * of its line is struck out, which needs no room on a full disk. To look at them: `grep '^{'`.
 * The first release had a file for each, `<containerid>@<ifname>.json`; those stay until they are forgotten.
 */
import {
  closeSync,
  constants,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { AddressPlace, IpamOwner } from '../../engine/ipam/model.ts';
import type { OwnedAddress, OwnedAddresses } from '../../engine/ipam/port.ts';
import { asContainerId, asIfName, asNetworkName } from '../../engine/values.ts';
import { errnoOf, ioError } from './io-error.ts';
import { makeFolder } from './make-folder.ts';
import { removeFile } from './remove-file.ts';

const SCHEMA = 1;
const NOTES = 'notes';
const TEMPORARY = '.new-notes';
/** Instead of the brace with which a note begins. */
const STRUCK = '-';
const NEWLINE = 0x0a;
/** So much may be struck out before the file is written anew: some hundred pods. */
const MOST_STRUCK_BYTES = 64 * 1024;

interface NotedLine {
  readonly note: OwnedAddress;
  /** With its newline. */
  readonly line: Buffer;
  /** Where in the file it begins. */
  at: number;
}

/** Creates the folder when it is missing. Throws `Io` (`address-note-failed`). */
export function createOwnedAddresses(folder: string): OwnedAddresses {
  return new AddressNotes(folder);
}

class AddressNotes implements OwnedAddresses {
  readonly #folder: string;
  readonly #path: string;
  /** By owner, as everything here. */
  readonly #lines = new Map<string, NotedLine>();
  /** What the first release left; the file's path with its note. */
  readonly #files = new Map<string, { readonly note: OwnedAddress; readonly path: string }>();
  /** Former notes of owners, which were not struck out any more before their writer was killed. */
  readonly #doubles: NotedLine[] = [];
  /** Lines that are no notes, perhaps those of a later release: they stay. */
  readonly #strangeLines: Buffer[] = [];
  readonly #strangeFiles: string[] = [];
  /** Of the file, as far as its lines are whole. */
  #bytes = 0;
  #struckBytes = 0;

  constructor(folder: string) {
    this.#folder = folder;
    this.#path = join(folder, NOTES);
    this.#attempt('preparing', () => {
      makeFolder(folder, 0o700);
      this.#readLines();
      this.#readFiles();
    });
  }

  note(owned: OwnedAddress): void {
    const key = keyOf(owned);
    this.#attempt('noting an address in', () => {
      if (this.#struckBytes > MOST_STRUCK_BYTES && this.#struckBytes > this.#bytes / 2) this.#writeAnew();
      this.#change((descriptor) => {
        const before = this.#lines.get(key);
        this.#lines.set(key, this.#append(descriptor, owned));
        if (before !== undefined) this.#strike(descriptor, before);
      });
    });
  }

  forget(owner: IpamOwner): void {
    const key = keyOf(owner);
    this.#attempt('removing a note from', () => {
      const file = this.#files.get(key);
      if (file !== undefined) removeFile(file.path);
      this.#files.delete(key);
      const line = this.#lines.get(key);
      if (line !== undefined) this.#change((descriptor) => this.#strike(descriptor, line));
      this.#lines.delete(key);
    });
  }

  list(): { readonly notes: readonly OwnedAddress[]; readonly unreadable: readonly string[] } {
    const ofFiles = [...this.#files].flatMap(([key, { note }]) => (this.#lines.has(key) ? [] : [note]));
    const ofLines = [...this.#lines.values()].map(({ note }) => note);
    const strange = this.#strangeLines.length === 0 ? [] : [this.#path];
    return { notes: [...ofFiles, ...ofLines], unreadable: [...strange, ...this.#strangeFiles] };
  }

  /** All or nothing. */
  #append(descriptor: number, note: OwnedAddress): NotedLine {
    const line = Buffer.from(formatNote(note));
    const at = this.#bytes;
    try {
      const written = writeSync(descriptor, line, 0, line.length, at);
      if (written < line.length) throw Object.assign(new Error('ENOSPC: no room for all of it'), { code: 'ENOSPC' });
    } catch (error) {
      ftruncateSync(descriptor, at);
      throw error;
    }
    this.#bytes += line.length;
    return { note, line, at };
  }

  #strike(descriptor: number, { line, at }: NotedLine): void {
    writeSync(descriptor, STRUCK, at);
    this.#struckBytes += line.length;
  }

  /** Opens the file for one change; where somebody removed it, it is written anew. */
  #change(change: (descriptor: number) => void): void {
    let descriptor = this.#open();
    if (descriptor === undefined) {
      this.#writeAnew();
      descriptor = this.#open();
    }
    if (descriptor === undefined) throw Object.assign(new Error(`ENOENT: ${this.#path} is gone`), { code: 'ENOENT' });
    try {
      for (const double of this.#doubles.splice(0)) this.#strike(descriptor, double);
      change(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }

  #open(): number | undefined {
    try {
      return openSync(this.#path, constants.O_WRONLY | constants.O_NOFOLLOW);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  #writeAnew(): void {
    const temporary = join(this.#folder, TEMPORARY);
    const lines = [...this.#lines.values()];
    const whole = Buffer.concat([...this.#strangeLines, ...lines.map(({ line }) => line)]);
    try {
      writeFileSync(temporary, whole, { mode: 0o600 });
      renameSync(temporary, this.#path);
    } catch (error) {
      removeFile(temporary);
      throw error;
    }
    this.#doubles.length = 0;
    this.#struckBytes = 0;
    this.#bytes = this.#strangeLines.reduce((sum, line) => sum + line.length, 0);
    for (const each of lines) {
      each.at = this.#bytes;
      this.#bytes += each.line.length;
    }
  }

  #readLines(): void {
    const bytes = readIfThere(this.#path);
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, this.#bytes)) {
      const at = this.#bytes;
      const line = bytes.subarray(at, end + 1);
      this.#bytes = end + 1;
      const text = line.toString('utf8');
      const note = text.startsWith(STRUCK) ? undefined : parseNote(text);
      if (note === undefined) {
        if (text.startsWith(STRUCK)) this.#struckBytes += line.length;
        else this.#strangeLines.push(line);
        continue;
      }
      const before = this.#lines.get(keyOf(note));
      if (before !== undefined) this.#doubles.push(before);
      this.#lines.set(keyOf(note), { note, line, at });
    }
    // What is behind the last whole line was being written when its writer was killed.
    if (bytes.length > this.#bytes) truncateSync(this.#path, this.#bytes);
  }

  #readFiles(): void {
    for (const name of readdirSync(this.#folder)) {
      if (name === NOTES || name.startsWith('.new-')) continue;
      const path = join(this.#folder, name);
      const note = parseNote(readFileSync(path, 'utf8'));
      if (note === undefined) this.#strangeFiles.push(path);
      else this.#files.set(keyOf(note), { note, path });
    }
  }

  #attempt<T>(what: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      const remedy = `Make room in ${this.#folder}, or make it writable.`;
      throw ioError(error, 'address-note-failed', `${what} ${this.#folder}`, remedy);
    }
  }
}

function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path, { flag: constants.O_RDONLY | constants.O_NOFOLLOW });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

/** The folder of a host-local note stands in the note itself, as in the first release's. */
function formatNote({ place, ...owned }: OwnedAddress): string {
  const where = place.type === 'host-local' ? { dataDir: place.dataDir } : { delegated: place };
  return `${JSON.stringify({ schema: SCHEMA, ...owned, ...where })}\n`;
}

function keyOf({ containerId, ifname }: Pick<IpamOwner, 'containerId' | 'ifname'>): string {
  return `${containerId}@${ifname}`;
}

function parseNote(text: string): OwnedAddress | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // An unfinished or foreign file: the caller reports its name.
    return undefined;
  }
  if (typeof json !== 'object' || json === null) return undefined;
  const field = (name: string): string => textIn(json, name);
  const containerId = asContainerId(field('containerId'));
  const ifname = asIfName(field('ifname'));
  const network = asNetworkName(field('network'));
  const bootId = field('bootId');
  const place = placeOf(json);
  if (
    (json as { schema?: unknown }).schema !== SCHEMA ||
    containerId === undefined ||
    ifname === undefined ||
    network === undefined ||
    bootId === '' ||
    place === undefined
  )
    return undefined;
  return { bootId, place, network, containerId, ifname };
}

function placeOf(json: object): AddressPlace | undefined {
  const dataDir = textIn(json, 'dataDir');
  if (dataDir !== '') return { type: 'host-local', dataDir };
  const delegated: unknown = (json as { delegated?: unknown }).delegated;
  if (typeof delegated !== 'object' || delegated === null) return undefined;
  const program = textIn(delegated, 'program');
  const foundAt = textIn(delegated, 'foundAt');
  if (program === '') return undefined;
  return {
    type: 'delegated',
    program,
    stdin: textIn(delegated, 'stdin'),
    cniPath: textIn(delegated, 'cniPath'),
    cniArgs: textIn(delegated, 'cniArgs'),
    ...(foundAt === '' ? {} : { foundAt }),
  };
}

/** Empty for what is no text. */
function textIn(json: object, name: string): string {
  const value: unknown = (json as Record<string, unknown>)[name];
  return typeof value === 'string' ? value : '';
}
