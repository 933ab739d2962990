/**
 * Duplicate address detection for IPv4: ARP probes and what answers them (RFC 5227, section 2.1.1).
 * The frames and their reading are pure; the socket is the caller's namespace's. Quicker than the
 * RFC, which allows for hosts that come back from a power failure all at once.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { asMacAddress, type MacAddress } from '../../engine/values.ts';
import {
  AF_INET,
  AF_PACKET,
  bind,
  closeLater,
  errnoOf,
  errorFromErrno,
  insideNamespace,
  MSG_DONTWAIT,
  recvfrom,
  SOCK_RAW,
  sendto,
  socket,
} from '../ffi/index.ts';
import { macToBytes } from '../netlink/hardware-address.ts';
import { ipToBytes } from '../netlink/ip-address.ts';

const PROBES = 3;
const PROBE_PAUSE_MS = 100;
/** After the last probe. */
const ANSWER_WAIT_MS = 250;
const LOOK_EVERY_MS = 10;

const ETH_P_ARP = 0x0806;
const ETHERNET_BYTES = 14;
const ARP_BYTES = 28;
/** struct sockaddr_ll (linux/if_packet.h). */
const SOCKADDR_LL_BYTES = 20;
const MOST_FRAMES_AT_ONCE = 256;

export interface ArpConflict {
  readonly address: string;
  readonly mac: MacAddress;
}

export interface ProbePlace {
  readonly inside: number;
  readonly home: number;
  readonly index: number;
  readonly mac: MacAddress;
}

/** The first other user of one of the addresses, or `undefined`. Aborting ends it early. */
export async function probeArp(
  place: ProbePlace,
  addresses: readonly string[],
  signal: AbortSignal,
  onLateError: (error: unknown) => void,
): Promise<ArpConflict | undefined> {
  const own = macToBytes(place.mac);
  const target = Buffer.alloc(SOCKADDR_LL_BYTES);
  target.writeUInt16LE(AF_PACKET, 0);
  target.writeUInt16BE(ETH_P_ARP, 2);
  target.writeInt32LE(place.index, 4);
  // Protocol 0 until it is bound: nothing of other links comes in between.
  const fd = insideNamespace<number>(place.inside, place.home, () => socket(AF_PACKET, SOCK_RAW, 0));
  try {
    bind(fd, target);
    const frames = addresses.map((address) => probeFrame(place.mac, address));
    const started = performance.now();
    let sent = 0;
    for (;;) {
      const elapsedMs = performance.now() - started;
      if (sent < PROBES && elapsedMs >= sent * PROBE_PAUSE_MS) {
        for (const frame of frames) send(fd, frame, target, place.index);
        sent += 1;
      }
      const conflict = receive(fd, own, addresses);
      if (conflict !== undefined) return conflict;
      if (signal.aborted || elapsedMs > (PROBES - 1) * PROBE_PAUSE_MS + ANSWER_WAIT_MS) return undefined;
      await delay(LOOK_EVERY_MS);
    }
  } finally {
    // Waits until no packet can be on its way to the socket.
    closeLater(fd).catch(onLateError);
  }
}

/** A request for the address from nobody's address, so that no cache learns it. */
export function probeFrame(mac: MacAddress, address: string): Buffer {
  const hardware = macToBytes(mac);
  const { family, bytes } = ipToBytes(address);
  if (family !== AF_INET) throw new RangeError(`${address} is no IPv4 address`);
  const type = Buffer.alloc(2);
  type.writeUInt16BE(ETH_P_ARP, 0);
  return Buffer.concat([
    Buffer.alloc(6, 0xff),
    hardware,
    type,
    // Ethernet, IPv4, sizes 6 and 4, request.
    Buffer.from('0001080006040001', 'hex'),
    hardware,
    Buffer.alloc(4),
    Buffer.alloc(6),
    bytes,
  ]);
}

/**
 * Whether an ARP frame shows another user of one of the addresses: whoever sends with it, in a
 * request or an answer, or probes for it at the same time. `own` is our hardware address.
 */
export function conflictIn(frame: Buffer, own: Buffer, addresses: readonly string[]): ArpConflict | undefined {
  if (frame.length < ETHERNET_BYTES + ARP_BYTES) return undefined;
  const arp = frame.subarray(ETHERNET_BYTES);
  if (frame.readUInt16BE(12) !== ETH_P_ARP || !arp.subarray(0, 6).equals(Buffer.from('000108000604', 'hex')))
    return undefined;
  const sender = arp.subarray(8, 14);
  if (sender.equals(own)) return undefined;
  const senderIp = arp.subarray(14, 18).join('.');
  const targetIp = arp.subarray(24, 28).join('.');
  const isProbe = arp.readUInt16BE(6) === 1 && senderIp === '0.0.0.0';
  const address = addresses.find((each) => each === (isProbe ? targetIp : senderIp));
  const mac = asMacAddress([...sender].map((byte) => byte.toString(16).padStart(2, '0')).join(':'));
  return address === undefined || mac === undefined ? undefined : { address, mac };
}

function send(fd: number, frame: Buffer, target: Buffer, index: number): void {
  const result = sendto(fd, frame, MSG_DONTWAIT, target);
  // A full queue is as good as a lost frame, which is why there are three.
  if (result < 0 && result !== -errnoOf('ENOBUFS') && result !== -errnoOf('EAGAIN'))
    throw errorFromErrno(-result, 'address.probe', { target: `link ${index}` });
}

function receive(fd: number, own: Buffer, addresses: readonly string[]): ArpConflict | undefined {
  const frame = Buffer.alloc(256);
  const source = Buffer.alloc(SOCKADDR_LL_BYTES);
  // Bounded: on a busy network frames may come as fast as they are read.
  for (let read = 0; read < MOST_FRAMES_AT_ONCE; read += 1) {
    const got = recvfrom(fd, frame, MSG_DONTWAIT, source);
    if (got <= 0) return undefined;
    const conflict = conflictIn(frame.subarray(0, got), own, addresses);
    if (conflict !== undefined) return conflict;
  }
  return undefined;
}
