/**
 * RDMA devices (rdma/rdma_netlink.h, RDMA_NLDEV_*): which there are in a namespace, whether each
 * namespace has its own ones, and moving one. Codecs only; protocol NETLINK_RDMA.
 * `rdma system`, `rdma dev` and `rdma dev set <name> netns <name>` of iproute2 say the same.
 */
import { type AttributeWriter, findAttribute, malformed, readAttributes, text, u8, u32 } from './wire/attribute.ts';

export const NETLINK_RDMA = 20;

/** RDMA_NL_GET_TYPE: the client in the upper bits. */
const RDMA_NL_NLDEV = 5;
const typeOf = (command: number): number => (RDMA_NL_NLDEV << 10) + command;

export const RDMA_NLDEV_CMD_GET = typeOf(1);
export const RDMA_NLDEV_CMD_SET = typeOf(2);
export const RDMA_NLDEV_CMD_SYS_GET = typeOf(6);

const RDMA_NLDEV_ATTR_DEV_INDEX = 1;
const RDMA_NLDEV_ATTR_DEV_NAME = 2;
const RDMA_NLDEV_SYS_ATTR_NETNS_MODE = 66;
const RDMA_NLDEV_NET_NS_FD = 68;

export interface RdmaDeviceFacts {
  readonly index: number;
  readonly name: string;
}

/** A message of the dump RDMA_NLDEV_CMD_GET. There is no header before the attributes. */
export function readRdmaDevice(payload: Buffer): RdmaDeviceFacts {
  const attributes = readAttributes(payload);
  const index = findAttribute(attributes, RDMA_NLDEV_ATTR_DEV_INDEX);
  const name = findAttribute(attributes, RDMA_NLDEV_ATTR_DEV_NAME);
  if (index === undefined || name === undefined) throw malformed('RDMA device without index or name');
  return { index: u32(index), name: text(name) };
}

/** `exclusive`: a device is in one namespace. Kernels before 5.2 do not tell: all share all. */
export function readRdmaMode(payload: Buffer): 'shared' | 'exclusive' {
  const mode = findAttribute(readAttributes(payload), RDMA_NLDEV_SYS_ATTR_NETNS_MODE);
  return mode !== undefined && u8(mode) === 0 ? 'exclusive' : 'shared';
}

/** RDMA_NLDEV_CMD_SET that moves a device into the namespace of a descriptor. */
export function writeRdmaMove(writer: AttributeWriter, index: number, namespaceFd: number): void {
  writer.u32(RDMA_NLDEV_ATTR_DEV_INDEX, index);
  writer.u32(RDMA_NLDEV_NET_NS_FD, namespaceFd);
}
