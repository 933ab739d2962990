/** The kill table's subject on the live kernel: one container's attachment with an address from host-local. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAttachments } from '../../src/engine/attachments/index.ts';
import type { LinkSpec } from '../../src/engine/attachments/model.ts';
import { type Clock, systemClock } from '../../src/engine/clock.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { parseContainerId, parseIfName, parseNetworkName } from '../../src/engine/values.ts';
import { createOwnedAddresses } from '../../src/linux/files/owned-addresses.ts';
import { createRecordStore } from '../../src/linux/files/record-store.ts';
import { createReservationStore } from '../../src/linux/files/reservation-store.ts';
import type { LinuxKernel } from '../../src/linux/kernel.ts';
import { notesIn } from './address-notes.ts';
import type { Subject } from './kill-table.ts';
import { stepped, steppedNamespace } from './stepping.ts';
import { waitingClock } from './waiting-clock.ts';

const KEY = { containerId: parseContainerId('c1'), ifname: parseIfName('net1') };
const FOLDERS = ['attachments', 'networks/net-a'];

/** The waits of an operation keep the test alive. The pauses between the retries of an engine that was killed do not. */
const LONGEST_WAIT_MS = 400;
const lifeClock: Clock = {
  now: () => systemClock.now(),
  delay: (ms, signal) => (ms <= LONGEST_WAIT_MS ? waitingClock.delay(ms) : systemClock.delay(ms, signal)),
};

export function liveSubject(place: {
  readonly kernel: LinuxKernel;
  /** For records, notes and reservations; of this test alone. */
  readonly folder: string;
  /** Of the sandbox. */
  readonly path: string;
  readonly link: LinkSpec;
  /** Of links and devices; files are looked at here. */
  readonly state: () => unknown;
}): Subject {
  const { kernel, folder, path, link } = place;
  return {
    start: (at) => {
      const parts = {
        kernel,
        records: createRecordStore(join(folder, 'attachments')),
        reservations: createReservationStore(waitingClock),
        ownedAddresses: createOwnedAddresses(join(folder, 'addresses')),
      };
      return createAttachments({ ...stepped(parts, at), clock: lifeClock, log: silentLogger, bootId: 'boot' });
    },
    attach: async (engine, at, signal) => {
      const opened = await kernel.open(path);
      if (opened === undefined) throw new Error(`${path} cannot be opened`);
      try {
        return await engine.attach(
          {
            key: KEY,
            network: parseNetworkName('net-a'),
            sandbox: steppedNamespace(opened, at),
            sandboxPath: path,
            link,
            ipam: {
              type: 'host-local',
              rangeSets: [[{ subnet: '10.77.0.0/24' }]],
              routes: [{ dst: '10.99.0.0/16' }],
              dataDir: join(folder, 'networks'),
              requested: [],
              dns: {},
            },
          },
          { requestId: 'r', signal },
        );
      } finally {
        opened.close();
      }
    },
    detach: (engine, signal = new AbortController().signal) =>
      engine.detach(KEY, undefined, { requestId: 'r', signal }),
    state: () =>
      JSON.stringify([
        place.state(),
        FOLDERS.flatMap((each) => filesIn(folder, each)),
        notesIn(join(folder, 'addresses')),
      ]),
  };
}

function filesIn(folder: string, below: string): readonly unknown[] {
  const path = join(folder, below);
  if (!existsSync(path)) return [];
  return readdirSync(path)
    .filter((name) => name !== 'lock' && !name.startsWith('last_reserved_ip') && !name.startsWith('.'))
    .map((name) => [below, name, readFileSync(join(path, name), 'utf8')]);
}
