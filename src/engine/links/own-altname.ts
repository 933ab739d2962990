/**
 * An alternative name of a netdev that is the very name it is to get. The kernel refuses the renaming as if
 * somebody else had the name (netdev_name_in_use, net/core/dev.c). udev gives a netdev the names that its
 * rules prefer, and some distributions the name it had before: what was called net1 in a pod may come home
 * with that as an alternative name.
 */
import type { Link, LinkOperation } from '../attachments/port.ts';
import type { IfName } from '../values.ts';

/** What has to be done before the link can be renamed; nothing unless the name is among its own. */
export function freeOwnName(link: Link, name: IfName): readonly LinkOperation[] {
  return link.altnames.includes(name) ? [{ op: 'altname.delete', index: link.index, name }] : [];
}
