/** Device information through devlink (linux/genetlink.h, linux/devlink.h). Codecs only. */
import type { PciAddress } from '../../engine/values.ts';
import type { DevlinkInfo } from './facts-model.ts';
import { genericAttributes, writeGenericHeader } from './genetlink.ts';
import { type AttributeWriter, findAttribute, readAttributes, text, u16 } from './wire/attribute.ts';

const DEVLINK_CMD_ESWITCH_GET = 29;
const DEVLINK_CMD_INFO_GET = 51;
const DEVLINK_ATTR_BUS_NAME = 1;
const DEVLINK_ATTR_DEV_NAME = 2;
/** Mode of the embedded switch; DEVLINK_ESWITCH_MODE_LEGACY is 0. */
const DEVLINK_ATTR_ESWITCH_MODE = 25;
const ESWITCH_MODES = ['legacy', 'switchdev'] as const;
const DEVLINK_ATTR_INFO_DRIVER_NAME = 98;
const DEVLINK_ATTR_INFO_SERIAL_NUMBER = 99;
const DEVLINK_ATTR_INFO_VERSION_FIXED = 100;
const DEVLINK_ATTR_INFO_VERSION_RUNNING = 101;
const DEVLINK_ATTR_INFO_VERSION_STORED = 102;
const DEVLINK_ATTR_INFO_VERSION_NAME = 103;
const DEVLINK_ATTR_INFO_VERSION_VALUE = 104;
const DEVLINK_ATTR_INFO_BOARD_SERIAL_NUMBER = 146;

/** DEVLINK_CMD_INFO_GET; ENODEV when the device has no devlink instance. */
export function writeDevlinkInfoGet(writer: AttributeWriter, address: PciAddress): void {
  writeGet(writer, DEVLINK_CMD_INFO_GET, address);
}

/** DEVLINK_CMD_ESWITCH_GET; EOPNOTSUPP when the device has no embedded switch. */
export function writeEswitchGet(writer: AttributeWriter, address: PciAddress): void {
  writeGet(writer, DEVLINK_CMD_ESWITCH_GET, address);
}

/** `undefined` for a mode that is newer than this reader. */
export function readEswitchMode(payload: Buffer): (typeof ESWITCH_MODES)[number] | undefined {
  const attributes = readAttributes(genericAttributes(payload, 'embedded switch'));
  const mode = findAttribute(attributes, DEVLINK_ATTR_ESWITCH_MODE);
  return mode === undefined ? undefined : ESWITCH_MODES[u16(mode)];
}

function writeGet(writer: AttributeWriter, command: number, address: PciAddress): void {
  writeGenericHeader(writer, command);
  writer.text(DEVLINK_ATTR_BUS_NAME, 'pci');
  writer.text(DEVLINK_ATTR_DEV_NAME, address);
}

export function readDevlinkInfo(payload: Buffer): DevlinkInfo {
  const attributes = readAttributes(genericAttributes(payload, 'devlink information'));
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
