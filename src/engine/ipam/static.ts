/** The static plugin's addressing: what is written is what is given. */
import { BerthError } from '../errors.ts';
import { asIp, asPrefix } from './ip.ts';
import type { IpamResult, StaticSpec } from './model.ts';

/** Every problem of a static configuration, with its place. */
export function staticProblems(spec: StaticSpec): readonly { readonly path: string; readonly message: string }[] {
  return spec.addresses.flatMap(({ address, gateway }, index) => [
    ...(asPrefix(address) === undefined
      ? [
          {
            path: `addresses[${index}].address`,
            message: `${JSON.stringify(address)} is not an address with prefix length`,
          },
        ]
      : []),
    ...(gateway !== undefined && asIp(gateway) === undefined
      ? [{ path: `addresses[${index}].gateway`, message: `${JSON.stringify(gateway)} is not an IP address` }]
      : []),
  ]);
}

/** The configured addressing. Throws `Invalid` (`addresses-invalid`). */
export function staticAddressing(spec: StaticSpec): IpamResult {
  const problems = staticProblems(spec);
  if (problems.length > 0) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'addresses-invalid',
      message: problems.map((problem) => `${problem.path}: ${problem.message}`).join('; '),
      remedy: 'Write addresses as 10.0.0.2/24.',
    });
  }
  return { addresses: spec.addresses, routes: spec.routes, dns: spec.dns };
}
