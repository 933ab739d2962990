/**
 * A kind of link that the node's kernel does not have: rtnetlink asks for its module by itself
 * (`rtnl-link-<kind>`, net/core/rtnetlink.c), so it is not built, not installed, or kept from loading.
 */
import type { LinkCreate } from '../attachments/port.ts';
import { BerthError } from '../errors.ts';

/** Modules that are called otherwise than their kind. */
const MODULES: Readonly<Partial<Record<LinkCreate['kind'], string>>> = { vlan: '8021q' };

/** The error to throw instead of a failed `link.create`; others come back as they are. */
export function explainMissingKind(error: unknown, kind: LinkCreate['kind']): unknown {
  if (!(error instanceof BerthError) || error.errno !== 'EOPNOTSUPP') return error;
  const module = MODULES[kind] ?? kind;
  return new BerthError({
    code: 'Unsupported',
    reason: 'link-kind-unsupported',
    message: `the kernel of this node makes no ${kind} links: ${error.message}`,
    remedy: `Look at what \`modprobe ${module}\` says on the node; the module is in the kernel's package, or in one of extra modules beside it.`,
    cause: error,
    errno: error.errno,
    ...(error.op === undefined ? {} : { op: error.op }),
    ...(error.extack === undefined ? {} : { extack: error.extack }),
  });
}
