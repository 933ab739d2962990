/**
 * Netlink messages (linux/netlink.h, struct nlmsghdr) and the kernel's answers to them. Pure.
 */
import { type AttributeWriter, align4, findAttribute, malformed, readAttributes, text, u32 } from './attribute.ts';

export const NLMSG_HEADER_BYTES = 16;

export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;

export const NLM_F_REQUEST = 0x01;
export const NLM_F_ACK = 0x04;
export const NLM_F_DUMP_INTR = 0x10;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
/** NLM_F_ROOT | NLM_F_MATCH */
export const NLM_F_DUMP = 0x300;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;

const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_OFFS = 2;

export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** nl_pid of the socket it belongs to; 0 for notifications. */
  readonly port: number;
  /** A view, not a copy. */
  readonly payload: Buffer;
}

/** The kernel's answer to one request. */
export interface Ack {
  /** Positive; 0 is success. */
  readonly errno: number;
  /** NLMSGERR_ATTR_MSG: the kernel's own words, a warning when `errno` is 0. */
  readonly extack?: string;
  /** NLMSGERR_ATTR_OFFS: where in the request the offending attribute begins. */
  readonly offset?: number;
}

/** The messages of one datagram. Throws `netlink-malformed` when one leaves its bounds, or for none. */
export function readMessages(datagram: Buffer): Message[] {
  if (datagram.length === 0) throw malformed('empty datagram');
  const messages: Message[] = [];
  for (let at = 0; at < datagram.length; ) {
    const left = datagram.length - at;
    if (left < NLMSG_HEADER_BYTES) throw malformed(`${left} bytes left, a message needs ${NLMSG_HEADER_BYTES}`);
    const length = datagram.readUInt32LE(at);
    if (length < NLMSG_HEADER_BYTES) throw malformed(`message of ${length} bytes, shorter than its header`);
    if (length > left) throw malformed(`message of ${length} bytes where ${left} are left`);
    messages.push({
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      port: datagram.readUInt32LE(at + 12),
      payload: datagram.subarray(at + NLMSG_HEADER_BYTES, at + length),
    });
    at += align4(length);
  }
  return messages;
}

/** Reads NLMSG_ERROR, and NLMSG_DONE when it carries a dump's result. */
export function readAck(message: Message): Ack {
  const { payload } = message;
  if (message.type === NLMSG_DONE && payload.length === 0) return { errno: 0 };
  if (payload.length < 4) throw malformed(`answer of ${payload.length} bytes without a result`);
  const result = payload.readInt32LE(0);
  if (result > 0) throw malformed(`answer with the positive result ${result}`);
  const errno = result === 0 ? 0 : -result;
  if ((message.flags & NLM_F_ACK_TLVS) === 0) return { errno };
  const attributes = readAttributes(payload.subarray(extackOffset(message)));
  const words = findAttribute(attributes, NLMSGERR_ATTR_MSG);
  const offset = findAttribute(attributes, NLMSGERR_ATTR_OFFS);
  return {
    errno,
    ...(words === undefined ? {} : { extack: text(words) }),
    ...(offset === undefined ? {} : { offset: u32(offset) }),
  };
}

/** NLMSG_ERROR repeats the request's header, and the whole request when it failed and is not capped. */
function extackOffset(message: Message): number {
  if (message.type === NLMSG_DONE) return 4;
  const { payload } = message;
  if (payload.length < 4 + NLMSG_HEADER_BYTES) throw malformed('answer without the header of its request');
  if ((message.flags & NLM_F_CAPPED) !== 0) return 4 + NLMSG_HEADER_BYTES;
  const repeated = payload.readUInt32LE(4);
  if (repeated < NLMSG_HEADER_BYTES || align4(repeated) > payload.length - 4) {
    throw malformed(`answer that repeats ${repeated} bytes of its request in ${payload.length}`);
  }
  return 4 + align4(repeated);
}

/** Writes one message; `fill` adds the family's header and attributes. */
export function writeMessage(
  writer: AttributeWriter,
  header: { readonly type: number; readonly flags: number; readonly sequence: number },
  fill: (writer: AttributeWriter) => void,
): void {
  const start = writer.reserve(NLMSG_HEADER_BYTES);
  fill(writer);
  const { memory } = writer;
  memory.writeUInt32LE(writer.length - start, start);
  memory.writeUInt16LE(header.type, start + 4);
  memory.writeUInt16LE(header.flags, start + 6);
  memory.writeUInt32LE(header.sequence, start + 8);
}
