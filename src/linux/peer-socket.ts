/**
 * What Node does not tell about a peer on a unix socket: who it is, and the descriptors it sends.
 *
 * The server has to be made with `pauseOnConnect: true`: libuv then reads nothing until
 * `socket.resume()`, and the first bytes are still in the kernel with the descriptors that belong
 * to them. `socket._handle.fd` is undocumented; it is used here alone, and test/linux/peer-socket
 * fails when a Node release takes it away.
 */
import type { Socket } from 'node:net';
import { setTimeout as after, setImmediate as nextTurn } from 'node:timers/promises';
import { BerthError } from '../engine/errors.ts';
import {
  close,
  getsockopt,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  type ReceivedMessage,
  receiveMessage,
  SO_PEERCRED,
  SOL_SOCKET,
  sendto,
} from './ffi/index.ts';

/** struct ucred (linux/socket.h) of the process that connected, as it was at that moment. */
export interface PeerCredentials {
  /** 0 when the peer is in a PID namespace that cannot be seen from here. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export interface FirstMessage {
  /** Empty when the peer closed without sending. */
  readonly bytes: Buffer;
  /** Owned by the caller, who closes them. */
  readonly descriptors: readonly number[];
}

export interface ReceiveOptions {
  /** How long a peer may take to send its first byte; 2000 ms when absent. */
  readonly timeoutMs?: number;
  /** Descriptors beyond this are closed at once; 1 when absent. */
  readonly mostDescriptors?: number;
  /** Bytes taken at most; what is beyond stays for the stream. 64 KiB when absent. */
  readonly mostBytes?: number;
  readonly signal?: AbortSignal;
}

/** A peer connects and sends in one go: these many turns of the loop cost nothing and usually suffice. */
const EAGER_TURNS = 8;
const MOST_DELAY_MS = 50;

function openDescriptorOf(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}

function descriptorOf(socket: Socket): number {
  const fd = openDescriptorOf(socket);
  if (fd !== undefined) return fd;
  throw new BerthError({
    code: 'Interrupted',
    reason: 'peer-gone',
    message: 'the connection is closed, it has no descriptor any more',
  });
}

/** Who connected (SO_PEERCRED, unix(7)). Throws `Interrupted` when the socket is closed already. */
export function peerCredentials(socket: Socket): PeerCredentials {
  const ucred = Buffer.alloc(12);
  getsockopt(descriptorOf(socket), SOL_SOCKET, SO_PEERCRED, ucred);
  return { pid: ucred.readInt32LE(0), uid: ucred.readUInt32LE(4), gid: ucred.readUInt32LE(8) };
}

/** What has arrived, as {@link receiveWithDescriptors} answers it; `undefined` when nothing has. No bytes mean that the peer has closed. */
export function receiveNow(
  socket: Socket,
  { mostBytes = 64 * 1024, mostDescriptors = 1 }: Pick<ReceiveOptions, 'mostBytes' | 'mostDescriptors'> = {},
): FirstMessage | undefined {
  const message = receiveMessage(descriptorOf(socket), mostBytes);
  return message === undefined ? undefined : withinLimits(message, mostDescriptors);
}

/**
 * The first bytes of a paused connection and the descriptors sent with them (SCM_RIGHTS, unix(7)).
 * Waits on timers, never on a thread, so peers that send nothing cost nothing. The rest of the
 * stream arrives as usual after `socket.resume()`. Throws `Interrupted` when the peer sends nothing
 * in time, when the socket is closed meanwhile or `signal` aborts, and `Invalid` when the
 * descriptors did not fit; nothing stays open then.
 */
export async function receiveWithDescriptors(socket: Socket, options: ReceiveOptions = {}): Promise<FirstMessage> {
  const { timeoutMs = 2000, signal } = options;
  const deadline = performance.now() + timeoutMs;
  for (let attempt = 0; ; attempt++) {
    const message = receiveNow(socket, options);
    if (message !== undefined) return message;
    const left = deadline - performance.now();
    if (left <= 0) {
      throw new BerthError({
        code: 'Interrupted',
        reason: 'peer-silent',
        message: `the peer connected and sent nothing for ${timeoutMs} ms`,
      });
    }
    await pause(attempt, left, signal);
  }
}

/**
 * Gives the peer of an idle connection bytes at once, past Node's stream and its turns of the loop.
 * Answers how many the kernel took: none when it cannot take them now, or the connection has ended,
 * which the stream then finds as well.
 */
export function sendNow(socket: Socket, bytes: Buffer): number {
  const fd = openDescriptorOf(socket);
  // Behind what the stream still has to write.
  if (fd === undefined || socket.writableLength > 0) return 0;
  return Math.max(0, sendto(fd, bytes, MSG_DONTWAIT | MSG_NOSIGNAL, null));
}

async function pause(attempt: number, leftMs: number, signal: AbortSignal | undefined): Promise<void> {
  const options = signal === undefined ? {} : { signal };
  try {
    if (attempt < EAGER_TURNS) await nextTurn(undefined, options);
    else await after(Math.min(2 ** (attempt - EAGER_TURNS), MOST_DELAY_MS, Math.ceil(leftMs)), undefined, options);
  } catch (cause) {
    throw new BerthError({
      code: 'Interrupted',
      reason: 'cancelled',
      message: 'cancelled while waiting for the first message of a peer',
      cause,
    });
  }
}

function withinLimits(message: ReceivedMessage, mostDescriptors: number): FirstMessage {
  const kept = message.truncated ? [] : message.descriptors.slice(0, mostDescriptors);
  for (const fd of message.descriptors.slice(kept.length)) close(fd);
  if (message.truncated) {
    throw new BerthError({
      code: 'Invalid',
      reason: 'too-many-descriptors',
      message: 'the peer sent more descriptors than one message may carry',
    });
  }
  return { bytes: message.bytes, descriptors: kept };
}
