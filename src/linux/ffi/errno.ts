/** From the kernel's error numbers to the project's error (asm-generic/errno.h, errno-base.h). */
import { constants } from 'node:os';
import { BerthError, type ErrorCode } from '../../engine/errors.ts';

/** Several names share a number (EAGAIN and EWOULDBLOCK): the one that the kernel's sources use wins. */
const PREFERRED = ['EAGAIN', 'EOPNOTSUPP', 'EDEADLK'] as const;

const names = new Map<number, string>([
  // Of the kernel's own (include/linux/errno.h); some drivers let it out.
  [524, 'ENOTSUPP'],
]);
for (const [name, number] of Object.entries(constants.errno)) names.set(number, name);
for (const name of PREFERRED) names.set(constants.errno[name], name);

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'NotFound',
  ENODEV: 'NotFound',
  ENXIO: 'NotFound',
  ESRCH: 'NotFound',
  EBUSY: 'Busy',
  EEXIST: 'Busy',
  EAGAIN: 'Busy',
  ETXTBSY: 'Busy',
  EADDRINUSE: 'Busy',
  EINVAL: 'Invalid',
  ERANGE: 'Invalid',
  EADDRNOTAVAIL: 'Invalid',
  ENETUNREACH: 'Invalid',
  EHOSTUNREACH: 'Invalid',
  ENETDOWN: 'Invalid',
  ENAMETOOLONG: 'Invalid',
  ENOTDIR: 'Invalid',
  EISDIR: 'Invalid',
  EMSGSIZE: 'Invalid',
  EOPNOTSUPP: 'Unsupported',
  ENOTSUPP: 'Unsupported',
  ENOSYS: 'Unsupported',
  ENOTTY: 'Unsupported',
  ENOPROTOOPT: 'Unsupported',
  EPROTONOSUPPORT: 'Unsupported',
  EAFNOSUPPORT: 'Unsupported',
  EPERM: 'Denied',
  EACCES: 'Denied',
  EROFS: 'Denied',
  EMFILE: 'Exhausted',
  ENFILE: 'Exhausted',
  ENOBUFS: 'Exhausted',
  ENOMEM: 'Exhausted',
  ENOSPC: 'Io',
  EIO: 'Io',
  EINTR: 'Interrupted',
  ECANCELED: 'Interrupted',
  ETIMEDOUT: 'Interrupted',
};

/** What a person can do where the number alone says it. */
const REMEDIES: Readonly<Record<string, string>> = {
  EPERM:
    'Run the agent as root, or with the capabilities NET_ADMIN (links), SYS_ADMIN (sandboxes) and NET_RAW (announcements).',
};

/** The kernel's name of a positive error number, or `errno N` for one that has none here. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/** The number of an error name; throws for a name the kernel does not have. */
export function errnoOf(name: keyof typeof constants.errno): number {
  return constants.errno[name];
}

/**
 * The error for a positive errno: `op target: ENAME (the kernel's words)`. `reason` is
 * `kernel-` and the errno's name, so that each has one section in the troubleshooting page.
 */
export function errorFromErrno(
  errno: number,
  op: string,
  more: { readonly target?: string; readonly extack?: string } = {},
): BerthError {
  const name = errnoName(errno);
  const words = more.extack === undefined ? '' : ` (${more.extack})`;
  const target = more.target === undefined ? '' : ` ${more.target}`;
  return new BerthError({
    code: CODES[name] ?? 'Io',
    reason: `kernel-${name.toLowerCase().replaceAll(' ', '-')}`,
    message: `${op}${target}: ${name}${words}`,
    op,
    errno: name,
    ...(REMEDIES[name] === undefined ? {} : { remedy: REMEDIES[name] }),
    ...(more.extack === undefined ? {} : { extack: more.extack }),
  });
}
