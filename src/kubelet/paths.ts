/** Where kubelet's sockets are, and where ours go. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { BerthError } from '../engine/errors.ts';

/** Folders and sockets of one kubelet. */
export interface KubeletPaths {
  /** Legacy registration: `kubelet.sock` and the plugins' own sockets. Emptied by kubelet at its start. */
  readonly devicePluginsDir: string;
  /** Plugin watcher: kubelet calls whatever socket appears here. */
  readonly pluginsRegistryDir: string;
  readonly podResourcesSocket: string;
}

/** The way a resource is registered. */
export type RegistrationMode = 'watcher' | 'legacy';

/** sun_path holds 108 bytes with the final NUL (linux/un.h). */
const MAX_SOCKET_PATH_BYTES = 107;

/** Kubelet's layout below its root folder, `/var/lib/kubelet` unless it was started with `--root-dir`. */
export function kubeletPaths(kubeletDir: string): KubeletPaths {
  return {
    devicePluginsDir: join(kubeletDir, 'device-plugins'),
    pluginsRegistryDir: join(kubeletDir, 'plugins_registry'),
    podResourcesSocket: join(kubeletDir, 'pod-resources', 'kubelet.sock'),
  };
}

/** `berth-<prefix>_<pool>.sock`, or a hash of it where the path would be too long for a socket. */
export function pluginSocketPath(directory: string, resource: string): string {
  const readable = join(directory, `berth-${resource.replaceAll('/', '_')}.sock`);
  if (Buffer.byteLength(readable) <= MAX_SOCKET_PATH_BYTES) return readable;
  const hash = createHash('sha256').update(resource).digest('hex').slice(0, 16);
  return requireSocketPath(join(directory, `berth-${hash}.sock`));
}

/** Throws `Invalid` (`socket-path-too-long`): the kernel would refuse it, or older libraries cut it off silently. */
export function requireSocketPath(path: string): string {
  const bytes = Buffer.byteLength(path);
  if (bytes <= MAX_SOCKET_PATH_BYTES) return path;
  throw new BerthError({
    code: 'Invalid',
    reason: 'socket-path-too-long',
    message: `the socket path ${path} has ${bytes} bytes; the kernel allows ${MAX_SOCKET_PATH_BYTES}`,
    remedy: 'Give kubelet a shorter --root-dir, or mount its folders under shorter paths and set paths.kubeletDir.',
  });
}
