/** A node for the tests of the kubelet front end: four VFs as in the recorded exchanges, a stand-in kubelet, a front end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PodDevices } from '../../src/engine/attachments/pod-devices.ts';
import { type Logger, silentLogger } from '../../src/engine/logger.ts';
import type { PoolSpec } from '../../src/engine/pools/model.ts';
import type { NodeDevice } from '../../src/engine/pools/node-devices.ts';
import { createPoolSet, type PoolSet } from '../../src/engine/pools/pool-set.ts';
import { Delivery } from '../../src/kubelet/delivery.ts';
import { createDeviceInfoFolder } from '../../src/kubelet/device-info.ts';
import {
  createKubeletFrontEnd,
  type KubeletFrontEnd,
  kubeletPaths,
  type RegistrationChoice,
  type RegistrationTimings,
} from '../../src/kubelet/index.ts';
import { inventory, nic, vf, vfSpec } from '../engine/pools/build.ts';
import { createKubelet, type StandInKubelet, type StandInKubeletOptions } from '../standins/kubelet/index.ts';

export const RESOURCE = 'rig.example/vf';
export const DEVICES = [0, 1, 2, 3].map((index) => `0000:41:10.${index}`);

/** Short, so that no test waits; generous where a slow machine must not fail one. */
export const TIMINGS: RegistrationTimings = {
  retryFirstMs: 10,
  retryLimitMs: 100,
  registerTimeoutMs: 5_000,
  streamTimeoutMs: 5_000,
  stableMs: 50,
  checkMs: 500,
  stalledMs: 20,
  confirmStaleMs: 0,
};

export const NODE_DEVICES: readonly NodeDevice[] = ['/dev/vhost-net', '/dev/net/tun', '/dev/vfio/vfio'];

export interface TestNode {
  readonly dir: string;
  readonly kubelet: StandInKubelet;
  readonly pools: PoolSet;
  frontEnd(options?: FrontEndOptions): KubeletFrontEnd;
  /** Resolves once kubelet counts that many allocatable devices. */
  allocatable(count: number, resource?: string): Promise<void>;
  close(): Promise<void>;
}

export interface FrontEndOptions {
  readonly registration?: RegistrationChoice;
  readonly timings?: Partial<RegistrationTimings>;
  readonly log?: Logger;
  readonly useCdi?: boolean;
  readonly podDevices?: PodDevices;
  readonly onGiven?: (devices: readonly string[]) => void;
  /** What the node has; all but iommufd unless told otherwise. */
  readonly nodeDevices?: readonly NodeDevice[];
}

/** VFs 0 and 1 on NUMA node 0, 2 and 3 on node 1. */
export function fourVfs() {
  return inventory([
    nic(
      'eth0',
      [0, 1, 2, 3].map((index) => vf(index, { numaNode: index < 2 ? 0 : 1 })),
    ),
  ]);
}

export async function testNode(
  options: Omit<StandInKubeletOptions, 'dir'> & { readonly specs?: readonly PoolSpec[] } = {},
): Promise<TestNode> {
  const dir = mkdtempSync(join(tmpdir(), 'berth-'));
  const kubelet = await createKubelet({ dir, ...options });
  const pools = createPoolSet({
    specs: options.specs ?? [vfSpec({ resource: RESOURCE })],
    inventory: fourVfs(),
    log: silentLogger,
  });
  const frontEnds: KubeletFrontEnd[] = [];
  return {
    dir,
    kubelet,
    pools,
    frontEnd: ({
      registration = 'auto',
      timings = {},
      log = silentLogger,
      useCdi = false,
      nodeDevices = NODE_DEVICES,
      podDevices,
      onGiven,
    } = {}) => {
      const frontEnd = createKubeletFrontEnd({
        pools,
        paths: kubeletPaths(dir),
        deviceInfoDir: join(dir, 'devinfo'),
        cdiDir: join(dir, 'cdi'),
        useCdi,
        offeredResourcesFile: join(dir, 'offered-resources.json'),
        nodeDevices: { has: (device) => nodeDevices.includes(device) },
        ...(podDevices === undefined ? {} : { podDevices }),
        ...(onGiven === undefined ? {} : { onGiven }),
        registration,
        log,
        timings: { ...TIMINGS, ...timings },
      });
      frontEnds.push(frontEnd);
      return frontEnd;
    },
    allocatable: (count, resource = RESOURCE) =>
      kubelet.until(() => kubelet.node().allocatable[resource] === count, `${count} allocatable ${resource}`),
    close: async () => {
      for (const frontEnd of frontEnds) await frontEnd.stop();
      pools.stop();
      await kubelet.stop();
      rmSync(dir, { recursive: true });
    },
  };
}

export function pod(name: string, count: number, resource = RESOURCE) {
  return { namespace: 'default', name, containers: [{ name: 'main', resources: { [resource]: count } }] };
}

/** What a container gets on that node, without CDI. */
export function deliveryOf({ dir, pools }: Pick<TestNode, 'dir' | 'pools'>): Delivery {
  const deviceInfo = createDeviceInfoFolder(join(dir, 'devinfo'), silentLogger);
  return new Delivery({ pools, node: { has: () => true }, deviceInfo, log: silentLogger });
}
