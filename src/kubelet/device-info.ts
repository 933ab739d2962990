/**
 * Device-info files of the Network Plumbing Working Group (device information specification 1.1):
 * Multus copies the file of a device that kubelet allocated into the pod's network status. To
 * debug: they are plain JSON below `<root>/dp`.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../engine/logger.ts';
import type { PoolFunction } from '../engine/pools/model.ts';
import type { Grant } from './grants.ts';
import { namesIn, textOf, writeWhole } from './whole-file.ts';

export interface DeviceInfoFolder {
  /**
   * Replaces the device's file at once for readers, unless it says the same.
   * @throws BerthError `Io`, `file-not-written`.
   */
  write(resource: string, given: PoolFunction, grant?: Grant): void;
  /** The devices of these resources that have a file. Files of other resources are other people's. */
  list(resources: readonly string[]): Promise<readonly DeviceInfoFile[]>;
  /** Removes a device's file; one that is not there is fine. */
  remove(file: DeviceInfoFile): Promise<void>;
}

/** Whose file it is. */
export interface DeviceInfoFile {
  readonly resource: string;
  /** The device's id. */
  readonly id: string;
}

const SUFFIX = '-device.json';

/** `root` is `/var/run/k8s.cni.cncf.io/devinfo` on a node. */
export function createDeviceInfoFolder(root: string, log: Logger): DeviceInfoFolder {
  const directory = join(root, 'dp');
  return {
    write: (resource, given, grant) => {
      const content = JSON.stringify(infoOf(given, grant));
      const path = join(directory, fileName(resource, given.pci.address));
      if (textOf(path) !== content) writeWhole(path, content, 0o444);
    },
    list: async (resources) => (await namesIn(directory)).flatMap((name) => ownerOf(name, resources) ?? []),
    remove: async ({ resource, id }) => {
      const file = fileName(resource, id);
      await rm(join(directory, file), { force: true });
      log.info({ file, resource, device: id }, 'stale device-info file removed');
    },
  };
}

/** What the specification knows of the device; absent facts are left out. */
function infoOf({ pci, pf }: PoolFunction, grant: Grant | undefined): object {
  const common = {
    'pci-address': pci.address,
    ...(pf === undefined ? {} : { 'pf-pci-address': pf.address }),
    ...(pf === undefined || pci.representor === undefined ? {} : { 'representor-device': pci.representor }),
  };
  const vdpa = pci.vdpa?.find(({ type }) => type !== undefined);
  if (vdpa !== undefined) {
    const path = vdpa.node === undefined ? {} : { path: vdpa.node };
    return {
      type: 'vdpa',
      version: '1.1.0',
      vdpa: { 'parent-device': vdpa.name, driver: vdpa.type, ...path, ...common },
    };
  }
  const rdma = (pci.rdma ?? []).map(({ name }) => name).join(',');
  return {
    type: 'pci',
    version: '1.1.0',
    pci: {
      ...common,
      ...(grant?.vhostNet === undefined ? {} : { 'vhost-net': grant.vhostNet }),
      ...(rdma === '' ? {} : { 'rdma-device': rdma }),
    },
  };
}

function fileName(resource: string, id: string): string {
  return `${resource.replaceAll('/', '-')}-${id}${SUFFIX}`;
}

/** Resources may begin alike (`vf`, `vf-vfio`): the longest that fits is the owner. */
function ownerOf(name: string, resources: readonly string[]): DeviceInfoFile | undefined {
  const fitting = resources.filter((resource) => name.startsWith(fileName(resource, '').slice(0, -SUFFIX.length)));
  const [resource] = fitting.toSorted((a, b) => b.length - a.length);
  if (resource === undefined || !name.endsWith(SUFFIX)) return undefined;
  return { resource, id: name.slice(resource.length + 1, -SUFFIX.length) };
}
