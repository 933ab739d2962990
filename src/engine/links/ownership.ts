/**
 * Proof that a link is ours. Until it has its alias it has only its temporary name, which is why
 * that name is derived from the attachment and recorded before the link is made (IFLA_IFALIAS is
 * ignored when a link is created).
 */
import { createHash } from 'node:crypto';
import type { AttachmentKey } from '../attachments/model.ts';
import type { Link } from '../attachments/port.ts';
import type { IfName } from '../values.ts';
import type { OwnershipMarks } from './link-driver.ts';

const ALIAS_ID_LENGTH = 64;

/** The marks of an attachment: `bth` and 48 bits of a hash as name, container id and interface as alias. */
export function marksOf(key: AttachmentKey): OwnershipMarks {
  const hash = createHash('sha256').update(`${key.containerId}\0${key.ifname}`).digest('hex').slice(0, 12);
  return {
    tempName: `bth${hash}` as IfName,
    alias: `berth:${key.containerId.slice(0, ALIAS_ID_LENGTH)}/${key.ifname}:${hash}`,
  };
}

/** Whether a link of that kind in a sandbox was made for these marks. */
export function isOurs(link: Link, kind: string, marks: OwnershipMarks): boolean {
  if (link.kind !== kind) return false;
  return link.alias === marks.alias || (link.name === marks.tempName && link.alias === undefined);
}
