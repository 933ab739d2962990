/** Which devices a person means by a few letters, and how many there are of each state. */
import { isNic, isVf, type ShownDevice } from './shown.ts';

export const STATES = ['free', 'taken', 'broken', 'unused'] as const;

/** What is shown: the words searched for, and one state or all. */
export interface Filter {
  readonly text: string;
  readonly state: ShownDevice['state'] | undefined;
}

/** Every word must be somewhere: in an address, a name, the pod, the pool, the driver, the state, or the node's name. */
export function matches(device: ShownDevice, filter: Filter, node = ''): boolean {
  if (filter.state !== undefined && device.state !== filter.state) return false;
  const words = wordsIn(filter.text);
  if (words.length === 0) return true;
  const haystack = wordsOf(device);
  return words.every((word) => haystack.includes(word) || node.includes(word));
}

let newest: { readonly text: string; readonly words: readonly string[] } = { text: '', words: [] };

/** Split once for all devices. */
function wordsIn(text: string): readonly string[] {
  if (newest.text !== text) newest = { text, words: text.toLowerCase().split(/\s+/).filter(Boolean) };
  return newest.words;
}

const known = new WeakMap<ShownDevice, string>();

function wordsOf(device: ShownDevice): string {
  const before = known.get(device);
  if (before !== undefined) return before;
  const { allocation, owner } = device;
  const settings = isVf(device) ? device.settings : undefined;
  const serial = isNic(device) ? device.serial : undefined;
  const words = [
    device.address,
    device.ifname,
    ...pciWords(device),
    settings?.adminMac,
    device.driver,
    device.pool,
    device.state,
    device.problem,
    owner?.pod,
    owner?.containerId,
    owner?.ifname,
    allocation?.pod,
    allocation?.container,
    serial,
  ];
  const text = words
    .filter((word) => word !== undefined)
    .join('\n')
    .toLowerCase();
  known.set(device, text);
  return text;
}

function pciWords(device: ShownDevice): readonly (string | undefined)[] {
  if (!isVf(device) && !isNic(device)) return [];
  const { deviceName, netdev, vendorName } = device;
  return [...(netdev?.altnames ?? []), netdev?.mac, netdev?.permanentMac, deviceName, vendorName];
}
