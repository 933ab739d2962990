/** Which devices a person means by a few letters, and how many there are of each state. */
import type { SparseDevice } from '../engine/cluster/document.ts';

export const STATES = ['free', 'taken', 'broken', 'unused'] as const;

/** What is shown: the words searched for, and one state or all. */
export interface Filter {
  readonly text: string;
  readonly state: SparseDevice['state'] | undefined;
}

/** Every word must be somewhere: in an address, a name, the pod, the pool, the driver, the state, or the node's name. */
export function matches(device: SparseDevice, filter: Filter, node = ''): boolean {
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

const known = new WeakMap<SparseDevice, string>();

function wordsOf(device: SparseDevice): string {
  const before = known.get(device);
  if (before !== undefined) return before;
  const { netdev, owner } = device;
  const settings = 'pf' in device ? device.settings : undefined;
  const serial = 'pf' in device ? undefined : device.serial;
  const words = [
    device.address,
    device.ifname,
    ...(netdev?.altnames ?? []),
    netdev?.mac,
    netdev?.permanentMac,
    settings?.adminMac,
    device.driver,
    device.pool,
    device.state,
    device.problem,
    owner?.pod,
    owner?.containerId,
    owner?.ifname,
    serial,
    device.deviceName,
    device.vendorName,
  ];
  const text = words
    .filter((word) => word !== undefined)
    .join('\n')
    .toLowerCase();
  known.set(device, text);
  return text;
}
