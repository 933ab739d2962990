/**
 * Calls on descriptors that are not sockets. It is not a replacement for `fs`: only what `fs`
 * cannot do (this thread's namespaces, statfs, flock, ioctl, a write through our own queue).
 */
import { errnoOf } from './errno.ts';
import { checked, declare } from './libc.ts';

/** fcntl.h; the same on x64 and arm64. */
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;

/** linux/magic.h */
export const NSFS_MAGIC = 0x6e736673;

/** linux/nsfs.h, _IO(0xb7, 0x3) */
export const NS_GET_NSTYPE = 0xb703;

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

const openCall = declare('int open(const char *path, int flags)');
const closeCall = declare('int close(int fd)');
const readCall = declare('long read(int fd, uint8_t *buffer, size_t size)');
const writeCall = declare('long write(int fd, const uint8_t *buffer, size_t size)');
const fstatfsCall = declare('int fstatfs(int fd, uint8_t *buffer)');
const flockCall = declare('int flock(int fd, int operation)');
const ioctlCall = declare('int ioctl(int fd, unsigned long request, uint8_t *argument)');

/**
 * Opens on this thread, in this thread's namespaces; the descriptor is closed at exec. Only for
 * nsfs, procfs and devices: a disk or a network file system can block.
 */
export function open(path: string, flags: number): number {
  return checked(openCall.now(path, flags | O_CLOEXEC), 'file.open', path);
}

/**
 * Opens on a thread of the pool, for paths on any file system that somebody else wrote. `undefined`
 * when nothing that can be opened is there: `/proc/<pid>/ns/net` of another pid namespace is some
 * other process here, or a thread of the kernel, which answers EACCES.
 */
export async function openPooledIfReachable(path: string, flags: number): Promise<number | undefined> {
  const fd = await openCall.pooled(undefined, path, flags | O_CLOEXEC);
  if (UNREACHABLE.some((name) => fd === -errnoOf(name))) return undefined;
  return checked(fd, 'file.open', path);
}

const UNREACHABLE = ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ESRCH'] as const;

/** Like `open`; `undefined` when there is no such file. */
export function openIfPresent(path: string, flags: number): number | undefined {
  const fd = openCall.now(path, flags | O_CLOEXEC);
  if (fd === -errnoOf('ENOENT') || fd === -errnoOf('ENOTDIR')) return undefined;
  return checked(fd, 'file.open', path);
}

/** Closes on this thread: for descriptors whose close never blocks (not AF_PACKET sockets). */
export function close(fd: number): void {
  checked(closeCall.now(fd), 'file.close', `descriptor ${fd}`);
}

/** Closes on a thread, not urgently: for packet sockets, whose close waits 8 to 16 ms for the kernel. */
export async function closeLater(fd: number): Promise<void> {
  checked(await closeCall.later(fd), 'file.close', `descriptor ${fd}`);
}

/** Reads what there is, up to `buffer`'s length, on this thread; answers the number of bytes. */
export function read(fd: number, buffer: Uint8Array): number {
  return checked(readCall.now(fd, buffer, buffer.length), 'file.read', `descriptor ${fd}`);
}

/** Writes on this thread; answers the number of bytes taken. */
export function write(fd: number, buffer: Uint8Array): number {
  return checked(writeCall.now(fd, buffer, buffer.length), 'file.write', `descriptor ${fd}`);
}

/** Writes on a thread of the pool: some sysctls wait for RTNL. */
export async function writePooled(fd: number, buffer: Uint8Array, op: string, target: string): Promise<number> {
  return checked(await writeCall.pooled(undefined, fd, buffer, buffer.length), op, target);
}

/** The magic number of the file system behind a descriptor (statfs.f_type, linux/magic.h). */
export function fileSystemType(fd: number): number {
  const buffer = Buffer.alloc(120);
  checked(fstatfsCall.now(fd, buffer), 'file.statfs', `descriptor ${fd}`);
  return buffer.readUInt32LE(0);
}

/**
 * Takes an flock without waiting; false when another holder has it. A blocking lock on the pool
 * would take a thread away from the holder that has to release it.
 */
export function tryLock(fd: number, kind: 'shared' | 'exclusive' = 'exclusive'): boolean {
  const result = flockCall.now(fd, (kind === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB);
  if (result === -errnoOf('EAGAIN')) return false;
  checked(result, 'file.lock', `descriptor ${fd}`);
  return true;
}

/** Releases an flock; closing the descriptor does the same. */
export function unlock(fd: number): void {
  checked(flockCall.now(fd, LOCK_UN), 'file.unlock', `descriptor ${fd}`);
}

/** `ioctl` on this thread with an optional structure; answers its result. Throws with `op` and `target`. */
export function ioctl(fd: number, request: number, argument: Uint8Array | null, op: string, target: string): number {
  return checked(ioctlCall.now(fd, request, argument), op, target);
}

/** `ioctl` on a thread of the pool: ethtool's takes RTNL and may ask firmware. */
export async function ioctlPooled(
  fd: number,
  request: number,
  argument: Uint8Array,
  op: string,
  target: string,
): Promise<number> {
  return checked(await ioctlCall.pooled(undefined, fd, request, argument), op, target);
}
