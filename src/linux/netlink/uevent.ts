/**
 * Kernel uevents (lib/kobject_uevent.c): `ACTION@DEVPATH`, then `KEY=value` texts, each with a NUL.
 * Pure. Messages of udev have another form ("libudev") and another sender; they are not read.
 */
import { malformed } from './wire/attribute.ts';

export interface Uevent {
  readonly action: string;
  readonly devpath: string;
  readonly subsystem: string;
  /** The other variables, PCI_SLOT_NAME or INTERFACE for example. */
  readonly variables: ReadonlyMap<string, string>;
}

export function readUevent(datagram: Buffer): Uevent {
  if (datagram.length === 0 || datagram.at(-1) !== 0) throw malformed('uevent that is cut off');
  const [header, ...lines] = datagram.toString('utf8', 0, datagram.length - 1).split('\0');
  if (header === undefined || !/^[a-z]+@\//.test(header)) throw malformed('uevent without its header');
  const variables = new Map<string, string>();
  for (const line of lines) {
    const at = line.indexOf('=');
    if (at > 0) variables.set(line.slice(0, at), line.slice(at + 1));
  }
  const action = variables.get('ACTION');
  const devpath = variables.get('DEVPATH');
  const subsystem = variables.get('SUBSYSTEM');
  if (action === undefined || devpath === undefined || subsystem === undefined) {
    throw malformed(`uevent ${header} without action, path or subsystem`);
  }
  return { action, devpath, subsystem, variables };
}
