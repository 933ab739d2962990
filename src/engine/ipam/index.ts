/** Addressing for an attachment: reserve before it is used, release after the link is gone. */

import { addDelegated, checkDelegated, deleteDelegated } from './delegated.ts';
import { releaseAddresses, reserveAddresses } from './host-local.ts';
import type {
  AddressPlace,
  DelegatedPlace,
  DelegatedSpec,
  HostLocalSpec,
  IpamOwner,
  IpamResult,
  IpamSpec,
} from './model.ts';
import type { IpamPrograms, OwnedAddresses, ReservationStore } from './port.ts';
import { staticAddressing } from './static.ts';

export interface AddressingContext {
  readonly reservations: ReservationStore;
  readonly ownedAddresses: OwnedAddresses;
  readonly bootId: string;
  /** Where IPAM programs are executed when no runtime waits: the agent's own place. */
  readonly ipamPrograms: IpamPrograms;
}

/** A layer-2 attachment: no address at all. */
export const noAddressing: IpamResult = { addresses: [], routes: [], dns: {} };

/** The place of a node where no program can be executed: nothing is found there. */
export const noIpamPrograms: IpamPrograms = {
  execute: () => Promise.resolve({ end: { kind: 'not-found' }, path: '', stdout: '', stderr: '' }),
};

/**
 * Reserves addresses. On an error nothing stays reserved and no note stays written. Delegated
 * addresses come later (see {@link allocateDelegated}): their program may need the link.
 */
export async function allocate(
  context: AddressingContext,
  spec: IpamSpec | undefined,
  owner: IpamOwner,
  signal: AbortSignal,
): Promise<IpamResult> {
  if (spec === undefined) return noAddressing;
  switch (spec.type) {
    case 'static':
      return staticAddressing(spec);
    case 'host-local':
      return allocateHostLocal(context, spec, owner, signal);
    case 'delegated':
      return noAddressing;
    default:
      return spec satisfies never;
  }
}

/**
 * Has the IPAM program give addresses, in the runtime's place where there is one. Whatever it
 * throws, the caller has to {@link release} the place: the program may have reserved something.
 */
export async function allocateDelegated(
  context: AddressingContext,
  spec: DelegatedSpec,
  owner: IpamOwner,
  signal: AbortSignal,
  connected?: IpamPrograms,
): Promise<{ readonly result: IpamResult; readonly place: DelegatedPlace }> {
  context.ownedAddresses.note({ bootId: context.bootId, place: spec, ...owner });
  const { result, path } = await addDelegated(connected ?? context.ipamPrograms, spec, owner, signal);
  return { result, place: { ...spec, foundAt: path } };
}

/** Releases what was reserved in that place, then the note of it. Idempotent. */
export async function release(
  context: AddressingContext,
  place: AddressPlace,
  owner: IpamOwner,
  signal: AbortSignal,
  connected?: IpamPrograms,
): Promise<void> {
  if (place.type === 'delegated') {
    await deleteDelegated(connected, context.ipamPrograms, place, owner, signal);
  } else if (context.reservations.isThere(place.dataDir, owner.network)) {
    await context.reservations.locked(place.dataDir, owner.network, signal, (folder) =>
      releaseAddresses(folder, owner),
    );
  }
  context.ownedAddresses.forget(owner);
}

/** What the IPAM program finds wrong, in its words; empty when all holds. */
export function checkDelegatedAddresses(
  context: AddressingContext,
  place: DelegatedPlace,
  owner: IpamOwner,
  stdin: string | undefined,
  signal: AbortSignal,
  connected?: IpamPrograms,
): Promise<readonly string[]> {
  return checkDelegated(
    connected ?? context.ipamPrograms,
    stdin === undefined ? place : { ...place, stdin },
    owner,
    signal,
  );
}

async function allocateHostLocal(
  context: AddressingContext,
  spec: HostLocalSpec,
  owner: IpamOwner,
  signal: AbortSignal,
): Promise<IpamResult> {
  const addresses = await context.reservations.locked(spec.dataDir, owner.network, signal, (folder) => {
    // The note comes first: a crash between the two leaves a note without address, never an address without note.
    context.ownedAddresses.note({
      bootId: context.bootId,
      place: { type: 'host-local', dataDir: spec.dataDir },
      ...owner,
    });
    try {
      return reserveAddresses(folder, spec, owner);
    } catch (error) {
      context.ownedAddresses.forget(owner);
      throw error;
    }
  });
  return { addresses, routes: spec.routes, dns: spec.dns };
}
