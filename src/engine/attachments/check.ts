/**
 * CHECK: everything that ADD promised, compared with the kernel and with the reservations. Reads only.
 * An attachment that a plugin before Berth made is compared with what its result said.
 */
import { BerthError } from '../errors.ts';
import { reservationContent } from '../ipam/host-local.ts';
import { checkDelegatedAddresses } from '../ipam/index.ts';
import { driverOf } from '../links/index.ts';
import type { AttachmentContext } from './context.ts';
import { expectedLink } from './expected-link.ts';
import type { AttachmentKey, CheckRequest, OperationContext } from './model.ts';
import { checkPredecessor } from './peers/links.ts';
import type { AttachmentRecord } from './record.ts';

/** Under the attachment's lock. Throws `attachment-unknown`, `attachment-unfinished`, `attachment-changed`. */
export async function checkAttachment(
  context: AttachmentContext,
  request: CheckRequest,
  operation: OperationContext,
): Promise<void> {
  const record = context.records.get(request.key);
  if (record === undefined) {
    const { predecessor } = operation;
    const foreign = predecessor && (await checkPredecessor(context, request, predecessor, operation));
    if (foreign !== undefined) return requireNone(request.key, foreign);
    throw new BerthError({
      code: 'NotFound',
      reason: 'attachment-unknown',
      message: `there is no attachment for container ${request.key.containerId} ${request.key.ifname}`,
      remedy: 'The runtime must send ADD first.',
    });
  }
  if (record.phase !== 'attached') {
    throw new BerthError({
      code: 'Busy',
      reason: 'attachment-unfinished',
      message: `the attachment of container ${request.key.containerId} ${request.key.ifname} is ${record.phase}, not complete`,
      remedy: 'The runtime must send DEL and ADD; `berth attachments` shows what still fails.',
    });
  }
  const found =
    record.sandbox.cookie === request.sandbox.id.cookie
      ? []
      : [`it was made in namespace ${record.sandbox.cookie}, and this is namespace ${request.sandbox.id.cookie}`];
  const hasNetdev = record.result?.hasNetdev !== false;
  const differences = [
    ...found,
    ...(await driverOf(record.link.kind).check(context, {
      state: record.link,
      sandbox: request.sandbox,
      ifname: request.key.ifname,
      expected: hasNetdev ? expectedLink(record, request.expected) : { addresses: [], routes: [] },
    })),
    ...(await missingReservations(context, record, request, operation)),
  ];
  requireNone(request.key, differences);
}

async function missingReservations(
  context: AttachmentContext,
  record: AttachmentRecord,
  request: CheckRequest,
  { signal, ipamPrograms }: OperationContext,
): Promise<readonly string[]> {
  const { addresses } = record;
  if (addresses === undefined) return [];
  if (addresses.type === 'delegated') {
    const owner = { network: record.network, ...record.key };
    return checkDelegatedAddresses(context, addresses, owner, request.stdin, signal, ipamPrograms);
  }
  const reserved = await context.reservations.locked(addresses.dataDir, record.network, signal, (folder) =>
    folder.find(reservationContent(record.key)),
  );
  return request.expected.addresses
    .map((entry) => entry.address.split('/')[0] ?? '')
    .filter(
      (ip) =>
        (record.result?.addresses ?? []).some((entry) => entry.address.split('/')[0] === ip) && !reserved.includes(ip),
    )
    .map((ip) => `${ip} is not reserved for it any more in ${addresses.dataDir}/${record.network}`);
}

/** A link that lost everything may have lost thousands of routes. */
const MOST_TOLD = 20;

function requireNone(key: AttachmentKey, differences: readonly string[]): void {
  if (differences.length === 0) return;
  const told = differences.slice(0, MOST_TOLD).join('; ');
  const more = differences.length > MOST_TOLD ? `; and ${differences.length - MOST_TOLD} more` : '';
  throw new BerthError({
    code: 'Io',
    reason: 'attachment-changed',
    message: `the attachment of container ${key.containerId} ${key.ifname} is not what it was made: ${told}${more}`,
    remedy: 'Delete the pod so that it is attached anew.',
  });
}
