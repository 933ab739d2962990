/** What kubelet's pod-resources say, as it is told: which pod of the namespace `default` has which device. */
import type { PodDevices } from '../../src/engine/attachments/pod-devices.ts';

/** Device and pod; `others` are pods without devices, `managed` devices of no pod. */
export function podDevices(
  entries: readonly (readonly [device: string, pod: string])[],
  others: readonly string[] = [],
  managed: readonly string[] = [],
): PodDevices {
  const pods = new Set([...entries.map(([, pod]) => pod), ...others]);
  const holders = new Map(
    entries.map(([device]) => [
      device,
      entries
        .filter(([id]) => id === device)
        .map(([, name]) => ({ resource: 'berth.dev/vf', pod: { namespace: 'default', name }, container: 'main' })),
    ]),
  );
  return {
    holders: async () => holders,
    lists: async ({ name }) => pods.has(name),
    listsAny: async () => pods.size > 0,
    manages: async (device) => managed.includes(device) || holders.has(device),
    onAnswer: () => () => undefined,
    isThere: () => true,
  };
}
