/**
 * The node of a kernel test: the process's own namespace with its uplink (see
 * test/kernel/own-namespace.ts), sandboxes beside it, and a scratch folder. `remove` takes all of it
 * away, also when a test threw.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKernel, type LinuxKernel } from '../../src/linux/kernel.ts';
import { ip, makeNamedNamespace } from '../kernel/own-namespace.ts';

export interface PrivateNode {
  readonly kernel: LinuxKernel;
  /** A scratch folder, gone in the end. */
  readonly folder: string;
  /** Makes a sandbox; answers its path. */
  addSandbox(name: string): string;
  removeSandbox(name: string): void;
  /** Runs `ip` in the sandbox and answers its JSON. */
  ip(args: readonly string[], sandbox: string): unknown;
  remove(): void;
}

/** `leaveMachine` must have been called. */
export function createPrivateNode(): PrivateNode {
  const sandboxes = new Map<string, ReturnType<typeof makeNamedNamespace>>();
  const sandbox = (name: string): ReturnType<typeof makeNamedNamespace> => {
    const found = sandboxes.get(name);
    if (found === undefined) throw new Error(`there is no sandbox ${name}`);
    return found;
  };
  const kernel = createKernel({ pciFunction: () => Promise.resolve(undefined) });
  const folder = mkdtempSync(join(tmpdir(), 'berth-node-'));
  return {
    kernel,
    folder,
    addSandbox: (name) => {
      const made = makeNamedNamespace();
      sandboxes.set(name, made);
      return made.path;
    },
    removeSandbox: (name) => sandbox(name).remove(),
    ip: (args, name) => {
      const output = ip('-n', sandbox(name).name, '-j', '-d', ...args);
      return output.trim() === '' ? [] : JSON.parse(output);
    },
    remove: () => {
      for (const made of sandboxes.values()) made.remove();
      kernel.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
