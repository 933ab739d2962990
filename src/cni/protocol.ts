/**
 * The agent's side of the protocol that the shim speaks: pure codecs, no socket. src/shim/protocol.md
 * describes it, src/shim/protocol.h has the same numbers. To look at a conversation:
 * `strace -f -s 4096 -e trace=sendmsg,recvfrom <shim>`.
 */
import { BerthError } from '../engine/errors.ts';
import type { IpamCall, IpamEnd, IpamOutcome } from '../engine/ipam/port.ts';
import { CNI_CODES, CniFault } from './errors.ts';

/** Protocol versions served, newest first. The first byte of a connection says which one it is. */
export const SERVED_PROTOCOLS: readonly number[] = [2, 1];
/** From this version on a shim executes IPAM programs. */
export const EXECUTING_PROTOCOL = 2;

/** Bytes in front of a frame's payload: one byte type, four bytes length (big-endian). */
export const FRAME_HEADER_BYTES = 5;
export const FRAME_REQUEST = 1;
export const FRAME_REPLY = 2;
export const FRAME_EXECUTE = 3;
export const FRAME_RESULT = 4;
export const FRAME_CANCEL = 5;

const SECTION_HEADER_BYTES = 5;
const SECTION_ENV = 1;
const SECTION_ARGV0 = 2;
const SECTION_NETNS_ERRNO = 3;
const SECTION_STDIN = 4;
const SECTION_PROGRAM = 5;
const SECTION_TIME_LIMIT = 6;
const SECTION_OUTCOME = 7;
const SECTION_PATH = 8;
const SECTION_OUTPUT = 9;
const SECTION_ERRORS = 10;

/** 16 MiB of standard input, 256 KiB of environment, and the rest. */
export const MAX_REQUEST_BYTES = (16 << 20) + (256 << 10) + 4096;
/** The shim refuses longer replies. */
export const MAX_REPLY_BYTES = 4 << 20;

/** 1 MiB of output, 4 KiB of errors, a path, and the rest. */
const MAX_RESULT_BYTES = (1 << 20) + 16_384;

/** Kills the program that the shim executes; a shim that executes none ignores it. */
export const CANCEL_FRAME = Buffer.from([FRAME_CANCEL, 0, 0, 0, 0]);

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
  for (const { tag, bytes } of sectionsOf(payload)) {
    if (tag === SECTION_ENV) environment = decodeEnvironment(bytes);
    else if (tag === SECTION_ARGV0) argv0 = bytes.toString('utf8');
    else if (tag === SECTION_STDIN) stdin = bytes;
    else if (tag === SECTION_NETNS_ERRNO) {
      if (bytes.length !== 4) throw malformed(`section ${tag} has ${bytes.length} bytes, expected 4`);
      netnsErrno = bytes.readUInt32BE(0);
    }
  }
  if (environment === undefined) throw malformed('no environment');
  if (stdin === undefined) throw malformed('no standard input');
  return { environment, argv0, stdin, ...(netnsErrno === 0 ? {} : { netnsErrno }) };
}

/** The sections of a payload in their order. Throws code 6 for one that ends behind the payload. */
function* sectionsOf(payload: Buffer): Generator<{ readonly tag: number; readonly bytes: Buffer }> {
  for (let at = 0; at < payload.length; ) {
    if (payload.length - at < SECTION_HEADER_BYTES)
      throw malformed(`${payload.length - at} bytes after the last section`);
    const tag = payload.readUInt8(at);
    const length = payload.readUInt32BE(at + 1);
    at += SECTION_HEADER_BYTES;
    if (length > payload.length - at) throw malformed(`section ${tag} ends behind the frame`);
    yield { tag, bytes: payload.subarray(at, at + length) };
    at += length;
  }
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

/** "Execute this IPAM program": the shim looks the name up in CNI_PATH. */
export function encodeExecute(call: IpamCall): Buffer {
  const variables = Object.entries({ ...call.environment, CNI_COMMAND: call.command });
  const limit = Buffer.alloc(4);
  limit.writeUInt32BE(call.timeoutMs, 0);
  const payload = Buffer.concat([
    section(SECTION_PROGRAM, Buffer.from(call.program, 'utf8')),
    section(SECTION_ENV, Buffer.from(variables.map(([key, value]) => `${key}=${value}\0`).join(''), 'utf8')),
    section(SECTION_TIME_LIMIT, limit),
    section(SECTION_STDIN, Buffer.from(call.stdin, 'utf8')),
  ]);
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUInt8(FRAME_EXECUTE, 0);
  header.writeUInt32BE(payload.length, 1);
  return Buffer.concat([header, payload]);
}

/** Throws code 6 for what is no result, or too long for one. */
export function decodeResultHeader(bytes: Buffer): FrameHeader {
  const type = bytes.readUInt8(0);
  const lengthBytes = bytes.readUInt32BE(1);
  if (type !== FRAME_RESULT) throw malformed(`frame type ${type}, expected ${FRAME_RESULT}`);
  if (lengthBytes > MAX_RESULT_BYTES) throw malformed(`${lengthBytes} bytes, at most ${MAX_RESULT_BYTES} are taken`);
  return { type, lengthBytes };
}

/** How an IPAM program ended. Throws code 6. */
export function decodeResult(payload: Buffer): IpamOutcome {
  let end: IpamEnd | undefined;
  let path = '';
  let stdout = '';
  let stderr = '';
  for (const { tag, bytes } of sectionsOf(payload)) {
    if (tag === SECTION_PATH) path = bytes.toString('utf8');
    else if (tag === SECTION_OUTPUT) stdout = bytes.toString('utf8');
    else if (tag === SECTION_ERRORS) stderr = bytes.toString('utf8');
    else if (tag === SECTION_OUTCOME) {
      if (bytes.length !== 8) throw malformed(`section ${tag} has ${bytes.length} bytes, expected 8`);
      end = endOf(bytes.readUInt32BE(0), bytes.readUInt32BE(4));
    }
  }
  if (end === undefined) throw malformed('a result without an outcome');
  return { end, path, stdout, stderr };
}

/** OUTCOME_* of src/shim/protocol.h. */
function endOf(kind: number, value: number): IpamEnd {
  switch (kind) {
    case 0:
      return { kind: 'exited', status: value };
    case 1:
      return { kind: 'signalled', signal: value };
    case 2:
      return { kind: 'not-found' };
    case 3:
      return { kind: 'refused', errno: value };
    case 4:
      return { kind: 'timed-out' };
    case 5:
      return { kind: 'too-long' };
    case 6:
      return { kind: 'cancelled' };
    default:
      throw malformed(`outcome ${kind}`);
  }
}

function section(tag: number, bytes: Buffer): Buffer {
  const header = Buffer.alloc(SECTION_HEADER_BYTES);
  header.writeUInt8(tag, 0);
  header.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([header, bytes]);
}
