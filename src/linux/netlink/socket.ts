/**
 * A netlink socket: opened in a namespace that it keeps, messages out, datagrams in. It knows no
 * message but their headers; `client.ts` makes requests of it.
 * To debug: `strace -e trace=sendto,recvfrom -p PID` decodes what goes through.
 */
import { BerthError } from '../../engine/errors.ts';
import {
  AF_NETLINK,
  bind,
  close,
  errnoOf,
  errorFromErrno,
  getsockopt,
  insideNamespace,
  MSG_DONTWAIT,
  MSG_TRUNC,
  recvfrom,
  recvfromPooled,
  SO_NETNS_COOKIE,
  SO_RCVBUFFORCE,
  SOCK_RAW,
  SOL_SOCKET,
  sendto,
  sendtoPooled,
  setsockoptInt,
  socket,
} from '../ffi/index.ts';
import { malformed } from './wire/attribute.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_KOBJECT_UEVENT = 15;
export const NETLINK_GENERIC = 16;

const SOL_NETLINK = 270;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
/** struct sockaddr_nl: family, pad, pid, groups. */
const SOCKADDR_NL_BYTES = 12;

/** Where a socket is opened: `inside` entered and left again, or where the thread is when absent. */
export interface SocketPlace {
  readonly inside: number;
  readonly home: number;
}

/** Does a system call on this thread or on one of the pool, and answers its result. */
export type ChooseThread = (here: () => number, pooled: () => Promise<number>) => number | Promise<number>;

/**
 * Shared by all sockets: a datagram is copied out before anything else can run. Larger than any that
 * is no dump's: the largest attribute, a list of VFs, has 64 KiB.
 */
const scratch = Buffer.alloc(256 * 1024);
const source = Buffer.alloc(SOCKADDR_NL_BYTES);

function openSocket(protocol: number): number {
  return socket(AF_NETLINK, SOCK_RAW, protocol);
}

export class NetlinkSocket {
  readonly descriptor: number;
  #open = true;
  #isStrict = false;

  private constructor(descriptor: number) {
    this.descriptor = descriptor;
  }

  /** For requests, with the kernel's own words in answers. */
  static open(protocol: number, place?: SocketPlace): NetlinkSocket {
    const open = (): number => openSocket(protocol);
    const fd = place === undefined ? open() : insideNamespace<number>(place.inside, place.home, open);
    try {
      setsockoptInt(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    } catch (error) {
      close(fd);
      throw error;
    }
    return new NetlinkSocket(fd);
  }

  /** For notifications of the given groups (a bit mask, group n is bit n - 1), with room for bursts. */
  static subscribe(protocol: number, groups: number, receiveBytes: number): NetlinkSocket {
    const fd = openSocket(protocol);
    try {
      setsockoptInt(fd, SOL_SOCKET, SO_RCVBUFFORCE, receiveBytes);
      const address = Buffer.alloc(SOCKADDR_NL_BYTES);
      address.writeUInt16LE(AF_NETLINK, 0);
      address.writeUInt32LE(groups, 8);
      bind(fd, address);
    } catch (error) {
      close(fd);
      throw error;
    }
    return new NetlinkSocket(fd);
  }

  /** From now on the kernel heeds every field of a dump's request, instead of listing what was not asked for. */
  beStrict(): void {
    if (this.#isStrict) return;
    setsockoptInt(this.descriptor, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
    this.#isStrict = true;
  }

  /** SO_NETNS_COOKIE of the namespace it is in, as decimal text. */
  namespaceCookie(): string {
    const value = Buffer.alloc(8);
    getsockopt(this.descriptor, SOL_SOCKET, SO_NETNS_COOKIE, value);
    return value.readBigUInt64LE(0).toString();
  }

  /** Sends, on the thread that `choose` chooses: the kernel does the work of a request inside `send`. */
  async send(messages: Buffer, op: string, choose: ChooseThread): Promise<void> {
    const sent = await choose(
      () => sendto(this.descriptor, messages, 0, null),
      () => sendtoPooled(this.descriptor, messages, 0, null),
    );
    if (sent < 0) throw errorFromErrno(-sent, op);
    if (sent !== messages.length) throw malformed(`${sent} of ${messages.length} bytes were sent`);
  }

  /**
   * The next datagram that waits; `undefined` when none does, `'overrun'` when
   * the kernel had to drop some (ENOBUFS). What did not come from the kernel is passed over.
   */
  receive(): Buffer | 'overrun' | undefined {
    for (;;) {
      const size = recvfrom(this.descriptor, scratch, MSG_TRUNC | MSG_DONTWAIT, source);
      if (size === -errnoOf('EINTR')) continue;
      if (size === -errnoOf('EAGAIN')) return undefined;
      if (size === -errnoOf('ENOBUFS')) return 'overrun';
      if (size < 0) throw errorFromErrno(-size, 'netlink.receive');
      if (!isFromKernel(source)) continue;
      if (size > scratch.length) throw malformed(`datagram of ${size} bytes`);
      return Buffer.from(scratch.subarray(0, size));
    }
  }

  /**
   * The next datagram of a dump. Taking one makes the kernel fill the next, under RTNL, so `choose`
   * chooses the thread. Answers the datagram's size; more than `buffer` holds means that it was cut off.
   */
  async receiveDump(buffer: Buffer, op: string, choose: ChooseThread): Promise<number> {
    const from = Buffer.alloc(SOCKADDR_NL_BYTES);
    const flags = MSG_TRUNC | MSG_DONTWAIT;
    for (;;) {
      const size = await choose(
        () => recvfrom(this.descriptor, buffer, flags, from),
        () => recvfromPooled(this.descriptor, buffer, flags, from),
      );
      if (size === -errnoOf('EINTR')) continue;
      if (size < 0) throw errorFromErrno(-size, op);
      if (isFromKernel(from)) return size;
    }
  }

  close(): void {
    if (!this.#open)
      throw new BerthError({ code: 'Internal', reason: 'closed-twice', message: 'netlink socket closed twice' });
    this.#open = false;
    close(this.descriptor);
  }
}

/** nl_pid 0 is the kernel; any process may send to a netlink socket. */
function isFromKernel(address: Buffer): boolean {
  return address.readUInt16LE(0) === AF_NETLINK && address.readUInt32LE(4) === 0;
}
