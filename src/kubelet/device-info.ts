/**
 * Device-info files of the Network Plumbing Working Group (device information specification 1.1):
 * Multus copies the file of a device that kubelet allocated into the pod's network status. To
 * debug: they are plain JSON below `<root>/dp`.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../engine/logger.ts';
import type { PoolFunction } from '../engine/pools/model.ts';

export interface DeviceInfoFolder {
  /**
   * Replaces the device's file at once for readers, unless it says the same. Throws what the file
   * system says. Synchronous: some hundred bytes on a tmpfs, and a pod's admission waits for them.
   */
  write(resource: string, given: PoolFunction): void;
  /**
   * Removes the files of these resources whose device is not to be kept. Files of other resources
   * are other people's, and are left alone.
   */
  prune(resources: readonly string[], keep: (resource: string, id: string) => boolean): Promise<void>;
}

const SUFFIX = '-device.json';

/** `root` is `/var/run/k8s.cni.cncf.io/devinfo` on a node. */
export function createDeviceInfoFolder(root: string, log: Logger): DeviceInfoFolder {
  const directory = join(root, 'dp');
  return {
    write: (resource, { pci, pf }) => {
      const content = JSON.stringify({
        type: 'pci',
        version: '1.1.0',
        pci: { 'pci-address': pci.address, ...(pf === undefined ? {} : { 'pf-pci-address': pf.address }) },
      });
      const path = join(directory, fileName(resource, pci.address));
      if (textOf(path) === content) return;
      mkdirSync(directory, { recursive: true });
      const temporary = join(directory, `.${randomBytes(6).toString('hex')}`);
      try {
        writeFileSync(temporary, content, { mode: 0o444, flag: 'wx' });
        renameSync(temporary, path);
      } catch (error) {
        rmSync(temporary, { force: true });
        throw error;
      }
    },
    prune: async (resources, keep) => {
      for (const name of await namesIn(directory)) {
        const owner = ownerOf(name, resources);
        if (owner === undefined || keep(owner.resource, owner.id)) continue;
        await rm(join(directory, name), { force: true });
        log.info({ file: name, resource: owner.resource, device: owner.id }, 'stale device-info file removed');
      }
    },
  };
}

function fileName(resource: string, id: string): string {
  return `${resource.replaceAll('/', '-')}-${id}${SUFFIX}`;
}

/** Resources may begin alike (`vf`, `vf-vfio`): the longest that fits is the owner. */
function ownerOf(name: string, resources: readonly string[]): { resource: string; id: string } | undefined {
  const fitting = resources.filter((resource) => name.startsWith(fileName(resource, '').slice(0, -SUFFIX.length)));
  const [resource] = fitting.toSorted((a, b) => b.length - a.length);
  if (resource === undefined || !name.endsWith(SUFFIX)) return undefined;
  return { resource, id: name.slice(resource.length + 1, -SUFFIX.length) };
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
