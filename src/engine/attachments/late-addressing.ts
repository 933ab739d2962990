/**
 * Addresses that can only be given to a link that is there and up: those of an IPAM program, which
 * may need the link (dhcp), and those that are probed for first. Everybody else's come with the link
 * (src/engine/links/endpoint.ts), which is quicker. Debug: `tcpdump -e arp` in the sandbox.
 */
import { checkpoint } from '../cancellation.ts';
import { BerthError } from '../errors.ts';
import { allocateDelegated } from '../ipam/index.ts';
import { addressFamily } from '../ipam/ip.ts';
import type { DelegatedSpec, IpamResult } from '../ipam/model.ts';
import { addAddressing } from '../links/endpoint.ts';
import type { LinkOutcome } from '../links/index.ts';
import type { AttachmentContext } from './context.ts';
import type { AttachRequest, OperationContext } from './model.ts';
import type { Namespace } from './port.ts';
import type { AttachmentRecord } from './record.ts';

/** Of a program that gave nothing: it was not executed, or does not speak the version, in its DEL neither. */
const NOTHING_GIVEN: ReadonlySet<string> = new Set(['ipam-program-missing', 'ipam-version-refused', 'shim-too-old']);
const CARRIER_TRIES = 200;
const CARRIER_WAIT_MS = 50;

/** Whether the link of this request is made without its addresses, and {@link addressLate} called then. */
export function isAddressedLate(request: AttachRequest): boolean {
  return request.ipam?.type === 'delegated' || request.detectDuplicates === true;
}

/**
 * Asks the IPAM program if there is one, probes if that was asked for, then gives the link its
 * addresses and routes and announces them. `reserved` is what is reserved already. The record knows
 * where the addresses come from. Throws `Busy` (`address-duplicate`), and what the program's answer
 * throws; the caller undoes.
 */
export async function addressLate(
  context: AttachmentContext,
  request: AttachRequest,
  record: AttachmentRecord,
  outcome: LinkOutcome,
  reserved: IpamResult,
  operation: OperationContext,
): Promise<IpamResult> {
  const { signal } = operation;
  let addressing = reserved;
  if (request.ipam?.type === 'delegated') {
    addressing = await askProgram(context, request, request.ipam, record, operation);
    checkpoint(signal, 'taking over the addresses of the IPAM program');
  }
  const { index } = outcome;
  if (index === undefined) return addressing;
  if (request.detectDuplicates === true) await probe(context, request, record, index, addressing, signal);
  await addAddressing(context, request.sandbox, {
    index,
    ifname: request.key.ifname,
    addressing,
    ...(outcome.mac === undefined ? {} : { mac: outcome.mac }),
  });
  return addressing;
}

async function askProgram(
  context: AttachmentContext,
  request: AttachRequest,
  spec: DelegatedSpec,
  record: AttachmentRecord,
  operation: OperationContext,
): Promise<IpamResult> {
  const owner = { network: request.network, ...request.key };
  try {
    const { result, place } = await allocateDelegated(context, spec, owner, operation.signal, operation.ipamPrograms);
    context.records.put({ ...record, addresses: place });
    return result;
  } catch (error) {
    // There is nothing to release then, and a release would fail for ever.
    if (error instanceof BerthError && NOTHING_GIVEN.has(error.reason)) {
      const { addresses: _none, ...rest } = record;
      context.records.put(rest);
      context.ownedAddresses.forget(owner);
    }
    throw error;
  }
}

/** IPv4 only: the kernel does it for IPv6, and ADD waits for that. */
async function probe(
  context: AttachmentContext,
  request: AttachRequest,
  record: AttachmentRecord,
  index: number,
  addressing: IpamResult,
  signal: AbortSignal,
): Promise<void> {
  const addresses = addressing.addresses
    .map(({ address }) => address.replace(/\/\d+$/, ''))
    .filter((address) => addressFamily(address) === 4);
  const place = await proberOf(context, request.sandbox, record, index);
  if (place === undefined || addresses.length === 0) return;
  if (!(await waitForCarrier(context, place.namespace, place.index, signal))) {
    context.log.warn({ ifname: request.key.ifname }, 'addresses could not be probed for: the link has no carrier');
    return;
  }
  const conflict = await place.namespace.probe(place.index, addresses, signal);
  checkpoint(signal, 'probing for other users of the addresses');
  if (conflict === undefined) return;
  throw new BerthError({
    code: 'Busy',
    reason: 'address-duplicate',
    message: `${conflict.address} is used by ${conflict.mac} already (ARP probe on ${request.key.ifname})`,
    remedy: 'Find the owner of that hardware address; ranges of different nodes must not overlap.',
  });
}

/**
 * Where a probe is sent from. ipvlans have the uplink's MAC, so the answer comes to the uplink and
 * not to them; in their layer 3 modes there is no ARP at all.
 */
async function proberOf(
  context: AttachmentContext,
  sandbox: Namespace,
  record: AttachmentRecord,
  index: number,
): Promise<{ readonly namespace: Namespace; readonly index: number } | undefined> {
  if (record.link.kind !== 'ipvlan') return { namespace: sandbox, index };
  if (record.link.mode !== 'l2') return undefined;
  const uplink = await context.kernel.host.link({ name: record.link.uplink });
  return uplink === undefined ? undefined : { namespace: context.kernel.host, index: uplink.index };
}

/** A VF's carrier comes seconds after it is up, and a probe before it says nothing. */
async function waitForCarrier(
  context: AttachmentContext,
  namespace: Namespace,
  index: number,
  signal: AbortSignal,
): Promise<boolean> {
  for (let tries = 0; tries < CARRIER_TRIES; tries += 1) {
    if ((await namespace.link({ index }))?.carrier !== false) return true;
    checkpoint(signal, 'waiting for the carrier');
    await context.clock.delay(CARRIER_WAIT_MS, signal);
  }
  return false;
}
