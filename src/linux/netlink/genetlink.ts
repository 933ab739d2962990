/** Generic netlink (linux/genetlink.h): the header of its messages, and who has which message type. Codecs only. */
import { type AttributeWriter, findAttribute, malformed, readAttributes, u16 } from './wire/attribute.ts';

/** Message type of the generic netlink controller. */
export const GENL_ID_CTRL = 16;

/** struct genlmsghdr: command, version, reserved. */
const GENLMSGHDR_BYTES = 4;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;

/** Begins a message of a family with one of its commands. */
export function writeGenericHeader(writer: AttributeWriter, command: number): void {
  const at = writer.reserve(GENLMSGHDR_BYTES);
  writer.memory.writeUInt8(command, at);
  writer.memory.writeUInt8(1, at + 1);
}

/** The attributes of a message. Throws `netlink-malformed` when it has no header. */
export function genericAttributes(payload: Buffer, what: string): Buffer {
  if (payload.length < GENLMSGHDR_BYTES) throw malformed(`${what} of ${payload.length} bytes`);
  return payload.subarray(GENLMSGHDR_BYTES);
}

/** CTRL_CMD_GETFAMILY by name; ENOENT when the kernel does not have the family. */
export function writeFamilyGet(writer: AttributeWriter, name: string): void {
  writeGenericHeader(writer, CTRL_CMD_GETFAMILY);
  writer.text(CTRL_ATTR_FAMILY_NAME, name);
}

/** The message type of the family. */
export function readFamily(payload: Buffer): number {
  const id = findAttribute(readAttributes(genericAttributes(payload, 'family')), CTRL_ATTR_FAMILY_ID);
  if (id === undefined) throw malformed('family without an id');
  return u16(id);
}
