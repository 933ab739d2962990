/**
 * Sockets that Node does not offer: netlink, packet, and messages that carry descriptors.
 * Addresses and structures are plain buffers, laid out by the callers.
 */
import { errnoOf } from './errno.ts';
import { addressOf, checked, declare } from './libc.ts';

/** bits/socket.h, linux/socket.h; the same on x64 and arm64. */
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_PEERCRED = 17;
export const SO_RCVBUFFORCE = 33;
export const SO_NETNS_COOKIE = 71;
export const SCM_RIGHTS = 1;
export const MSG_CTRUNC = 0x8;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_CMSG_CLOEXEC = 0x40000000;

const socketCall = declare('int socket(int domain, int type, int protocol)');
const bindCall = declare('int bind(int fd, const uint8_t *address, uint32_t length)');
const sendtoCall = declare(
  'long sendto(int fd, const uint8_t *buffer, size_t size, int flags, const uint8_t *address, uint32_t length)',
);
const recvfromCall = declare(
  'long recvfrom(int fd, uint8_t *buffer, size_t size, int flags, uint8_t *address, uint8_t *length)',
);
const recvmsgCall = declare('long recvmsg(int fd, uint8_t *header, int flags)');
const getsockoptCall = declare('int getsockopt(int fd, int level, int name, uint8_t *value, uint8_t *length)');
const setsockoptCall = declare('int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)');

/** A new socket in this thread's network namespace, closed at exec. */
export function socket(domain: number, type: number, protocol: number): number {
  return checked(socketCall.now(domain, type | SOCK_CLOEXEC, protocol), 'socket.open', `family ${domain}`);
}

export function bind(fd: number, address: Uint8Array): void {
  checked(bindCall.now(fd, address, address.length), 'socket.bind', `descriptor ${fd}`);
}

/** Sends on this thread: only where the kernel's work is short and takes no lock that may be busy. Answers bytes or `-errno`. */
export function sendto(fd: number, message: Uint8Array, flags: number, address: Uint8Array | null): number {
  return sendtoCall.now(fd, message, message.length, flags, address, address === null ? 0 : address.length);
}

/** Sends on a thread of the pool; `message` must not change until then. Answers bytes or `-errno`. */
export function sendtoPooled(
  fd: number,
  message: Uint8Array,
  flags: number,
  address: Uint8Array | null,
  signal?: AbortSignal,
): Promise<number> {
  const length = address === null ? 0 : address.length;
  return sendtoCall.pooled(signal, fd, message, message.length, flags, address, length);
}

const sourceLength = Buffer.alloc(4);

/**
 * Receives on this thread; `flags` must hold MSG_DONTWAIT. With MSG_TRUNC the answer is the
 * datagram's whole length. `source` receives the sender's address. Answers bytes or `-errno`.
 */
export function recvfrom(fd: number, buffer: Uint8Array, flags: number, source: Uint8Array): number {
  sourceLength.writeUInt32LE(source.length, 0);
  return recvfromCall.now(fd, buffer, buffer.length, flags, source, sourceLength);
}

/** Like `recvfrom` on a thread of the pool: reading on in a netlink dump makes the kernel work, under RTNL. */
export function recvfromPooled(
  fd: number,
  buffer: Uint8Array,
  flags: number,
  source: Uint8Array,
  signal?: AbortSignal,
): Promise<number> {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(source.length, 0);
  return recvfromCall.pooled(signal, fd, buffer, buffer.length, flags, source, length);
}

/** Reads an option into `value`, which has the option's exact size. Throws what the kernel says. */
export function getsockopt(fd: number, level: number, name: number, value: Uint8Array): void {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length, 0);
  checked(getsockoptCall.now(fd, level, name, value, length), 'socket.get-option', `${level}/${name}`);
}

/** Sets an option that is an `int`. Throws what the kernel says. */
export function setsockoptInt(fd: number, level: number, name: number, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value, 0);
  checked(setsockoptCall.now(fd, level, name, bytes, bytes.length), 'socket.set-option', `${level}/${name}`);
}

/** Bytes of struct msghdr (bits/socket.h): name, namelen, iov, iovlen, control, controllen, flags. */
const MSGHDR_BYTES = 56;
/** Bytes of struct cmsghdr: len, level, type. */
const CMSGHDR_BYTES = 16;
/** SCM_MAX_FD of net/scm.h: what one message can carry. */
const MOST_DESCRIPTORS = 253;

export interface ReceivedMessage {
  readonly bytes: Buffer;
  /** Now owned by the caller; closed at exec. */
  readonly descriptors: readonly number[];
  /** The control data did not fit (MSG_CTRUNC). */
  readonly truncated: boolean;
}

interface ReceiveMemory {
  readonly data: Buffer;
  readonly control: Buffer;
  readonly iov: Buffer;
  readonly header: Buffer;
}

/** Shared, and made once: what came is copied out before anything else can run. */
let receiveMemory: ReceiveMemory | undefined;

function memoryFor(bytes: number): ReceiveMemory {
  if (receiveMemory !== undefined && receiveMemory.data.length >= bytes) return receiveMemory;
  const data = Buffer.alloc(bytes);
  const control = Buffer.alloc(CMSGHDR_BYTES + MOST_DESCRIPTORS * 4 + 4);
  const iov = Buffer.alloc(16);
  iov.writeBigUInt64LE(addressOf(data), 0);
  const header = Buffer.alloc(MSGHDR_BYTES);
  header.writeBigUInt64LE(addressOf(iov), 16);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(addressOf(control), 32);
  receiveMemory = { data, control, iov, header };
  return receiveMemory;
}

/**
 * Receives up to `mostBytes` from a stream socket with the descriptors sent along, without waiting;
 * `undefined` when nothing has arrived yet. No bytes means that the peer has closed.
 */
export function receiveMessage(fd: number, mostBytes: number): ReceivedMessage | undefined {
  const { data, control, iov, header } = memoryFor(mostBytes);
  iov.writeBigUInt64LE(BigInt(mostBytes), 8);
  // The kernel writes here how much came.
  header.writeBigUInt64LE(BigInt(control.length), 40);
  const got = recvmsgCall.now(fd, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got === -errnoOf('EAGAIN')) return undefined;
  checked(got, 'socket.receive', `descriptor ${fd}`);
  const controlLength = Number(header.readBigUInt64LE(40));
  return {
    bytes: Buffer.from(data.subarray(0, got)),
    descriptors: descriptorsIn(control.subarray(0, controlLength)),
    truncated: (header.readInt32LE(48) & MSG_CTRUNC) !== 0,
  };
}

/** The descriptors in control data (cmsg(3)): every SCM_RIGHTS message, each padded to eight bytes. */
export function descriptorsIn(control: Buffer): number[] {
  const found: number[] = [];
  for (let at = 0; at + CMSGHDR_BYTES <= control.length; ) {
    const length = Number(control.readBigUInt64LE(at));
    if (length < CMSGHDR_BYTES || at + length > control.length) break;
    if (control.readInt32LE(at + 8) === SOL_SOCKET && control.readInt32LE(at + 12) === SCM_RIGHTS) {
      for (let fd = at + CMSGHDR_BYTES; fd + 4 <= at + length; fd += 4) found.push(control.readInt32LE(fd));
    }
    at += (length + 7) & ~7;
  }
  return found;
}
