/**
 * Which of the node's common character devices there are. Each is a misc device with a folder in
 * sysfs, which an agent sees that has a /dev of its own; a module that is loaded when its node is
 * opened (static nodes of depmod, `modules.devname`) has only the node. To debug: `ls /sys/class/misc`.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeDevice, NodeDevices } from '../engine/pools/node-devices.ts';

const MISC_NAMES: Readonly<Record<NodeDevice, string>> = {
  '/dev/vhost-net': 'vhost-net',
  '/dev/net/tun': 'tun',
  '/dev/iommu': 'iommu',
  '/dev/vfio/vfio': 'vfio',
};

/** Looks each time it is asked: two system calls at most. `root` is `/` on a node. */
export function createNodeDevices(root: string): NodeDevices {
  return {
    has: (device) => existsSync(join(root, 'sys/class/misc', MISC_NAMES[device])) || existsSync(join(root, device)),
  };
}
