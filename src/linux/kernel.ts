/**
 * The live kernel behind the engine's port (`Kernel` of engine/attachments/port.ts).
 *
 * It decides nothing: what to do, undo and record is the engine's. To debug: errors carry the
 * kernel's errno and words; `strace -f -e trace=network,setns -p PID` shows each request.
 */
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Kernel, Namespace, PciFunction } from '../engine/attachments/port.ts';
import { BerthError } from '../engine/errors.ts';
import type { PciAddress } from '../engine/values.ts';
import {
  CLONE_NEWNET,
  close,
  fileSystemType,
  ioctl,
  NS_GET_NSTYPE,
  NSFS_MAGIC,
  O_NONBLOCK,
  O_RDONLY,
  open,
  openPooledIfReachable,
} from './ffi/index.ts';
import { RTM_GETNSID, RTM_NEWNSID, readNsid, writeNsidAssign, writeNsidGet } from './netlink/nsid.ts';
import { malformed } from './netlink/wire/attribute.ts';
import { KernelNamespace } from './netns/namespace.ts';
import { createRdma } from './rdma.ts';
import { readNetdevsAt } from './sysfs/netdevs-at.ts';
import { readIncarnation } from './sysfs/pci-function.ts';
import { rebind } from './sysfs/rebind.ts';
import { ownTap, tapOwner } from './tap-device.ts';

export interface KernelOptions {
  /** Where a PCI function stands now; from the sysfs side. */
  readonly pciFunction: (address: PciAddress) => Promise<PciFunction | undefined>;
  /** Where `sys/net` can be written; `/proc` when absent. */
  readonly procRoot?: string;
  /**
   * Told of failures that no answer can carry any more (closing a packet socket after an
   * announcement); a process warning when absent.
   */
  readonly onLateError?: (error: unknown) => void;
}

/** `Kernel` with an end: `close` gives the host's sockets back, for tests and an orderly exit. */
export interface LinuxKernel extends Kernel {
  close(): void;
}

/** Opens the agent's own namespace, on the thread that runs. Throws `Unsupported` where koffi does not load. */
export function createKernel(options: KernelOptions): LinuxKernel {
  const procRoot = options.procRoot ?? '/proc';
  const onLateError = options.onLateError ?? warn;
  const home = open('/proc/thread-self/ns/net', O_RDONLY);
  const host = new KernelNamespace({ descriptor: home, home, isHost: true, procRoot, onLateError });

  const wrap = (descriptor: number): Namespace => {
    const namespace = new KernelNamespace({ descriptor, home, isHost: false, procRoot, onLateError });
    if (namespace.id.cookie !== host.id.cookie) return namespace;
    namespace.close();
    return host;
  };

  return {
    host,
    pciFunction: options.pciFunction,
    incarnation: async (address) => readIncarnation(address),
    netdevsAt: (path) => readNetdevsAt(path),
    rdma: createRdma(host),
    rebind: (address, driver) => rebind(address, driver),
    tapOwner: (index) => tapOwner(index),
    ownTap: (index, owner) => ownTap(index, owner),

    async adopt(fd) {
      try {
        return wrap(fd);
      } catch (cause) {
        // setns(2) says so of whatever else the descriptor is.
        if (!(cause instanceof BerthError) || cause.op !== 'namespace.enter' || cause.errno !== 'EINVAL') throw cause;
        throw new BerthError({
          code: 'Invalid',
          reason: 'sandbox-not-a-namespace',
          message: 'the descriptor that was passed is not a network namespace',
          remedy: 'CNI_NETNS has to be the path of a network namespace that is mounted.',
          cause,
        });
      }
    },

    async open(path) {
      // Not blocking: whatever stands at a path that somebody else wrote, a FIFO for example.
      const fd = await openPooledIfReachable(path, O_RDONLY | O_NONBLOCK);
      if (fd === undefined) return undefined;
      if (isNetworkNamespace(fd)) return wrap(fd);
      close(fd);
      return undefined;
    },

    async nsid(of) {
      if (!(of instanceof KernelNamespace)) throw malformed('the id of a namespace of another kernel');
      const release = of.hold();
      try {
        of.nsid ??= await assignedNsid(host, of.descriptor);
        return of.nsid;
      } finally {
        release();
      }
    },

    async isNamespaceAlive(nsid) {
      if (nsid < 0) return false;
      try {
        await host.request({
          type: RTM_GETNSID,
          op: 'nsid.get',
          pace: 'lock-free',
          target: `nsid ${nsid}`,
          fill: (writer) => writeNsidGet(writer, { nsid }),
        });
        return true;
      } catch (error) {
        if (error instanceof BerthError && error.errno === 'ENOENT') return false;
        throw error;
      }
    },

    cookieOf: async (nsid, beside) => await cookieOf(host, wrap, nsid, dirname(beside)),

    close: () => host.end(),
  };
}

async function assignedNsid(host: KernelNamespace, fd: number): Promise<number> {
  const [assigned, asked] = await host.batch([
    { type: RTM_NEWNSID, op: 'nsid.assign', pace: 'lock-free', fill: (writer) => writeNsidAssign(writer, fd) },
    { type: RTM_GETNSID, op: 'nsid.get', pace: 'lock-free', fill: (writer) => writeNsidGet(writer, { fd }) },
  ]);
  // EEXIST: it has one already.
  const error = (assigned?.errno === 'EEXIST' ? undefined : assigned?.error()) ?? asked?.error();
  if (error !== undefined) throw error;
  const message = asked?.messages[0];
  const nsid = message === undefined ? undefined : readNsid(message.payload);
  if (nsid === undefined) throw malformed('a namespace without an id right after it was assigned one');
  return nsid;
}

/** Runtimes mount all their sandboxes in one folder. */
async function cookieOf(
  host: KernelNamespace,
  wrap: (descriptor: number) => Namespace,
  nsid: number,
  folder: string,
): Promise<string | undefined> {
  for (const name of await filesIn(folder)) {
    const fd = await openPooledIfReachable(join(folder, name), O_RDONLY | O_NONBLOCK);
    if (fd === undefined) continue;
    let isIt = false;
    try {
      isIt = isNetworkNamespace(fd) && (await knownNsid(host, fd)) === nsid;
    } finally {
      if (!isIt) close(fd);
    }
    if (!isIt) continue;
    const namespace = wrap(fd);
    namespace.close();
    return namespace.id.cookie;
  }
  return undefined;
}

/** Namespaces are mounted on files; opening a device can do something. */
async function filesIn(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return [];
    throw error;
  }
}

/** Of a namespace that has one already. */
async function knownNsid(host: KernelNamespace, fd: number): Promise<number | undefined> {
  const [message] = await host.request({
    type: RTM_GETNSID,
    op: 'nsid.get',
    pace: 'lock-free',
    target: `descriptor ${fd}`,
    fill: (writer) => writeNsidGet(writer, { fd }),
  });
  return message === undefined ? undefined : readNsid(message.payload);
}

function isNetworkNamespace(fd: number): boolean {
  if (fileSystemType(fd) !== NSFS_MAGIC) return false;
  return ioctl(fd, NS_GET_NSTYPE, null, 'namespace.type', `descriptor ${fd}`) === CLONE_NEWNET;
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}
