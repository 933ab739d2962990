/** Which devices a person means by a few letters, and how many there are of each state. */
import type { FeedDevice } from '../engine/feed/document.ts';

export const STATES = ['free', 'taken', 'broken', 'unused'] as const;

/** What is shown: the words searched for, and one state or all. */
export interface Filter {
  readonly text: string;
  readonly state: FeedDevice['state'] | undefined;
}

/** Every word must be somewhere: in an address, a name, the pod, the pool, the driver or the state. */
export function matches(device: FeedDevice, { state, text }: Filter): boolean {
  if (state !== undefined && device.state !== state) return false;
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const haystack = wordsOf(device);
  return words.every((word) => haystack.includes(word));
}

const known = new WeakMap<FeedDevice, string>();

function wordsOf(device: FeedDevice): string {
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
