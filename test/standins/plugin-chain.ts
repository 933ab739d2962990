/**
 * A network configuration list as libcni runs it, with the compiled shim for Berth's part and real
 * plugins for the rest: ADD forwards, CHECK forwards with the last result, DEL backwards.
 */
import { basename, join } from 'node:path';
import { ip, makeNamedNamespace } from '../kernel/own-namespace.ts';
import type { AgentNode } from './agent-node.ts';
import { executeProcess } from './runtime/execute.ts';

export type Json = Readonly<Record<string, unknown>>;
export type Command = 'ADD' | 'CHECK' | 'DEL' | 'VERSION';

/** Where Debian's package has the reference plugins. */
const PLUGINS = '/usr/lib/cni';

export interface ChainSandbox {
  readonly path: string;
  readonly container: string;
  /** `net1` when absent. */
  readonly ifname?: string;
}

/** A plugin's own error. */
export class PluginFailure extends Error {}

/** The path of a reference plugin. */
export const peer = (type: string): string => join(PLUGINS, type);

/** Executes one plugin as libcni does. Throws its error as `PluginFailure`. */
export async function executePlugin(
  node: AgentNode,
  program: string,
  command: Command,
  config: Json,
  sandbox: ChainSandbox,
): Promise<Json> {
  const { exitCode, stdout } = await executeProcess({
    path: program,
    argv0: join(PLUGINS, String(config.type)),
    env: {
      PATH: process.env.PATH ?? '',
      BERTH_CNI_SOCKET: join(node.folder, 'run', 'cni.sock'),
      BERTH_SPOOL_FOLDER: join(node.folder, 'state', 'spool'),
      CNI_COMMAND: command,
      CNI_CONTAINERID: sandbox.container,
      CNI_IFNAME: sandbox.ifname ?? 'net1',
      CNI_NETNS: sandbox.path,
      CNI_PATH: PLUGINS,
    },
    stdin: JSON.stringify(config),
  });
  if (exitCode !== 0) throw new PluginFailure(`${program} ${command}: ${stdout}`);
  return stdout.trim() === '' ? {} : JSON.parse(stdout);
}

/** With a sandbox of its own, which ends with the work. */
export async function inSandbox<T>(container: string, work: (sandbox: ChainSandbox) => Promise<T>): Promise<T> {
  const namespace = makeNamedNamespace();
  try {
    return await work({ path: namespace.path, container });
  } finally {
    namespace.remove();
  }
}

/** What a test does to the sandbox of a chain: before its ADDs, and between CHECK and DEL. */
export interface ChainHooks {
  readonly prepare?: (sandbox: ChainSandbox) => void;
  readonly look?: (sandbox: ChainSandbox) => void;
}

/** Runs the list once; `first` is the program of its first plugin. Answers `done`, or where it ended. */
export async function runChain(
  node: AgentNode,
  first: string,
  plugins: readonly Json[],
  { prepare, look }: ChainHooks = {},
): Promise<string> {
  return inSandbox(`chain-${basename(first)}`, async (sandbox) => {
    const call = (command: Command, plugin: Json, at: number, prevResult: Json | undefined): Promise<Json> =>
      executePlugin(
        node,
        at === 0 ? first : peer(String(plugin.type)),
        command,
        { cniVersion: '1.0.0', name: 'chain', ...plugin, ...(prevResult === undefined ? {} : { prevResult }) },
        sandbox,
      );
    prepare?.(sandbox);
    let result: Json | undefined;
    let outcome = 'done';
    try {
      for (const [at, plugin] of plugins.entries()) result = await call('ADD', plugin, at, result);
      for (const [at, plugin] of plugins.entries()) await call('CHECK', plugin, at, result);
      look?.(sandbox);
    } catch (error) {
      if (!(error instanceof PluginFailure)) throw error;
      outcome = error.message;
    }
    for (const [at, plugin] of [...plugins.entries()].reverse())
      await call('DEL', plugin, at, result).catch((error: unknown) => {
        if (outcome === 'done') outcome = String(error);
      });
    const left = linkNames(sandbox).filter((name) => name !== 'lo');
    return outcome === 'done' && left.length > 0 ? `DEL left ${left.join(', ')}` : outcome;
  });
}

/** Of all links in the sandbox. */
export function linkNames({ path }: ChainSandbox): readonly string[] {
  const links = JSON.parse(ip('-n', basename(path), '-j', 'link', 'show')) as readonly { ifname: string }[];
  return links.map(({ ifname }) => ifname);
}
