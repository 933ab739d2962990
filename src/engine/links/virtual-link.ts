/**
 * What links that Berth makes on an uplink share: born in the sandbox under their name, and deleted
 * where they are, by proof of ownership only; they die with their sandbox otherwise.
 */
import type { Link, LinkCreate, Namespace } from '../attachments/port.ts';
import { BerthError, toBerthError } from '../errors.ts';
import { configureEndpoint, nameTaken } from './endpoint.ts';
import type {
  AttachInput,
  LinkContext,
  LinkOutcome,
  OwnershipMarks,
  RestoreInput,
  RestoreOutcome,
} from './link-driver.ts';
import { explainMissingKind } from './missing-kind.ts';
import { isOurs } from './ownership.ts';
import { explainBusyUplink, type MadeKind, type UplinkClaim } from './uplink-conflict.ts';

/** Makes the link with `create`, finds it in the sandbox and configures it. A name that is taken is refused by the kernel. */
export async function makeOwnLink(
  context: LinkContext,
  create: LinkCreate,
  input: AttachInput<unknown, OwnershipMarks & UplinkClaim & { readonly uplinkSandbox?: string }>,
): Promise<LinkOutcome> {
  const { state: made, sandbox } = input;
  const at = made.uplinkSandbox === undefined ? context.kernel.host : sandbox;
  const addressing = await input.addressing();
  let born: Link | undefined;
  try {
    born = await at.applyAndFind([create], create.name, sandbox);
  } catch (error) {
    const holder = toBerthError(error).errno === 'EEXIST' ? await sandbox.link({ name: input.ifname }) : undefined;
    if (holder !== undefined) throw nameTaken(input.ifname, holder.kind);
    const explained = explainMissingKind(error, create.kind);
    throw await explainBusyUplink(at, explained, create.kind, { ...made, uplinkIndex: create.parentIndex });
  }
  if (born === undefined) {
    throw new BerthError({
      code: 'Internal',
      reason: 'link-vanished',
      message: `${create.kind} ${input.ifname} is not in the sandbox it was made in`,
    });
  }
  const configured = await configureEndpoint(context, sandbox, {
    index: born.index,
    ifname: input.ifname,
    alias: made.alias,
    isNamed: true,
    addressing,
    isSoftware: true,
  });
  return {
    hasNetdev: true,
    index: born.index,
    mtu: born.mtu,
    ...(born.mac === undefined ? {} : { mac: born.mac }),
    ...configured,
  };
}

/** Deletes our link of that kind from the sandbox. Idempotent; a foreign link of the same name is left alone. */
export async function deleteOwnLink(
  context: LinkContext,
  kind: MadeKind,
  input: RestoreInput<OwnershipMarks>,
): Promise<RestoreOutcome> {
  const { sandbox, authority, state } = input;
  if (sandbox.state === 'dead') return { detached: true, problems: [] };
  if (sandbox.state === 'unknown') {
    if (authority === 'proof')
      return { detached: false, problems: [`the sandbox cannot be reached and is not proven dead: ${sandbox.why}`] };
    context.log.info(
      { alias: state.alias, why: sandbox.why },
      'the runtime deletes a sandbox that cannot be reached; its links end with it',
    );
    return { detached: true, problems: [] };
  }
  try {
    for (const link of await ownLinks(sandbox.namespace, kind, input)) {
      await sandbox.namespace.apply([{ op: 'link.delete', index: link.index }]);
    }
    return { detached: true, problems: [] };
  } catch (error) {
    const failure = toBerthError(error);
    if (failure.errno === 'ENODEV') return { detached: true, problems: [] };
    return { detached: false, problems: [`deleting the ${kind} failed: ${failure.message}`] };
  }
}

/** Mostly it is where it was put; only a link that is not there has to be looked for under every name. */
async function ownLinks(
  sandbox: Namespace,
  kind: string,
  { state, ifname }: RestoreInput<OwnershipMarks>,
): Promise<readonly Link[]> {
  const expected = await sandbox.link({ name: ifname });
  if (expected !== undefined && isOurs(expected, kind, state)) return [expected];
  return (await sandbox.links()).filter((link) => isOurs(link, kind, state));
}
