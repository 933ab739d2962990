/** Multus's folder of device-info files, as far as a CNI plugin writes to it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, ioError } from './io-error.ts';
import { makeFolder } from './make-folder.ts';
import { removeFile } from './remove-file.ts';

/** `root` is `/var/run/k8s.cni.cncf.io/devinfo` on a node. Names are of files directly in its folder `cni`. */
export function createDeviceInfoFiles(root: string): {
  readonly root: string;
  create(name: string, content: string): boolean;
  remove(name: string): void;
} {
  const folder = join(root, 'cni');
  return {
    root,
    create: (name, content) => {
      try {
        makeFolder(folder, 0o755);
        // Exclusive: what is there is Multus's copy, and a link is not followed.
        writeFileSync(join(folder, name), content, { flag: 'wx', mode: 0o444 });
        return true;
      } catch (error) {
        if (errnoOf(error) === 'EEXIST') return false;
        throw ioError(
          error,
          'device-info-not-written',
          `writing the device-info file ${join(folder, name)}`,
          `Mount ${folder} into the agent, or remove the capability CNIDeviceInfoFile from the network.`,
        );
      }
    },
    remove: (name) => removeFile(join(folder, name)),
  };
}
