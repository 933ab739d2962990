/**
 * Notes of the addresses that Berth reserved: `<folder>/<containerid>@<ifname>.json` below
 * `/var/lib/berth`, which survives a reboot, as the reservations do. Each names its boot. Neither is
 * written with fsync, because host-local's own files are not.
 */
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AddressPlace, IpamOwner } from '../../engine/ipam/model.ts';
import type { OwnedAddress, OwnedAddresses } from '../../engine/ipam/port.ts';
import { asContainerId, asIfName, asNetworkName } from '../../engine/values.ts';
import { ioError } from './io-error.ts';
import { makeFolder } from './make-folder.ts';
import { removeFile } from './remove-file.ts';

const SCHEMA = 1;
const TEMPORARY = '.new-';

/** Creates the folder when it is missing. Throws `Io` (`address-note-failed`). */
export function createOwnedAddresses(folder: string): OwnedAddresses {
  const attempt = <T>(what: string, work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw ioError(error, 'address-note-failed', `${what} ${folder}`, `Make room in ${folder}, or make it writable.`);
    }
  };
  attempt('preparing', () => makeFolder(folder, 0o700));
  return {
    note: (owned) =>
      attempt('noting an address in', () => {
        const name = fileName(owned);
        writeFileSync(join(folder, `${TEMPORARY}${name}`), formatNote(owned), { encoding: 'utf8', mode: 0o600 });
        renameSync(join(folder, `${TEMPORARY}${name}`), join(folder, name));
      }),
    forget: (owner) => attempt('removing a note from', () => removeFile(join(folder, fileName(owner)))),
    list: () => {
      const notes: OwnedAddress[] = [];
      const unreadable: string[] = [];
      for (const name of attempt('listing', () => readdirSync(folder))) {
        if (name.startsWith(TEMPORARY)) continue;
        const note = parseNote(attempt(`reading ${name} in`, () => readFileSync(join(folder, name), 'utf8')));
        if (note === undefined) unreadable.push(join(folder, name));
        else notes.push(note);
      }
      return { notes, unreadable };
    },
  };
}

/** The folder of a host-local note stands in the note itself, as in the first release's. */
function formatNote({ place, ...owned }: OwnedAddress): string {
  const where = place.type === 'host-local' ? { dataDir: place.dataDir } : { delegated: place };
  return `${JSON.stringify({ schema: SCHEMA, ...owned, ...where })}\n`;
}

function fileName(owner: IpamOwner): string {
  return `${owner.containerId}@${owner.ifname}.json`;
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
