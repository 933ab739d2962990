/** Device information through devlink (linux/genetlink.h, linux/devlink.h). Codecs only. */
import type { PciAddress } from '../../engine/values.ts';
import type { DevlinkInfo } from './facts-model.ts';
import { type AttributeWriter, findAttribute, malformed, readAttributes, text, u16 } from './wire/attribute.ts';

/** Message type of the generic netlink controller. */
export const GENL_ID_CTRL = 16;

/** struct genlmsghdr: command, version, reserved. */
const GENLMSGHDR_BYTES = 4;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const DEVLINK_CMD_INFO_GET = 51;
const DEVLINK_ATTR_BUS_NAME = 1;
const DEVLINK_ATTR_DEV_NAME = 2;
const DEVLINK_ATTR_INFO_DRIVER_NAME = 98;
const DEVLINK_ATTR_INFO_SERIAL_NUMBER = 99;
const DEVLINK_ATTR_INFO_VERSION_FIXED = 100;
const DEVLINK_ATTR_INFO_VERSION_RUNNING = 101;
const DEVLINK_ATTR_INFO_VERSION_STORED = 102;
const DEVLINK_ATTR_INFO_VERSION_NAME = 103;
const DEVLINK_ATTR_INFO_VERSION_VALUE = 104;
const DEVLINK_ATTR_INFO_BOARD_SERIAL_NUMBER = 146;

function writeHeader(writer: AttributeWriter, command: number): void {
  const at = writer.reserve(GENLMSGHDR_BYTES);
  writer.memory.writeUInt8(command, at);
  writer.memory.writeUInt8(1, at + 1);
}

/** CTRL_CMD_GETFAMILY by name; ENOENT when the kernel does not have the family. */
export function writeFamilyGet(writer: AttributeWriter, name: string): void {
  writeHeader(writer, CTRL_CMD_GETFAMILY);
  writer.text(CTRL_ATTR_FAMILY_NAME, name);
}

/** The message type of the family. */
export function readFamily(payload: Buffer): number {
  if (payload.length < GENLMSGHDR_BYTES) throw malformed(`family of ${payload.length} bytes`);
  const id = findAttribute(readAttributes(payload.subarray(GENLMSGHDR_BYTES)), CTRL_ATTR_FAMILY_ID);
  if (id === undefined) throw malformed('family without an id');
  return u16(id);
}

/** DEVLINK_CMD_INFO_GET; ENODEV when the device has no devlink instance. */
export function writeDevlinkInfoGet(writer: AttributeWriter, address: PciAddress): void {
  writeHeader(writer, DEVLINK_CMD_INFO_GET);
  writer.text(DEVLINK_ATTR_BUS_NAME, 'pci');
  writer.text(DEVLINK_ATTR_DEV_NAME, address);
}

export function readDevlinkInfo(payload: Buffer): DevlinkInfo {
  if (payload.length < GENLMSGHDR_BYTES) throw malformed(`devlink information of ${payload.length} bytes`);
  const attributes = readAttributes(payload.subarray(GENLMSGHDR_BYTES));
  const words = (type: number): string | undefined => {
    const value = findAttribute(attributes, type);
    return value === undefined ? undefined : text(value);
  };
  const versions = (type: number): Record<string, string> => {
    const found: Record<string, string> = {};
    for (const attribute of attributes) {
      if (attribute.type !== type) continue;
      const pair = readAttributes(attribute.value);
      const name = findAttribute(pair, DEVLINK_ATTR_INFO_VERSION_NAME);
      const value = findAttribute(pair, DEVLINK_ATTR_INFO_VERSION_VALUE);
      if (name !== undefined && value !== undefined) found[text(name)] = text(value);
    }
    return found;
  };
  const driver = words(DEVLINK_ATTR_INFO_DRIVER_NAME);
  const serial = words(DEVLINK_ATTR_INFO_SERIAL_NUMBER);
  const boardSerial = words(DEVLINK_ATTR_INFO_BOARD_SERIAL_NUMBER);
  return {
    ...(driver === undefined ? {} : { driver }),
    ...(serial === undefined ? {} : { serial }),
    ...(boardSerial === undefined ? {} : { boardSerial }),
    fixed: versions(DEVLINK_ATTR_INFO_VERSION_FIXED),
    running: versions(DEVLINK_ATTR_INFO_VERSION_RUNNING),
    stored: versions(DEVLINK_ATTR_INFO_VERSION_STORED),
  };
}
