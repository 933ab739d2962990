/**
 * Use in a chain: what an earlier plugin answered (`prevResult`) comes out again with this link
 * added (CNI specification, "ADD: Add container to network, or apply modifications"). libcni hands
 * it over in the version of the configuration, and entries keep fields that Berth does not know.
 */
import type { ConfigProblem, NetworkConfig } from './config.ts';
import { MAX_REPLY_BYTES } from './protocol.ts';
import { type CniVersion, traitsOf } from './versions.ts';

type Json = Readonly<Record<string, unknown>>;
type Previous = NonNullable<NetworkConfig['prevResult']>;

/**
 * To be asked before anything is done: what an earlier plugin answered comes out again, and a shim
 * takes no answer above its limit. Half of it is left for what this link adds.
 */
export function requireReturnable(previous: Previous | null | undefined, problems: ConfigProblem[]): void {
  if (previous === undefined || previous === null) return;
  const lengthBytes = Buffer.byteLength(JSON.stringify(previous));
  if (lengthBytes > MAX_REPLY_BYTES / 2) {
    problems.push({
      path: 'prevResult',
      message: `it has ${lengthBytes} bytes, and at most ${MAX_REPLY_BYTES / 2} can be handed on`,
    });
  }
}

/** `own` is the result for this link alone, in the same version. Nothing changes without a previous one. */
export function mergeResults(previous: Previous | null | undefined, own: Json, version: CniVersion): Json {
  if (previous === undefined || previous === null) return own;
  const shape = traitsOf(version).result;
  if (shape === 'ip4-ip6') {
    // No room for a second address of a family: the last plugin's counts.
    return { ...pick(previous, 'ip4', 'ip6', 'dns'), ...own };
  }
  const before = previous.interfaces ?? [];
  const ownIps = entries(own, 'ips').map((ip) => ({
    ...ip,
    ...(typeof ip.interface === 'number' ? { interface: ip.interface + before.length } : {}),
  }));
  const ips = [...(previous.ips ?? []).map((ip) => inShape(ip, shape)), ...ownIps];
  const routes = [...(previous.routes ?? []), ...entries(own, 'routes')];
  return {
    ...own,
    interfaces: [...before, ...entries(own, 'interfaces')],
    ...(ips.length === 0 ? {} : { ips }),
    ...(routes.length === 0 ? {} : { routes }),
    ...('dns' in own ? {} : pick(previous, 'dns')),
  };
}

/** Whether a result of 0.1.0 or 0.2.0 has an address already. */
export function hasOldAddress(previous: Previous | null | undefined): boolean {
  return previous?.ip4 !== undefined || previous?.ip6 !== undefined;
}

/** `ips[].version` exists before 1.0.0 and not from it on. */
function inShape(ip: Json & { readonly address: string }, shape: 'ips-versioned' | 'current'): Json {
  const { version: _dropped, ...rest } = ip;
  return shape === 'current' ? rest : { version: ip.address.includes(':') ? '6' : '4', ...rest };
}

function entries(result: Json, key: string): readonly Json[] {
  const list = result[key];
  return Array.isArray(list) ? list : [];
}

function pick(from: Json, ...keys: readonly string[]): Json {
  return Object.fromEntries(keys.filter((key) => from[key] !== undefined).map((key) => [key, from[key]]));
}
