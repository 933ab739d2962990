/** Namespace ids (linux/net_namespace.h, NETNSA_*): numbers by which one namespace knows another. Codecs only. */
import { type AttributeWriter, findAttribute, malformed, readAttributes, s32 } from './wire/attribute.ts';

export const RTM_NEWNSID = 88;
export const RTM_DELNSID = 89;
export const RTM_GETNSID = 90;

/** struct rtgenmsg, padded. */
const RTGENMSG_BYTES = 4;
const NETNSA_NSID = 1;
const NETNSA_FD = 3;
const NETNSA_NSID_NOT_ASSIGNED = -1;

/** The id in an answer or notification; `undefined` when none is assigned. */
export function readNsid(payload: Buffer): number | undefined {
  if (payload.length < RTGENMSG_BYTES) throw malformed(`namespace id of ${payload.length} bytes`);
  const value = findAttribute(readAttributes(payload.subarray(RTGENMSG_BYTES)), NETNSA_NSID);
  if (value === undefined) throw malformed('namespace id without a number');
  const nsid = s32(value);
  return nsid === NETNSA_NSID_NOT_ASSIGNED ? undefined : nsid;
}

/** RTM_GETNSID of a namespace by descriptor, or whether an id is in use. */
export function writeNsidGet(writer: AttributeWriter, of: { readonly fd: number } | { readonly nsid: number }): void {
  writer.reserve(RTGENMSG_BYTES);
  if ('fd' in of) writer.u32(NETNSA_FD, of.fd);
  else writer.s32(NETNSA_NSID, of.nsid);
}

/** RTM_NEWNSID: the kernel chooses a free id. EEXIST when the namespace has one. */
export function writeNsidAssign(writer: AttributeWriter, fd: number): void {
  writer.reserve(RTGENMSG_BYTES);
  writer.s32(NETNSA_NSID, NETNSA_NSID_NOT_ASSIGNED);
  writer.u32(NETNSA_FD, fd);
}
