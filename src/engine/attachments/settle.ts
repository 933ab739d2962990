/**
 * What needs time after the link is up: IPv6 duplicate address detection, which ADD waits for, and
 * a VF's carrier, which it does not wait for (it comes seconds later, and only then does an
 * announcement reach anybody).
 */

import { checkpoint } from '../cancellation.ts';
import { BerthError, toBerthError } from '../errors.ts';
import { addressFamily } from '../ipam/ip.ts';
import type { LinkOutcome } from '../links/index.ts';
import type { AttachmentContext } from './context.ts';
import type { AttachResult } from './model.ts';
import type { Namespace } from './port.ts';
import type { AttachmentRecord } from './record.ts';
import { keyText } from './record-book.ts';
import { locateSandbox } from './sandbox.ts';

const DAD_TRIES = 100;
const DAD_WAIT_MS = 50;
const CARRIER_PAUSES_MS = [500, 1000, 1500, 2000, 3000, 4000, 8000];

/** Waits until no IPv6 address of the link is tentative. Throws `Busy`, `address-duplicate`, when a neighbour has one. */
export async function waitForAddresses(
  context: AttachmentContext,
  sandbox: Namespace,
  outcome: LinkOutcome,
  addresses: AttachResult['addresses'],
  signal: AbortSignal,
): Promise<void> {
  const { index } = outcome;
  if (index === undefined || !addresses.some((entry) => addressFamily(entry.address) === 6)) return;
  for (let tries = 0; tries < DAD_TRIES; tries += 1) {
    const present = await sandbox.addresses(index);
    const duplicate = present.find((entry) => entry.dadFailed && entry.scope === 'global');
    if (duplicate !== undefined) {
      throw new BerthError({
        code: 'Busy',
        reason: 'address-duplicate',
        message: `a neighbour already uses ${duplicate.address} (duplicate address detection)`,
        remedy: 'Find the other user of the address; ranges of different nodes must not overlap.',
      });
    }
    if (!present.some((entry) => entry.tentative && entry.family === 6)) return;
    // Without carrier detection does not even begin; addresses become usable when the link does.
    if ((await sandbox.link({ index }))?.carrier === false) return;
    checkpoint(signal, 'waiting for duplicate address detection');
    await context.clock.delay(DAD_WAIT_MS, signal);
  }
}

/** Announces a VF's addresses once its carrier is there. Ends by itself; never throws. */
export async function announceWhenUp(
  context: AttachmentContext,
  record: AttachmentRecord,
  stop: AbortSignal,
): Promise<void> {
  const { result } = record;
  if (result?.mac === undefined || result.addresses.length === 0) return;
  for (const pauseMs of CARRIER_PAUSES_MS) {
    await context.clock.delay(pauseMs, stop);
    if (stop.aborted || context.records.all().every((entry) => entry !== record)) return;
    try {
      const sandbox = await locateSandbox(context.kernel, record.sandbox);
      try {
        if (sandbox.view.state !== 'open') return;
        const { namespace } = sandbox.view;
        const link = await namespace.link({ name: record.key.ifname });
        if (link === undefined) return;
        if (link.carrier !== true) continue;
        await namespace.announce(
          link.index,
          result.mac,
          result.addresses.map((entry) => entry.address),
        );
        return;
      } finally {
        sandbox.close();
      }
    } catch (error) {
      context.log.debug(
        { attachment: keyText(record.key), problem: toBerthError(error).message },
        'a late announcement failed',
      );
      return;
    }
  }
}
