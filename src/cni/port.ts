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

/** The first byte of a connection, and the descriptor that came with it (SCM_RIGHTS). */
export interface FirstByte {
  readonly byte: number;
  /** Owned by the caller, close-on-exec. Absent when none was passed; more than one are closed. */
  readonly fd?: number;
}

/** Reads what Node's sockets cannot: ancillary data and credentials. */
export interface PeerSocket {
  credentials(socket: Socket): PeerCredentials;
  /**
   * Takes exactly one byte off a connection that is paused since `pauseOnConnect`, waiting for it if
   * it has not arrived; the rest stays for Node's stream. `undefined` when the peer closed first.
   * Rejects with the signal's reason when it aborts.
   */
  receive(socket: Socket, signal: AbortSignal): Promise<FirstByte | undefined>;
}

/** `Kernel.adopt`: takes ownership of the descriptor, throws `Invalid` when it is no network namespace. */
export type AdoptSandbox = (fd: number) => Promise<Namespace>;
