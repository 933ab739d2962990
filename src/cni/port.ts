/**
 * What the CNI front end needs from outside: the descriptor and the identity that come with a
 * shim's connection, the engine, and a namespace made of that descriptor. `src/linux` has the real
 * ones, `src/app` hands them in; tests hand in their own.
 */
import type { Socket } from 'node:net';
import type { Namespace } from '../engine/attachments/port.ts';

/** Who is at the other end of a unix socket, as the kernel noted it at `connect` (SO_PEERCRED, unix(7)). */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** The first bytes of a connection, at least one, and the descriptor that came with them (SCM_RIGHTS). */
export interface FirstBytes {
  readonly bytes: Buffer;
  /** Owned by the caller, close-on-exec. Absent when none was passed; more than one are closed. */
  readonly fd?: number;
}

/** Reads what Node's sockets cannot: ancillary data and credentials. */
export interface PeerSocket {
  credentials(socket: Socket): PeerCredentials;
  /**
   * Takes what has arrived off a connection that is paused since `pauseOnConnect`; the rest stays for
   * Node's stream. `undefined` when nothing has.
   */
  receiveNow(socket: Socket): FirstBytes | undefined;
  /** The same, waiting for the first byte. `undefined` when the peer closed without sending. Rejects when the signal aborts. */
  receive(socket: Socket, signal: AbortSignal): Promise<FirstBytes | undefined>;
  /** Sends without waiting for the stream, and answers how many bytes were taken; the stream sends the rest. */
  sendNow(socket: Socket, bytes: Buffer): number;
}

/** `Kernel.adopt`: takes ownership of the descriptor, throws `Invalid` when it is no network namespace. */
export type AdoptSandbox = (fd: number) => Promise<Namespace>;

/** Multus's folder of device-info files; names are of files directly in its folder `cni`. */
export interface DeviceInfoFiles {
  /** The folder above `cni`. */
  readonly root: string;
  /** False when there is one already. Throws `Io`. */
  create(name: string, content: string): boolean;
  remove(name: string): void;
}
