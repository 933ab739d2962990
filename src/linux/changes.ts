/**
 * Notifications of the kernel as hints for the inventory: uevents, links, addresses, default
 * routes, and namespaces that died.
 *
 * How it waits: a netlink descriptor cannot join Node's event loop, so one thread of the pool
 * sleeps in `poll` for all sockets and an eventfd that ends it. Measured beside a Worker that does
 * the same: the Worker costs 15 MiB resident, the thread less than 1;
 * SIGIO would cost no thread, but a signal that comes after its handler was removed ends the
 * process. The process cannot exit while a thread of the pool sleeps, hence the 'exit' listener.
 */

import { setTimeout as pause } from 'node:timers/promises';
import type { ChangeHint, ChangeSource } from '../engine/inventory/port.ts';
import { hintsOfUevent, type Notice, noticeOfMessage } from './change-hints.ts';
import { close, eventDescriptor, waitReadable, write } from './ffi/index.ts';
import { NETLINK_KOBJECT_UEVENT, NETLINK_ROUTE, NetlinkSocket } from './netlink/socket.ts';
import { readUevent } from './netlink/uevent.ts';
import { readMessages } from './netlink/wire/message.ts';

/** RTNLGRP_* (linux/rtnetlink.h): LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE, NSID. */
const GROUPS = [1, 5, 7, 9, 11, 28].reduce((mask, group) => (mask | (1 << (group - 1))) >>> 0, 0);
/** The kernel's own group of uevents; group 2 is udev's. */
const KERNEL_UEVENTS = 1;
/** 256 VFs made at once send about 2,000 uevents of 1.5 KiB with overhead. */
const RECEIVE_BYTES = 4 * 1024 * 1024;
/** Datagrams taken before others on the event loop have their turn. */
const MOST_PER_TURN = 128;
const RETRY_MS = 1000;
/** Between two wake-ups: notifications come in bursts, and each hop to the thread and back costs more than reading one. */
const GATHER_MS = 5;

type OnHint = (hint: ChangeHint) => void;
type OnGone = (nsid: number) => void;

/** The namespace it listens in is that of the thread that calls `start`. */
export function createChangeSource(): ChangeSource {
  return {
    async start(onHint, onNamespaceGone) {
      const listener = new Listener(onHint, onNamespaceGone);
      listener.open();
      return () => listener.stop();
    },
  };
}

class Listener {
  readonly #onHint: OnHint;
  readonly #onGone: OnGone;
  #sockets: { readonly route: NetlinkSocket; readonly uevent: NetlinkSocket; readonly wake: number } | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;
  readonly #overrun = new Set<NetlinkSocket>();
  #retry: NodeJS.Timeout | undefined;
  readonly #wakeUp = (): void => {
    if (this.#sockets === undefined) return;
    const one = Buffer.alloc(8);
    one.writeBigUInt64LE(1n, 0);
    write(this.#sockets.wake, one);
  };

  constructor(onHint: OnHint, onGone: OnGone) {
    this.#onHint = onHint;
    this.#onGone = onGone;
  }

  open(): void {
    const route = NetlinkSocket.subscribe(NETLINK_ROUTE, GROUPS, RECEIVE_BYTES);
    let uevent: NetlinkSocket | undefined;
    try {
      uevent = NetlinkSocket.subscribe(NETLINK_KOBJECT_UEVENT, KERNEL_UEVENTS, RECEIVE_BYTES);
      this.#sockets = { route, uevent, wake: eventDescriptor() };
    } catch (error) {
      route.close();
      uevent?.close();
      throw error;
    }
    process.once('exit', this.#wakeUp);
    this.#running = this.#listen();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retry);
    this.#wakeUp();
    await this.#running;
  }

  async #listen(): Promise<void> {
    const sockets = this.#sockets;
    if (sockets === undefined) return;
    const { route, uevent, wake } = sockets;
    let failure: unknown;
    try {
      while (!this.#stopped) {
        const ready = await waitReadable([route.descriptor, uevent.descriptor, wake], this.#overrun.size > 0 ? 0 : -1);
        if (ready.includes(wake)) break;
        if (ready.includes(route.descriptor) || this.#overrun.has(route)) this.#drain(route, noticesOfRoute);
        if (ready.includes(uevent.descriptor) || this.#overrun.has(uevent)) this.#drain(uevent, noticesOfUevent);
        if (this.#overrun.size === 0) await pause(GATHER_MS);
      }
    } catch (error) {
      failure = error;
    }
    process.off('exit', this.#wakeUp);
    this.#sockets = undefined;
    this.#overrun.clear();
    route.close();
    uevent.close();
    close(wake);
    if (failure !== undefined) this.#reopenLater(failure);
  }

  /** Notifications were lost from here to the next `open`: everything has to be read again then. */
  #reopenLater(failure: unknown): void {
    if (this.#stopped) return;
    this.#retry = setTimeout(() => {
      try {
        this.open();
        this.#tell({ kind: 'hint', hint: { kind: 'all', why: `notifications had stopped: ${String(failure)}` } });
      } catch (error) {
        this.#reopenLater(error);
      }
    }, RETRY_MS);
  }

  /**
   * After an overrun the kernel drops everything, silently, until the socket has been read empty:
   * only from then on a full read misses nothing.
   */
  #drain(socket: NetlinkSocket, read: (datagram: Buffer) => readonly Notice[]): void {
    for (let taken = 0; taken < MOST_PER_TURN; taken++) {
      const datagram = socket.receive();
      if (datagram === 'overrun') this.#overrun.add(socket);
      else if (datagram !== undefined) for (const notice of readOrAll(read, datagram)) this.#tell(notice);
      else {
        if (this.#overrun.delete(socket)) {
          this.#tell({ kind: 'hint', hint: { kind: 'all', why: 'the kernel dropped notifications (ENOBUFS)' } });
        }
        return;
      }
    }
  }

  #tell(notice: Notice): void {
    if (this.#stopped) return;
    if (notice.kind === 'hint') this.#onHint(notice.hint);
    else this.#onGone(notice.nsid);
  }
}

function noticesOfRoute(datagram: Buffer): readonly Notice[] {
  return readMessages(datagram)
    .map(noticeOfMessage)
    .filter((notice) => notice !== undefined);
}

function noticesOfUevent(datagram: Buffer): readonly Notice[] {
  return hintsOfUevent(readUevent(datagram)).map((hint) => ({ kind: 'hint', hint }));
}

/** A notification that cannot be read still says that something has changed. */
function readOrAll(read: (datagram: Buffer) => readonly Notice[], datagram: Buffer): readonly Notice[] {
  try {
    return read(datagram);
  } catch (error) {
    return [{ kind: 'hint', hint: { kind: 'all', why: `a notification could not be read: ${String(error)}` } }];
  }
}
