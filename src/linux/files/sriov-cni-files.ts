/**
 * The state of sriov-cni on disk (its default folder `/var/lib/cni/sriov`): caches
 * `<container id>-<interface>` with the configuration and the VF's state before ADD, and claims
 * `pci/<address>` with the path of the sandbox. Read whole when asked: a node has some dozens.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { AttachmentKey } from '../../engine/attachments/model.ts';
import type { SriovCniCache, SriovCniFiles } from '../../engine/attachments/peers/port.ts';
import { asContainerId, asIfName } from '../../engine/values.ts';
import { errnoOf, ioError } from './io-error.ts';
import { removeFile } from './remove-file.ts';

const MOST_BYTES = 1 << 20;

export function createSriovCniFiles(folder = '/var/lib/cni/sriov'): SriovCniFiles {
  const remedy = `Make ${folder} readable and writable.`;
  const attempt = <T>(what: string, work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
      throw ioError(error, 'sriov-cni-state-failed', what, remedy);
    }
  };
  const read = (name: string, key: AttachmentKey): SriovCniCache | undefined =>
    attempt(`reading ${join(folder, name)}`, () => {
      const path = join(folder, name);
      const about = statSync(path);
      if (!about.isFile() || about.size > MOST_BYTES) return undefined;
      return { key, json: asJson(readFileSync(path, 'utf8')), writtenAtMs: about.mtimeMs };
    });
  return {
    caches: () =>
      (attempt(`listing ${folder}`, () => readdirSync(folder)) ?? []).flatMap((name) => {
        const key = keyOf(name);
        const cache = key === undefined ? undefined : read(name, key);
        return cache === undefined ? [] : [cache];
      }),
    cache: (key) => read(fileName(key), key),
    claim: (device) => {
      const path = join(folder, 'pci', device);
      return attempt(`reading ${path}`, () => readFileSync(path, 'utf8').trim());
    },
    removeCache: (key) => {
      attempt(`removing ${fileName(key)} in ${folder}`, () => removeFile(join(folder, fileName(key))));
    },
    removeClaim: (device, sandboxPath) => {
      const path = join(folder, 'pci', device);
      attempt(`removing ${path}`, () => {
        if (readFileSync(path, 'utf8').trim() === sandboxPath) removeFile(path);
      });
    },
  };
}

function fileName({ containerId, ifname }: AttachmentKey): string {
  return `${containerId}-${ifname}`;
}

/** Container ids of Kubernetes are 64 hexadecimal digits; of others the last "-" is the most likely place. */
function keyOf(name: string): AttachmentKey | undefined {
  const cut = /^[0-9a-f]{64}-./.test(name) ? 64 : name.lastIndexOf('-');
  const containerId = cut < 1 ? undefined : asContainerId(name.slice(0, cut));
  const ifname = asIfName(name.slice(cut + 1));
  return containerId === undefined || ifname === undefined ? undefined : { containerId, ifname };
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Half written, or of something else: the engine tells that it cannot be understood.
    return undefined;
  }
}
