/**
 * A network namespace as the engine sees it (`Namespace` of engine/attachments/port.ts), on the live
 * kernel. It owns one descriptor, and sockets inside that are opened when needed; `close` gives all
 * of them back when the last running request has ended.
 */
import type {
  Link,
  LinkAddress,
  LinkOperation,
  Namespace,
  NamespaceId,
  Route,
  VfState,
} from '../../engine/attachments/port.ts';
import { BerthError } from '../../engine/errors.ts';
import type { IfName, MacAddress } from '../../engine/values.ts';
import {
  AF_PACKET,
  close,
  closeLater,
  errorFromErrno,
  insideNamespace,
  MSG_DONTWAIT,
  SOCK_RAW,
  sendto,
  socket,
} from '../ffi/index.ts';
import { RTM_GETADDR, readAddress, writeAddressDump } from '../netlink/address.ts';
import { type Answer, NetlinkClient, type Request } from '../netlink/client.ts';
import {
  RTEXT_FILTER_SKIP_STATS,
  RTEXT_FILTER_VF,
  RTM_GETLINK,
  RTM_NEWLINK,
  readLink,
  writeLinkDump,
  writeLinkGet,
} from '../netlink/link.ts';
import { type Pace, rtnlPace } from '../netlink/pace.ts';
import { NETLINK_RDMA } from '../netlink/rdma.ts';
import { RTM_GETROUTE, readRoute, writeRouteDump } from '../netlink/route.ts';
import { NETLINK_ROUTE, NetlinkSocket } from '../netlink/socket.ts';
import { readVfList } from '../netlink/vf.ts';
import type { AttributeWriter } from '../netlink/wire/attribute.ts';
import type { Message } from '../netlink/wire/message.ts';
import { announcementFrame } from './announcement.ts';
import { type ArpConflict, probeArp } from './arp-probe.ts';
import { linkView, pick, vfView } from './link-view.ts';
import { requestsFor } from './operations.ts';
import { readSysctl, type SysctlPlace, writeSysctl } from './sysctl.ts';

/** Routes that the kernel keeps for its own addresses. */
const RT_TABLE_LOCAL = 255;
/** struct sockaddr_ll (linux/if_packet.h). */
const SOCKADDR_LL_BYTES = 20;
const HOST_SOCKETS = 16;
/** Six bytes with colons; InfiniBand has twenty. */
const ETHERNET_TEXT = 17;

type LinkRef = { readonly name: string } | { readonly index: number };

export interface NamespaceOptions {
  /** Owned from now on, also when the constructor throws. */
  readonly descriptor: number;
  /** The agent's own namespace; for the host itself the same as `descriptor`. */
  readonly home: number;
  readonly isHost: boolean;
  readonly procRoot: string;
  /** Told of what fails after the answer was given. */
  readonly onLateError: (error: unknown) => void;
}

export class KernelNamespace implements Namespace {
  readonly id: NamespaceId;
  readonly isHost: boolean;
  readonly #client: NetlinkClient;
  readonly #place: SysctlPlace;
  readonly #onLateError: (error: unknown) => void;
  readonly #endOperation: (() => void) | undefined;
  /** The number by which the host knows it, once somebody asked. */
  nsid: number | undefined;
  #users = 1;
  #open = true;

