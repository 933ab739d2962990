/** Taking away a link that Berth made: it is deleted where it is, by proof of ownership only, and dies with its sandbox otherwise. */
import type { Link, Namespace } from '../attachments/port.ts';
import { toBerthError } from '../errors.ts';
import type { LinkContext, OwnershipMarks, RestoreInput, RestoreOutcome } from './link-driver.ts';
import { isOurs } from './ownership.ts';

/** Deletes our link of that kind from the sandbox. Idempotent; a foreign link of the same name is left alone. */
export async function deleteOwnLink(
  context: LinkContext,
  kind: 'macvlan' | 'ipvlan',
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
