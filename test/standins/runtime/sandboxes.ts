/** Sandboxes as containerd makes them: named network namespaces, kept by a mount. Needs root and iproute2. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface SandboxMaker {
  /** Answers the path of a new network namespace with its loopback up. */
  make(): Promise<string>;
  /** Ends one that `make` made; one that is gone is fine. */
  remove(path: string): Promise<void>;
}

/** Made by `ip netns`, so that `ip netns exec` works on them too; names begin with `cni-`. */
export function namedSandboxes(): SandboxMaker {
  return {
    make: async () => {
      const name = `cni-${randomUUID()}`;
      await run('ip', ['netns', 'add', name]);
      try {
        await run('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
      } catch (error) {
        await run('ip', ['netns', 'delete', name]);
        throw error;
      }
      return `/var/run/netns/${name}`;
    },
    remove: async (path) => {
      const name = path.slice(path.lastIndexOf('/') + 1);
      const { stdout } = await run('ip', ['netns', 'list']);
      if (stdout.split('\n').some((line) => line.split(' ')[0] === name)) await run('ip', ['netns', 'delete', name]);
    },
  };
}
