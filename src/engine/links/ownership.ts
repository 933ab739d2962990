/**
 * Proof that a link is ours. The kernel ignores an alias when a link is created (IFLA_IFALIAS), so a
 * link that Berth makes is born in a group of its own, whose number is derived from the attachment and
 * known before; the group ends when the alias is set. What is moved, a VF or a device of the node, has its
 * alias before it moves. The temporary name is for one that comes home while somebody has its own.
 */
import { hash as digest } from 'node:crypto';
import type { AttachmentKey } from '../attachments/model.ts';
import type { Link } from '../attachments/port.ts';
import type { IfName } from '../values.ts';
import type { OwnershipMarks } from './link-driver.ts';

const ALIAS_ID_LENGTH = 64;
const TEMP_PREFIX = 'bth';

/** The marks of an attachment: `bth` and 48 bits of a hash as name, container id and interface as alias. */
export function marksOf(key: AttachmentKey): OwnershipMarks {
  const hash = digest('sha256', `${key.containerId}\0${key.ifname}`).slice(0, 12);
  return {
    tempName: `${TEMP_PREFIX}${hash}` as IfName,
    alias: `berth:${key.containerId.slice(0, ALIAS_ID_LENGTH)}/${key.ifname}:${hash}`,
  };
}

/** How a link that is made for the marks is born: where it stays, and in the group that says whose it is. */
export function bornAs(ifname: IfName, marks: OwnershipMarks): { readonly name: IfName; readonly group: number } {
  return { name: ifname, group: groupOf(marks) };
}

/** Whether a link of that kind in a sandbox was made for these marks; by a temporary name as agents made them before links were born under their own, too. */
export function isOurs(link: Link, kind: string, marks: OwnershipMarks): boolean {
  if (link.kind !== kind) return false;
  if (link.alias !== undefined) return link.alias === marks.alias;
  return link.group === groupOf(marks) || link.name === marks.tempName;
}

/** 31 bits of the hash in the temporary name, and never 0, the group of all links that nobody grouped. */
function groupOf({ tempName }: OwnershipMarks): number {
  return (Number.parseInt(tempName.slice(TEMP_PREFIX.length, TEMP_PREFIX.length + 8), 16) >>> 1) | 1;
}
