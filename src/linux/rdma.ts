/**
 * RDMA devices and the namespaces they are in. A kernel without the subsystem has none, and is not
 * made to load it: asking over netlink would. To debug: `rdma system`, `ip netns exec NAME rdma dev`.
 */
import { existsSync } from 'node:fs';
import type { Namespace, RdmaPort } from '../engine/attachments/port.ts';
import { BerthError } from '../engine/errors.ts';
import {
  RDMA_NLDEV_CMD_GET,
  RDMA_NLDEV_CMD_SET,
  RDMA_NLDEV_CMD_SYS_GET,
  type RdmaDeviceFacts,
  readRdmaDevice,
  readRdmaMode,
  writeRdmaMove,
} from './netlink/rdma.ts';
import { malformed } from './netlink/wire/attribute.ts';
import { KernelNamespace } from './netns/namespace.ts';

/** Where the kernel shows RDMA devices once the subsystem is loaded. */
const RDMA_CLASS = '/sys/class/infiniband';

export function createRdma(host: KernelNamespace, classFolder: string = RDMA_CLASS): RdmaPort {
  const hasSubsystem = (): boolean => existsSync(classFolder);
  return {
    async mode() {
      if (!hasSubsystem()) return undefined;
      const [message] = await host.rdma((client) =>
        client.request({ type: RDMA_NLDEV_CMD_SYS_GET, op: 'rdma.mode', fill: () => undefined }),
      );
      return message === undefined ? undefined : readRdmaMode(message.payload);
    },

    async has(at, name) {
      if (!hasSubsystem()) return false;
      return (await devicesIn(kernelNamespace(at))).some((device) => device.name === name);
    },

    async move(name, from, to) {
      const [source, target] = [kernelNamespace(from), kernelNamespace(to)];
      const device = (await devicesIn(source)).find((each) => each.name === name);
      if (device === undefined) {
        throw new BerthError({
          code: 'NotFound',
          reason: 'rdma-device-gone',
          message: `there is no RDMA device ${name} ${from.isHost ? 'on the node' : 'in the sandbox'}`,
          remedy: 'Compare with `rdma dev`; its driver may have been bound anew.',
        });
      }
      const release = target.hold();
      try {
        await source.rdma((client) =>
          client.request({
            type: RDMA_NLDEV_CMD_SET,
            op: 'rdma.move',
            target: name,
            fill: (writer) => writeRdmaMove(writer, device.index, target.descriptor),
          }),
        );
      } finally {
        release();
      }
    },
  };
}

async function devicesIn(namespace: KernelNamespace): Promise<readonly RdmaDeviceFacts[]> {
  const messages = await namespace.rdma((client) =>
    client.dump({ type: RDMA_NLDEV_CMD_GET, op: 'rdma.list', fill: () => undefined }),
  );
  return messages.map(({ payload }) => readRdmaDevice(payload));
}

function kernelNamespace(namespace: Namespace): KernelNamespace {
  if (namespace instanceof KernelNamespace) return namespace;
  throw malformed('an RDMA device in a namespace of another kernel');
}
