/**
 * Notes of the addresses that Berth reserved: `<folder>/<containerid>@<ifname>.json` below
 * `/var/lib/berth`, which survives a reboot, as the reservations do. Each names its boot. Neither is
 * written with fsync, because host-local's own files are not.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IpamOwner } from '../../engine/ipam/model.ts';
import type { OwnedAddress, OwnedAddresses } from '../../engine/ipam/port.ts';
import { asContainerId, asIfName, asNetworkName } from '../../engine/values.ts';
import { ioError } from './io-error.ts';

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
  attempt('preparing', () => mkdirSync(folder, { recursive: true, mode: 0o700 }));
  return {
    note: (owned) =>
      attempt('noting an address in', () => {
        const name = fileName(owned);
        writeFileSync(join(folder, `${TEMPORARY}${name}`), `${JSON.stringify({ schema: SCHEMA, ...owned })}\n`, {
          mode: 0o600,
        });
        renameSync(join(folder, `${TEMPORARY}${name}`), join(folder, name));
      }),
    forget: (owner) => attempt('removing a note from', () => rmSync(join(folder, fileName(owner)), { force: true })),
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
  const field = (name: string): string => {
    const value: unknown = (json as Record<string, unknown>)[name];
    return typeof value === 'string' ? value : '';
  };
  const containerId = asContainerId(field('containerId'));
  const ifname = asIfName(field('ifname'));
  const network = asNetworkName(field('network'));
  const bootId = field('bootId');
  const dataDir = field('dataDir');
  if (
    (json as { schema?: unknown }).schema !== SCHEMA ||
    containerId === undefined ||
    ifname === undefined ||
    network === undefined ||
    bootId === '' ||
    dataDir === ''
  )
    return undefined;
  return { bootId, dataDir, network, containerId, ifname };
}
