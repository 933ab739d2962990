/** Which kubelet runs: each one makes its registration socket anew when it starts. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeletPaths } from './paths.ts';

/** Where plugins register themselves with a kubelet that does not watch for them. */
export function kubeletSocket(paths: KubeletPaths): string {
  return join(paths.devicePluginsDir, 'kubelet.sock');
}

/** `undefined` while kubelet has not made its socket. Inode numbers are reused at once; with the time of the last change they are not. */
export function runningKubelet(paths: KubeletPaths): string | undefined {
  const found = statSync(kubeletSocket(paths), { throwIfNoEntry: false });
  return found === undefined ? undefined : `${found.ino}:${found.ctimeMs}`;
}
