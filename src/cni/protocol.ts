/**
 * The agent's side of the protocol that the shim speaks: pure codecs, no socket. src/shim/protocol.md
 * describes it, src/shim/protocol.h has the same numbers. To look at a conversation:
 * `strace -f -s 4096 -e trace=sendmsg,recvfrom <shim>`.
 */
import { BerthError } from '../engine/errors.ts';
import { CNI_CODES, CniFault } from './errors.ts';

/** Protocol versions served, newest first. The first byte of a connection says which one it is. */
export const SERVED_PROTOCOLS: readonly number[] = [1];

/** Bytes in front of a frame's payload: one byte type, four bytes length (big-endian). */
export const FRAME_HEADER_BYTES = 5;
export const FRAME_REQUEST = 1;
export const FRAME_REPLY = 2;

const SECTION_HEADER_BYTES = 5;
const SECTION_ENV = 1;
const SECTION_ARGV0 = 2;
const SECTION_NETNS_ERRNO = 3;
const SECTION_STDIN = 4;

/** 16 MiB of standard input, 256 KiB of environment, and the rest. */
export const MAX_REQUEST_BYTES = (16 << 20) + (256 << 10) + 4096;
/** The shim refuses longer replies. */
export const MAX_REPLY_BYTES = 4 << 20;

export interface FrameHeader {
  readonly type: number;
  readonly lengthBytes: number;
}

/** What a runtime handed to the shim. */
export interface ShimRequest {
  /** The `CNI_*`, `TRACEPARENT` and `TRACESTATE` variables. */
  readonly environment: ReadonlyMap<string, string>;
  /** Last part of the path under which the shim was executed. */
  readonly argv0: string;
  /** Why the shim could not open CNI_NETNS (errno(3)); absent when it could or the path was empty. */
  readonly netnsErrno?: number;
  /** The network configuration. */
  readonly stdin: Buffer;
}

function malformed(message: string): CniFault {
  return new CniFault(CNI_CODES.decode, {
    reason: 'malformed-request',
    message: `the shim's request cannot be read: ${message}`,
    remedy: "Shim and agent may be of different releases: install the shim of the agent's release.",
  });
}

/** `undefined` until the header is complete. Throws code 6 for what is no request or too long for one. */
export function decodeRequestHeader(bytes: Buffer): FrameHeader | undefined {
  if (bytes.length < FRAME_HEADER_BYTES) return undefined;
  const type = bytes.readUInt8(0);
  const lengthBytes = bytes.readUInt32BE(1);
  if (type !== FRAME_REQUEST) throw malformed(`frame type ${type}, expected ${FRAME_REQUEST}`);
  if (lengthBytes > MAX_REQUEST_BYTES) throw malformed(`${lengthBytes} bytes, at most ${MAX_REQUEST_BYTES} are taken`);
  return { type, lengthBytes };
}

/** The payload of a request frame. Sections of unknown tags are skipped, so that later shims can say more. */
export function decodeRequest(payload: Buffer): ShimRequest {
  let environment: ReadonlyMap<string, string> | undefined;
  let stdin: Buffer | undefined;
  let argv0 = '';
  let netnsErrno = 0;
  let at = 0;
  while (at < payload.length) {
    if (payload.length - at < SECTION_HEADER_BYTES)
      throw malformed(`${payload.length - at} bytes after the last section`);
    const tag = payload.readUInt8(at);
    const length = payload.readUInt32BE(at + 1);
    at += SECTION_HEADER_BYTES;
    if (length > payload.length - at) throw malformed(`section ${tag} ends behind the frame`);
    const bytes = payload.subarray(at, at + length);
    at += length;
    if (tag === SECTION_ENV) environment = decodeEnvironment(bytes);
    else if (tag === SECTION_ARGV0) argv0 = bytes.toString('utf8');
    else if (tag === SECTION_STDIN) stdin = bytes;
    else if (tag === SECTION_NETNS_ERRNO) {
      if (length !== 4) throw malformed(`section ${tag} has ${length} bytes, expected 4`);
      netnsErrno = bytes.readUInt32BE(0);
    }
  }
  if (environment === undefined) throw malformed('no environment');
  if (stdin === undefined) throw malformed('no standard input');
  return { environment, argv0, stdin, ...(netnsErrno === 0 ? {} : { netnsErrno }) };
}

/** `KEY=value` entries, each ended by a NUL, as execve(2) lays them out. The first of equal keys counts, as in getenv(3). */
function decodeEnvironment(bytes: Buffer): ReadonlyMap<string, string> {
  const environment = new Map<string, string>();
  for (const entry of bytes.toString('utf8').split('\0')) {
    const equals = entry.indexOf('=');
    if (equals < 1) continue;
    const key = entry.slice(0, equals);
    if (!environment.has(key)) environment.set(key, entry.slice(equals + 1));
  }
  return environment;
}

/** A reply frame. Its layout is the same in every version, so that any shim can read a refusal. */
export function encodeReply(exitCode: number, stdout: string): Buffer {
  const text = Buffer.from(stdout, 'utf8');
  if (text.length + 1 > MAX_REPLY_BYTES) {
    throw new BerthError({
      code: 'Internal',
      reason: 'reply-too-long',
      message: `the answer has ${text.length} bytes, the shim takes ${MAX_REPLY_BYTES}`,
      remedy: 'No network has so many addresses and routes: please report it with its definition.',
    });
  }
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + 1 + text.length);
  frame.writeUInt8(FRAME_REPLY, 0);
  frame.writeUInt32BE(1 + text.length, 1);
  frame.writeUInt8(exitCode, FRAME_HEADER_BYTES);
  text.copy(frame, FRAME_HEADER_BYTES + 1);
  return frame;
}
