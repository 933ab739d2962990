/**
 * IPAM plugins that Berth executes instead of being them: everything that is neither host-local nor
 * static. Their section of the configuration is theirs; only `type` is looked at.
 */
import { forwardDelegated, MOST_INPUT_BYTES } from '../engine/ipam/delegated.ts';
import type { DelegatedSpec } from '../engine/ipam/model.ts';
import type { IpamPrograms } from '../engine/ipam/port.ts';
import type { ConfigProblem } from './config.ts';
import type { ShimRequest } from './protocol.ts';

/** What Berth gives out itself; `''` is no IPAM. */
const BUILT_IN: ReadonlySet<unknown> = new Set(['host-local', 'static', '', undefined]);
/** A name, as in `valid_program_name` of src/shim/delegate.c: never a path. */
const PROGRAM_NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$/;

type Fields = Readonly<Record<string, unknown>>;

/** The fields without what an IPAM plugin of somebody else's reads. */
export function withoutForeignIpam(fields: Fields): Fields {
  const type = ipamType(fields);
  return BUILT_IN.has(type) ? fields : { ...fields, ipam: { type } };
}

/** The program of a configuration, or `undefined` when Berth gives the addresses itself. Wrong names go to `problems`. */
export function parseDelegatedIpam(
  fields: Fields,
  call: ShimRequest,
  problems: ConfigProblem[],
): DelegatedSpec | undefined {
  const program = ipamType(fields);
  if (BUILT_IN.has(program) || typeof program !== 'string') return undefined;
  if (!PROGRAM_NAME.test(program)) {
    problems.push({
      path: 'ipam.type',
      message: `${JSON.stringify(program.slice(0, 120))} is no name of an IPAM plugin (letters, digits, ".", "_", "-")`,
    });
  }
  if (call.stdin.length > MOST_INPUT_BYTES) {
    problems.push({
      path: 'ipam.type',
      message: `a configuration for ${program} has at most ${MOST_INPUT_BYTES} bytes, and this one ${call.stdin.length}`,
    });
  }
  return {
    type: 'delegated',
    program,
    stdin: call.stdin.toString('utf8'),
    cniPath: call.environment.get('CNI_PATH') ?? '',
    cniArgs: call.environment.get('CNI_ARGS') ?? '',
  };
}

/** Hands a GC or STATUS on to the network's IPAM program, if it has one. Throws what the program answers. */
export async function forwardToIpam(
  command: 'GC' | 'STATUS',
  fields: Fields,
  call: ShimRequest & { readonly ipamPrograms?: IpamPrograms },
  signal: AbortSignal,
): Promise<void> {
  const problems: ConfigProblem[] = [];
  const spec = parseDelegatedIpam(fields, call, problems);
  if (spec === undefined || problems.length > 0 || call.ipamPrograms === undefined) return;
  await forwardDelegated(call.ipamPrograms, command, spec, signal);
}

function ipamType(fields: Fields): unknown {
  const { ipam } = fields;
  return typeof ipam === 'object' && ipam !== null ? Reflect.get(ipam, 'type') : undefined;
}
