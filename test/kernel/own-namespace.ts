/**
 * Namespaces for kernel tests. The test's process leaves the machine's network for one of its own,
 * so that nothing it does can touch the machine's interfaces; sandboxes are named ones beside it.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, openSync } from 'node:fs';
import type { Kernel } from '../../src/engine/attachments/port.ts';
import { parseIfName } from '../../src/engine/values.ts';
import { CLONE_NEWNET } from '../../src/linux/ffi/index.ts';
import { declare } from '../../src/linux/ffi/libc.ts';
import { createKernel, type LinuxKernel } from '../../src/linux/kernel.ts';
import type { ContractSandbox, KernelFixture } from './contract.ts';

const UPLINK = parseIfName('up0');
let count = 0;

/** Runs `ip` in the process's own namespace; throws with its words. */
export function ip(...words: readonly string[]): string {
  return execFileSync('ip', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Runs many lines of `ip` in one process. */
export function ipBatch(lines: readonly string[]): void {
  execFileSync('ip', ['-batch', '-'], { input: lines.join('\n'), stdio: ['pipe', 'ignore', 'pipe'] });
}

/**
 * Puts this thread into a new network namespace, with a veth pair `up0`/`up1` that is up. It ends
 * with the process. Call it before anything is opened.
 */
export function leaveMachine(): void {
  const result = declare('int unshare(int flags)').now(CLONE_NEWNET);
  if (result < 0) throw new Error(`unshare: errno ${-result}`);
  ip('link', 'set', 'lo', 'up');
  makeUplink();
}

function makeUplink(): void {
  ip('link', 'add', UPLINK, 'type', 'veth', 'peer', 'name', 'up1');
  ip('link', 'set', UPLINK, 'up');
  ip('link', 'set', 'up1', 'up');
}

/** A named namespace, unique among processes. */
export function makeNamedNamespace(): { readonly name: string; readonly path: string; remove(): void } {
  count += 1;
  const name = `berth-test-${process.pid}-${count}`;
  ip('netns', 'add', name);
  const path = `/run/netns/${name}`;
  return {
    name,
    path,
    remove() {
      if (existsSync(path)) ip('netns', 'del', name);
    },
  };
}

/** The live kernel with a fresh uplink; `leaveMachine` must have been called. */
export async function liveFixture(): Promise<KernelFixture & { readonly kernel: LinuxKernel }> {
  const kernel = createKernel({ pciFunction: async () => undefined });
  const made: ContractSandbox[] = [];
  return {
    kernel,
    uplink: UPLINK,
    async makeSandbox() {
      const namespace = makeNamedNamespace();
      const sandbox: ContractSandbox = {
        path: namespace.path,
        descriptor: () => openSync(namespace.path, 'r'),
        end: () => endNamespace(kernel, namespace.path, namespace.remove),
      };
      made.push(sandbox);
      return sandbox;
    },
    foreignDescriptor: () => openSync('/dev/null', 'r'),
    async end() {
      for (const sandbox of made) await sandbox.end();
      kernel.close();
    },
  };
}

/** Removes the name and waits until the kernel has ended the namespace, which it does later. */
async function endNamespace(kernel: Kernel, path: string, remove: () => void): Promise<void> {
  const namespace = await kernel.open(path);
  if (namespace === undefined) return;
  const nsid = await kernel.nsid(namespace);
  namespace.close();
  remove();
  while (await kernel.isNamespaceAlive(nsid)) await new Promise((next) => setImmediate(next));
}
