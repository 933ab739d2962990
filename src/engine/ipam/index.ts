/** Addressing for an attachment: reserve before the link is made, release after it is gone. */

import { releaseAddresses, reserveAddresses } from './host-local.ts';
import type { HostLocalSpec, IpamOwner, IpamResult, IpamSpec } from './model.ts';
import type { OwnedAddresses, ReservationStore } from './port.ts';
import { staticAddressing } from './static.ts';

export interface AddressingContext {
  readonly reservations: ReservationStore;
  readonly ownedAddresses: OwnedAddresses;
  readonly bootId: string;
}

/** A layer-2 attachment: no address at all. */
export const noAddressing: IpamResult = { addresses: [], routes: [], dns: {} };

/** Reserves addresses. On an error nothing stays reserved and no note stays written. */
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
    default:
      return spec satisfies never;
  }
}

/** Releases what {@link allocate} reserved in that folder, then the note of it. Idempotent. */
export async function release(
  context: AddressingContext,
  dataDir: string,
  owner: IpamOwner,
  signal: AbortSignal,
): Promise<void> {
  await context.reservations.locked(dataDir, owner.network, signal, (folder) => releaseAddresses(folder, owner));
  context.ownedAddresses.forget(owner);
}

async function allocateHostLocal(
  context: AddressingContext,
  spec: HostLocalSpec,
  owner: IpamOwner,
  signal: AbortSignal,
): Promise<IpamResult> {
  const addresses = await context.reservations.locked(spec.dataDir, owner.network, signal, (folder) => {
    // The note comes first: a crash between the two leaves a note without address, never an address without note.
    context.ownedAddresses.note({ bootId: context.bootId, dataDir: spec.dataDir, ...owner });
    try {
      return reserveAddresses(folder, spec, owner);
    } catch (error) {
      context.ownedAddresses.forget(owner);
      throw error;
    }
  });
  return { addresses, routes: spec.routes, dns: spec.dns };
}
