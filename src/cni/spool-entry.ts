/**
 * One file of the spool: a line of text, then the request exactly as the shim would have sent it.
 * Written by src/shim/spool.c, described in src/shim/protocol.md. To read one: `head -1 FILE`, and
 * `tail -n +2 FILE | strings`.
 */
import type { AttachmentKey } from '../engine/attachments/model.ts';
import type { Predecessor } from '../engine/attachments/peers/port.ts';
import { BerthError } from '../engine/errors.ts';
import { decodeConfig } from './config.ts';
import { parseContainer, parseInterface } from './environment.ts';
import { CniFault } from './errors.ts';
import { optional } from './optional.ts';
import { parsePredecessor } from './predecessor.ts';
import { decodeRequest, decodeRequestHeader, FRAME_HEADER_BYTES, type ShimRequest } from './protocol.ts';

const SCHEMA = 1;

export interface SpoolEntry {
  readonly key: AttachmentKey;
  /** `unknown` where the shim could not read it. */
  readonly bootId: string;
  /** What the DEL says of an attachment that another plugin may have made. */
  readonly predecessor?: Predecessor;
  /** When the runtime asked, milliseconds since the epoch. */
  readonly askedAtMs: number;
}

/** Whether a later release wrote it; such an entry is kept for that release. */
export function isNewer(bytes: Buffer): boolean {
  return (schemaOf(firstLine(bytes)) ?? 0) > SCHEMA;
}

/** Throws `Invalid` for what no shim writes. `name` is the file's: container id, `@`, interface. */
export function parseSpoolEntry(name: string, bytes: Buffer): SpoolEntry {
  const line = firstLine(bytes);
  if (schemaOf(line) !== SCHEMA) throw malformed(name, 'its first line is not that of a spool entry');
  const stamp = /^berth-spool \d+ (?<boot>[\w-]{1,64}) (?<seconds>\d{1,12})\.(?<nanoseconds>\d{9})$/.exec(line)?.groups;
  if (stamp === undefined) throw malformed(name, 'it has no boot id and time');

  const frame = bytes.subarray(line.length + 1);
  let key: AttachmentKey;
  let predecessor: Predecessor | undefined;
  try {
    const header = decodeRequestHeader(frame);
    if (header === undefined || frame.length !== FRAME_HEADER_BYTES + header.lengthBytes)
      throw malformed(name, 'it is cut off');
    const request = decodeRequest(frame.subarray(FRAME_HEADER_BYTES));
    const { environment } = request;
    if (environment.get('CNI_COMMAND') !== 'DEL') throw malformed(name, 'it is no DEL');
    key = { containerId: parseContainer(environment), ifname: parseInterface(environment) };
    predecessor = predecessorOf(request);
  } catch (cause) {
    if (cause instanceof BerthError && cause.reason === 'malformed-spool-entry') throw cause;
    throw malformed(name, cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (name !== `${key.containerId}@${key.ifname}`)
    throw malformed(name, `it is the DEL of ${key.containerId}@${key.ifname}`);
  return {
    key,
    ...optional('predecessor', predecessor),
    bootId: stamp.boot ?? 'unknown',
    askedAtMs: Number(stamp.seconds) * 1000 + Number(stamp.nanoseconds) / 1e6,
  };
}

/** `undefined` too for a configuration that cannot be read: the DEL goes by its key. */
function predecessorOf(request: ShimRequest): Predecessor | undefined {
  try {
    return parsePredecessor(decodeConfig(request.stdin).fields, request);
  } catch (error) {
    if (error instanceof CniFault) return undefined;
    throw error;
  }
}

function firstLine(bytes: Buffer): string {
  const newline = bytes.subarray(0, 256).indexOf(0x0a);
  return newline < 0 ? '' : bytes.toString('latin1', 0, newline);
}

function schemaOf(line: string): number | undefined {
  const schema = /^berth-spool (?<schema>\d{1,6})(?: |$)/.exec(line)?.groups?.schema;
  return schema === undefined ? undefined : Number(schema);
}

function malformed(name: string, why: string, cause?: unknown): BerthError {
  return new BerthError({
    code: 'Io',
    reason: 'malformed-spool-entry',
    message: `spool entry ${name} cannot be used: ${why}`,
    remedy: 'It was moved aside; whatever it was to release is collected when its sandbox is known to be dead.',
    cause,
  });
}
