/** What a driver says of itself (linux/ethtool.h, ETHTOOL_GDRVINFO through SIOCETHTOOL). */
import { BerthError } from '../../engine/errors.ts';
import type { IfName } from '../../engine/values.ts';
import { AF_INET, addressOf, close, ioctlPooled, SOCK_DGRAM, socket } from '../ffi/index.ts';
import type { DriverInfo } from './facts-model.ts';
import { malformed, text } from './wire/attribute.ts';

const SIOCETHTOOL = 0x8946;
const ETHTOOL_GDRVINFO = 3;
/** struct ethtool_drvinfo and where its texts are: driver, version, fw_version, bus_info. */
const DRVINFO_BYTES = 196;
const TEXT_BYTES = 32;
/** struct ifreq: name, then a union that here holds a pointer. */
const IFREQ_BYTES = 40;
const IFREQ_DATA = 16;
/** What drivers write when they have nothing to tell. */
const NOTHING = new Set(['', 'N/A', 'n/a']);

/** Reads struct ethtool_drvinfo. */
export function readDriverInfo(bytes: Buffer): DriverInfo {
  if (bytes.length < DRVINFO_BYTES) throw malformed(`driver information of ${bytes.length} bytes`);
  const field = (index: number): string | undefined => {
    const at = 4 + index * TEXT_BYTES;
    const words = text(bytes.subarray(at, at + TEXT_BYTES)).trim();
    return NOTHING.has(words) ? undefined : words;
  };
  const [driver, version, firmware, busInfo] = [field(0), field(1), field(2), field(3)];
  return {
    ...(driver === undefined ? {} : { driver }),
    ...(version === undefined ? {} : { version }),
    ...(firmware === undefined ? {} : { firmware }),
    ...(busInfo === undefined ? {} : { busInfo }),
  };
}

/** Asks the driver of an interface of this process's namespace; `undefined` when it is gone or does not answer. */
export async function getDriverInfo(ifname: IfName): Promise<DriverInfo | undefined> {
  const info = Buffer.alloc(DRVINFO_BYTES);
  info.writeUInt32LE(ETHTOOL_GDRVINFO, 0);
  const request = Buffer.alloc(IFREQ_BYTES);
  request.write(ifname);
  request.writeBigUInt64LE(addressOf(info), IFREQ_DATA);
  const fd = socket(AF_INET, SOCK_DGRAM, 0);
  try {
    await ioctlPooled(fd, SIOCETHTOOL, request, 'link.driver-info', ifname);
    return readDriverInfo(info);
  } catch (error) {
    if (error instanceof BerthError && (error.code === 'NotFound' || error.code === 'Unsupported')) return undefined;
    throw error;
  } finally {
    close(fd);
  }
}
