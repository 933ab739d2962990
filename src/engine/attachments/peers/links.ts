/**
 * Links that the reference plugins macvlan, ipvlan, vlan and host-device made before the switch.
 * They keep no state: what the runtime remembers of their ADD is the proof that a link is theirs,
 * and without it the link stays and ends with its sandbox. Addresses go by their content.
 */
import { BerthError, toBerthError } from '../../errors.ts';
import { reservationContent } from '../../ipam/host-local.ts';
import { release } from '../../ipam/index.ts';
import { compareResult } from '../../links/endpoint.ts';
import { asIfName, type IfName } from '../../values.ts';
import type { AttachmentContext } from '../context.ts';
import type { AttachmentKey, CheckRequest, OperationContext } from '../model.ts';
import type { Link, Namespace } from '../port.ts';
import type { Predecessor } from './port.ts';

/** How our own links are marked; never theirs. */
const OWN_ALIAS = 'berth:';
const SOFTWARE: ReadonlySet<string> = new Set(['macvlan', 'ipvlan', 'vlan']);

/** Deletes the link or brings the device home, then releases its addresses. Throws `Busy` (`restore-incomplete`) with what failed. */
export async function deletePredecessor(
  context: AttachmentContext,
  key: AttachmentKey,
  sandbox: Namespace | undefined,
  predecessor: Predecessor,
  operation: OperationContext,
): Promise<void> {
  const problems: string[] = [];
  const attempted = async (what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      problems.push(`${what}: ${toBerthError(error).message}`);
    }
  };
  const link = sandbox === undefined ? undefined : await provenLink(context, key, sandbox, predecessor);
  if (sandbox !== undefined && link !== undefined) {
    context.log.info({ ...key, kind: predecessor.kind }, 'deleting what another plugin attached');
    await attempted(`removing ${key.ifname}`, () =>
      predecessor.kind === 'host-device'
        ? bringBack(context, sandbox, link)
        : sandbox.apply([{ op: 'link.delete', index: link.index }]),
    );
  }
  const { addresses, network } = predecessor;
  if (addresses !== undefined && problems.length === 0) {
    await attempted('releasing its addresses', () =>
      release(context, addresses, { network, ...key }, operation.signal, operation.ipamPrograms).catch(
        (error: unknown) => {
          // Of an ADD that failed because of that: there is nothing to release, and the pod has to go.
          if (!(error instanceof BerthError) || error.reason !== 'ipam-program-missing') throw error;
        },
      ),
    );
  }
  if (problems.length === 0) return;
  throw new BerthError({
    code: 'Busy',
    reason: 'restore-incomplete',
    message: `what another plugin attached to container ${key.containerId} as ${key.ifname} is not gone yet: ${problems.join('; ')}`,
    remedy: 'The runtime sends DEL again.',
  });
}

/** What differs from what the runtime expects; `undefined` when there is nothing of a plugin that Berth replaces. */
export async function checkPredecessor(
  context: AttachmentContext,
  request: CheckRequest,
  predecessor: Predecessor,
  operation: OperationContext,
): Promise<readonly string[] | undefined> {
  const { key, sandbox, expected } = request;
  const link = await provenLink(context, key, sandbox, predecessor);
  if (link === undefined) return undefined;
  const differences = await compareResult(sandbox, link, expected);
  const { addresses, network } = predecessor;
  if (addresses?.type !== 'host-local') return differences;
  const reserved = await context.reservations.locked(addresses.dataDir, network, operation.signal, (folder) =>
    folder.find(reservationContent(key)),
  );
  const missing = expected.addresses
    .map((entry) => entry.address.split('/')[0] ?? '')
    .filter((ip) => !reserved.includes(ip))
    .map((ip) => `${ip} is not reserved for it in ${addresses.dataDir}/${network}`);
  return [...differences, ...missing];
}

/** The link, when it is of the plugin's kind, not ours, and what the runtime remembers; or on the master that it was to be on. */
async function provenLink(
  context: AttachmentContext,
  key: AttachmentKey,
  sandbox: Namespace,
  { kind, mac, master }: Predecessor,
): Promise<Link | undefined> {
  if (sandbox.isHost || kind === undefined) return undefined;
  const link = await sandbox.link({ name: key.ifname });
  if (link === undefined || link.alias?.startsWith(OWN_ALIAS) === true) return undefined;
  if (kind === 'host-device')
    return link.alias !== undefined && mac !== undefined && link.mac === mac ? link : undefined;
  if (!SOFTWARE.has(kind) || link.kind !== kind) return undefined;
  if (mac !== undefined) return link.mac === mac ? link : undefined;
  const uplink = master === undefined ? undefined : await context.kernel.host.link({ name: master });
  return uplink !== undefined && link.parentIndex === uplink.index ? link : undefined;
}

/** The reference plugin leaves a device's own name as its alias. */
async function bringBack(context: AttachmentContext, sandbox: Namespace, link: Link): Promise<void> {
  const name = asIfName(link.alias ?? '');
  const isFree = name !== undefined && (await context.kernel.host.link({ name })) === undefined;
  const home = isFree ? name : await freeName(context, link);
  await sandbox.apply([{ op: 'link.set', index: link.index, up: false, alias: '' }]);
  await sandbox.apply([{ op: 'link.set', index: link.index, moveTo: context.kernel.host, name: home }]);
}

/** Somebody else has its name by now; `eth%d` would be the sandbox's lowest, not the node's. */
async function freeName(context: AttachmentContext, link: Link): Promise<IfName> {
  const stem = (link.alias ?? 'dev').replace(/[^\w-]/g, '').slice(0, 10);
  for (let number = 0; ; number += 1) {
    const name = asIfName(`${stem}_${number}`);
    if (name !== undefined && (await context.kernel.host.link({ name })) === undefined) return name;
  }
}
