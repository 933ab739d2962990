/**
 * The device-info file of an attachment (capability CNIDeviceInfoFile, device information
 * specification 1.1): Multus names it and copies it into the pod's network status. It is mostly
 * there before ADD, copied from the device plugin's; where it is not, the plugin may write it.
 * Multus removes it after DEL.
 */
import { basename, dirname, join } from 'node:path';
import type { LinkSpec } from '../engine/attachments/model.ts';
import type { PciAddress } from '../engine/values.ts';
import type { ConfigProblem, NetworkConfig } from './config.ts';
import type { DeviceInfoFiles } from './port.ts';

/**
 * The path where a file is wanted. One elsewhere than in Multus's own folder goes to `problems`: the
 * definition's author can write runtimeConfig too, and the agent is root.
 */
export function parseDeviceInfoPath(
  config: NetworkConfig,
  files: DeviceInfoFiles | undefined,
  problems: ConfigProblem[],
): string | undefined {
  const path = config.runtimeConfig?.CNIDeviceInfoFile;
  if (path === undefined || path === '' || files === undefined) return undefined;
  const folder = join(files.root, 'cni');
  const name = basename(path);
  if (withoutLink(join(dirname(path), name)) !== withoutLink(join(folder, name)) || name.startsWith('.')) {
    problems.push({
      path: 'runtimeConfig.CNIDeviceInfoFile',
      message: `${JSON.stringify(path)} is not a file directly in ${folder}`,
    });
  }
  return join(folder, name);
}

/** Writes the file unless there is one. Answers how to take it back. Throws `Io` when it cannot be written. */
export function writeDeviceInfo(
  path: string | undefined,
  link: LinkSpec,
  files: DeviceInfoFiles | undefined,
): () => void {
  const pci = pciOf(link);
  if (path === undefined || pci === undefined || files === undefined) return () => undefined;
  const info = { type: 'pci', version: '1.1.0', pci: { 'pci-address': pci } };
  const made = files.create(basename(path), JSON.stringify(info));
  return () => {
    if (made) files.remove(basename(path));
  };
}

/** As far as the definition names it by its PCI address. */
function pciOf(link: LinkSpec): PciAddress | undefined {
  if (link.kind === 'vf') return link.device;
  return link.kind === 'host-device' && link.device.by === 'pci' ? link.device.address : undefined;
}

/** `/var/run` is a symbolic link to `/run` everywhere (FHS 3.0). */
function withoutLink(path: string): string {
  return path.replace(/^\/var\/run\//, '/run/');
}
