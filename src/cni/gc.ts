/** GC, with the list of attachments that the runtime still has (CNI specification 1.1.0, "GC: Clean up any stale resources"). */
import type { AttachmentKey, OperationContext } from '../engine/attachments/model.ts';
import { BerthError, toBerthError } from '../engine/errors.ts';
import { asContainerId, asIfName } from '../engine/values.ts';
import { type ConfigProblem, invalidConfig, parseName } from './config.ts';
import { forwardToIpam } from './delegated-ipam.ts';
import { type Request, timed } from './request.ts';

const KEY = 'cni.dev/valid-attachments';

/**
 * `undefined` without the key: runtimes leave an empty list out, and whoever leaves it out by mistake
 * must not lose everything. Throws code 7 for a list that cannot be read whole, since what is missing
 * in it would be removed.
 */
function parseValidAttachments(fields: Readonly<Record<string, unknown>>): readonly AttachmentKey[] | undefined {
  const list = fields[KEY];
  if (list === undefined || list === null) return undefined;
  if (!Array.isArray(list)) throw invalidConfig([{ path: KEY, message: 'it is no list' }]);
  const problems: ConfigProblem[] = [];
  const keys = list.flatMap((entry: unknown, at): AttachmentKey[] => {
    const { containerID, ifname: name } = Object(entry) as { containerID?: unknown; ifname?: unknown };
    const containerId = typeof containerID === 'string' ? asContainerId(containerID) : undefined;
    const ifname = typeof name === 'string' ? asIfName(name) : undefined;
    if (containerId !== undefined && ifname !== undefined) return [{ containerId, ifname }];
    problems.push({ path: `${KEY}.${at}`, message: 'it needs a containerID and an ifname' });
    return [];
  });
  if (problems.length > 0) throw invalidConfig(problems);
  return keys;
}

/** Removes what is not valid and hands GC on; both are done, whatever becomes of the other. Of two failures the error tells both, as the first. */
export async function gc({ call, decoded, options, progress }: Request, context: OperationContext): Promise<string> {
  const network = parseName(decoded.fields);
  const valid = parseValidAttachments(decoded.fields);
  const outcomes = await timed(progress, () =>
    Promise.allSettled([
      valid === undefined ? undefined : options.attachments.keepValid(network, valid, context),
      forwardToIpam('GC', decoded.fields, call, context.signal),
    ]),
  );
  const failures = outcomes.flatMap((each) => (each.status === 'rejected' ? [toBerthError(each.reason)] : []));
  const [first, second] = failures;
  if (first === undefined) return '';
  if (second === undefined) throw first;
  throw new BerthError({
    code: first.code,
    reason: first.reason,
    message: `${first.message}; ${second.message}`,
    ...(first.remedy === undefined ? {} : { remedy: first.remedy }),
    cause: first,
  });
}