  constructor(options: NamespaceOptions) {
    const { descriptor, home, isHost, procRoot, onLateError } = options;
    this.isHost = isHost;
    this.#place = { inside: descriptor, home, procRoot };
    this.#onLateError = onLateError;
    const place = { inside: descriptor, home };
    let first: NetlinkSocket | undefined;
    try {
      first = NetlinkSocket.open(NETLINK_ROUTE, place);
      this.id = { cookie: first.namespaceCookie() };
    } catch (error) {
      first?.close();
      close(descriptor);
      throw error;
    }
    this.#endOperation = isHost ? undefined : rtnlPace.begin();
    this.#client = new NetlinkClient({
      protocol: NETLINK_ROUTE,
      first,
      mostIdle: isHost ? HOST_SOCKETS : 1,
      place,
    });
  }

  /** For messages that name this namespace; `hold` it until they are sent. */
  get descriptor(): number {
    if (!this.#open) throw closed();
    return this.#place.inside;
  }

  async link(ref: { readonly name: string } | { readonly index: number }): Promise<Link | undefined> {
    const message = await this.#getLink(ref, RTEXT_FILTER_SKIP_STATS, 'quick');
    return message === undefined ? undefined : linkView(readLink(message.payload));
  }

  async links(kind?: string): Promise<readonly Link[]> {
    // A sandbox has a few links, the host hundreds.
    const pace = this.isHost && kind === undefined ? 'slow' : 'quick';
    const fill = (writer: AttributeWriter): void => writeLinkDump(writer, kind);
    const messages = await this.#dump({ type: RTM_GETLINK, op: 'link.list', pace, fill });
    return messages
      .filter(({ type }) => type === RTM_NEWLINK)
      .map(({ payload }) => linkView(readLink(payload)))
      .filter((link) => kind === undefined || link.kind === kind);
  }

  async vfSettings(pfIndex: number, vf: number): Promise<VfState | undefined> {
    const filter = RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS;
    const message = await this.#getLink({ index: pfIndex }, filter, 'slow');
    const settings = message === undefined ? undefined : readVfList(message.payload).settings.get(vf);
    return settings === undefined ? undefined : vfView(settings);
  }

  async addresses(index: number): Promise<readonly LinkAddress[]> {
    const messages = await this.#dumpOfLink({
      type: RTM_GETADDR,
      op: 'address.list',
      target: `link ${index}`,
      fill: (writer) => writeAddressDump(writer, index),
    });
    return messages
      .map(({ payload }) => readAddress(payload))
      .filter((address) => address.ifindex === index)
      .map((address) => pick(address, 'address', 'family', 'scope', 'tentative', 'dadFailed'));
  }

  async routes(index: number): Promise<readonly Route[]> {
    const families = await Promise.all(
      ([4, 6] as const).map((family) =>
        this.#dumpOfLink({
          type: RTM_GETROUTE,
          op: 'route.list',
          target: `link ${index}`,
          fill: (writer) => writeRouteDump(writer, family, index),
        }),
      ),
    );
    return families
      .flat()
      .map(({ payload }) => readRoute(payload))
      .filter((route) => route !== undefined)
      .filter((route) => route.unicast && !route.cached && route.table !== RT_TABLE_LOCAL)
      .flatMap((route) => route.hops.filter((hop) => hop.ifindex === index).map((hop) => ({ ...route, ...hop })))
      .map((route) => pick(route, 'dst', 'gateway', 'mtu', 'advmss', 'priority', 'table', 'scope'));
  }

  async apply(operations: readonly LinkOperation[]): Promise<void> {
    await this.#apply(operations, []);
  }

  async applyAndFind(operations: readonly LinkOperation[], name: IfName, at: Namespace): Promise<Link | undefined> {
    if (!(at instanceof KernelNamespace)) throw foreign();
    // Only the host knows the others by number.
    const nsid = this.isHost ? at.nsid : undefined;
    const ask = nsid === undefined ? [] : [getRequest({ name }, RTEXT_FILTER_SKIP_STATS, 'quick', nsid)];
    const [found] = await this.#apply(operations, ask);
    const message = found === undefined ? undefined : linkMessageIn(found);
    return message === undefined ? await at.link({ name }) : linkView(readLink(message.payload));
  }

  /** Throws the first failure of the operations, else answers what the questions behind them brought. */
  async #apply(operations: readonly LinkOperation[], questions: readonly Request[]): Promise<readonly Answer[]> {
    const others = new Set<KernelNamespace>();
    const descriptorOf = (of: Namespace): number => {
      if (!(of instanceof KernelNamespace)) throw foreign();
      others.add(of);
      return of.descriptor;
    };
    const complete = operations.some(({ op }) => op === 'vf.set')
      ? await Promise.all(operations.map((operation) => this.#withUpperRate(operation)))
      : operations;
    const requests = complete.flatMap((operation) => requestsFor(operation, descriptorOf));
    if (requests.length === 0) return [];
    const leave = [...others].map((other) => other.hold());
    try {
      const answers = await this.batch([...requests, ...questions]);
      const done = answers.slice(0, requests.length);
      const failed = done.find(
        ({ errno }, at) => errno !== undefined && !(errno === 'EEXIST' && requests[at]?.op === 'route.add'),
      );
      const error = failed?.error();
      if (error !== undefined) throw error;
      return answers.slice(requests.length);
    } finally {
      for (const each of leave) each();
    }
  }

  async writeSysctl(path: readonly string[], value: string): Promise<void> {
    await this.#using(() => writeSysctl(this.#place, path, value));
  }

  async readSysctl(path: readonly string[]): Promise<string | undefined> {
    if (!this.#open) throw closed();
    return readSysctl(this.#place, path);
  }

  async announce(index: number, mac: MacAddress, addresses: readonly string[]): Promise<void> {
    const frames = addresses.map((address) => announcementFrame(mac, address));
    if (frames.length === 0) return;
    const { inside, home } = this.#place;
    if (!this.#open) throw closed();
    const target = Buffer.alloc(SOCKADDR_LL_BYTES);
    target.writeUInt16LE(AF_PACKET, 0);
    target.writeInt32LE(index, 4);
    // Protocol 0: it only sends, and receives nothing that it would have to read.
    const fd = insideNamespace<number>(inside, home, () => socket(AF_PACKET, SOCK_RAW, 0));
    try {
      const results = frames.map((frame) => sendto(fd, frame, MSG_DONTWAIT, target));
      const failed = results.find((result) => result < 0);
      if (failed !== undefined) throw errorFromErrno(-failed, 'link.announce', { target: `link ${index}` });
    } finally {
      // Takes 8 to 16 ms: the kernel waits until no packet can be on its way to this socket.
      closeLater(fd).catch(this.#onLateError);
    }
  }

  async probe(index: number, addresses: readonly string[], signal: AbortSignal): Promise<ArpConflict | undefined> {
    if (addresses.length === 0) return undefined;
    const mac = (await this.link({ index }))?.mac;
    // Without an Ethernet address there is no ARP.
    if (mac === undefined || mac.length !== ETHERNET_TEXT) return undefined;
    const { inside, home } = this.#place;
    return this.#using(() => probeArp({ inside, home, index, mac }, addresses, signal, this.#onLateError));
  }

  /** Idempotent. The host's stays open. */
  close(): void {
    if (this.isHost || !this.#open) return;
    this.#open = false;
    this.#leave();
  }

  /** Ends the host's namespace too; for tests and the end of the program. */
  end(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#leave();
  }

  /** A client request in this namespace that the engine's port does not have. */
  request(request: Request): Promise<readonly Message[]> {
    return this.#using(() => this.#client.request(request));
  }

  /** Like `request`, for several in one system call. */
  async batch(requests: readonly Request[]): ReturnType<NetlinkClient['batch']> {
    return this.#using(() => this.#client.batch(requests));
  }

  async #getLink(ref: LinkRef, filter: number, pace: Pace): Promise<Message | undefined> {
    // The kernel refuses both with EINVAL, and such a link does not exist.
    if ('name' in ref ? ref.name === '' : ref.index <= 0) return undefined;
    const [answer] = await this.batch([getRequest(ref, filter, pace)]);
    if (answer === undefined || answer.errno === 'ENODEV') return undefined;
    const error = answer.error();
    if (error !== undefined) throw error;
    return linkMessageIn(answer);
  }

  #dump(request: Request): Promise<readonly Message[]> {
    return this.#using(() => this.#client.dump(request));
  }

  /** A dump that the kernel filters by interface: one that is gone has nothing. */
  async #dumpOfLink(request: Request): Promise<readonly Message[]> {
    try {
      return await this.#dump(request);
    } catch (error) {
      if (error instanceof BerthError && error.errno === 'ENODEV') return [];
      throw error;
    }
  }

  /** The kernel takes both rates in one attribute: a lower one alone keeps the upper one that is set. */
  async #withUpperRate(operation: LinkOperation): Promise<LinkOperation> {
    if (operation.op !== 'vf.set') return operation;
    const { set } = operation;
    if (set.minTxRateMbps === undefined || set.maxTxRateMbps !== undefined) return operation;
    const now = await this.vfSettings(operation.index, operation.vf);
    if (now?.maxTxRateMbps === undefined) return operation;
    return { ...operation, set: { ...set, maxTxRateMbps: now.maxTxRateMbps } };
  }

  async #using<T>(run: () => Promise<T>): Promise<T> {
    const leave = this.hold();
    try {
      return await run();
    } finally {
      leave();
    }
  }

  /** Asks the RDMA subsystem as seen from this namespace, over a socket of its own for that time. */
  async rdma<T>(ask: (client: NetlinkClient) => Promise<T>): Promise<T> {
    const { inside, home } = this.#place;
    return await this.#using(async () => {
      const client = new NetlinkClient({ protocol: NETLINK_RDMA, place: { inside, home } });
      try {
        return await ask(client);
      } finally {
        client.close();
      }
    });
  }

  /** Keeps the descriptors open until the answer's function is called. */
  hold(): () => void {
    if (!this.#open) throw closed();
    this.#users += 1;
    return () => this.#leave();
  }

  #leave(): void {
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#endOperation?.();
    this.#client.close();
    close(this.#place.inside);
  }
}

function getRequest(ref: LinkRef, filter: number, pace: Pace, nsid?: number): Request {
  const target = 'name' in ref ? ref.name : `link ${ref.index}`;
  const fill: Request['fill'] = (writer) => writeLinkGet(writer, ref, filter, nsid);
  return { type: RTM_GETLINK, op: 'link.get', pace, target, fill };
}

function linkMessageIn({ messages }: Answer): Message | undefined {
  return messages.find(({ type }) => type === RTM_NEWLINK);
}

function closed(): BerthError {
  return new BerthError({ code: 'Internal', reason: 'namespace-closed', message: 'the namespace was closed before' });
}

function foreign(): BerthError {
  return new BerthError({
    code: 'Internal',
    reason: 'namespace-foreign',
    message: "an operation names a namespace that is not this kernel's",
  });
}
