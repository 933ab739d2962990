/**
 * One file of the spool: a line of text, then the request exactly as the shim would have sent it.
 * Written by src/shim/spool.c, described in src/shim/protocol.md. To read one: `head -1 FILE`, and
 * `tail -n +2 FILE | strings`.
 */
import type { AttachmentKey } from '../engine/attachments/model.ts';
import { BerthError } from '../engine/errors.ts';
import { parseContainer, parseInterface } from './environment.ts';
import { decodeRequest, decodeRequestHeader, FRAME_HEADER_BYTES } from './protocol.ts';

const SCHEMA = 1;

export interface SpoolEntry {
  readonly key: AttachmentKey;
  /** `unknown` where the shim could not read it. */
  readonly bootId: string;
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
  try {
    const header = decodeRequestHeader(frame);
    if (header === undefined || frame.length !== FRAME_HEADER_BYTES + header.lengthBytes)
      throw malformed(name, 'it is cut off');
    const { environment } = decodeRequest(frame.subarray(FRAME_HEADER_BYTES));
    if (environment.get('CNI_COMMAND') !== 'DEL') throw malformed(name, 'it is no DEL');
    key = { containerId: parseContainer(environment), ifname: parseInterface(environment) };
  } catch (cause) {
    if (cause instanceof BerthError && cause.reason === 'malformed-spool-entry') throw cause;
    throw malformed(name, cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (name !== `${key.containerId}@${key.ifname}`)
    throw malformed(name, `it is the DEL of ${key.containerId}@${key.ifname}`);
  return {
    key,
    bootId: stamp.boot ?? 'unknown',
    askedAtMs: Number(stamp.seconds) * 1000 + Number(stamp.nanoseconds) / 1e6,
  };
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
