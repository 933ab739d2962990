/**
 * A container runtime with Multus, as far as a secondary plugin can see: it makes sandboxes, writes
 * the delegate's configuration and environment, executes the plugin, keeps its results, and calls
 * DEL in the orders that were recorded from real ones (test/fixtures/exchanges), stale and repeated
 * ones included. It runs no containers and has no default network.
 */
import { randomBytes } from 'node:crypto';
import { type DelegateOptions, delegateConfig, delegateEnvironment } from './delegate.ts';
import { type Execute, executeProcess } from './execute.ts';
import {
  type Attachment,
  type NetworkSelection,
  type PluginCall,
  type PluginError,
  PluginFailure,
  type Pod,
  type Sandbox,
} from './model.ts';
import { namedSandboxes, type SandboxMaker } from './sandboxes.ts';

export interface RuntimeOptions {
  /** The program that stands for every plugin type; it is executed with `<cniPath>/<type>` as argv[0]. */
  readonly shimPath: string;
  readonly cniPath?: string;
  readonly style?: 'thin' | 'thick';
  /** Environment that plugins inherit besides `CNI_*`, for example BERTH_CNI_SOCKET. */
  readonly inherited?: Readonly<Record<string, string>>;
  /** The pod's device ids by resource, as kubelet's pod-resources lists them now, in any order. */
  readonly devicesOf: (pod: Pod) => Promise<ReadonlyMap<string, readonly string[]>>;
  readonly sandboxes?: SandboxMaker;
  readonly execute?: Execute;
  readonly random?: () => number;
}

export interface Runtime {
  /**
   * Makes the sandbox and calls ADD for each network in order. When one fails: DEL for it and for
   * those before it, backwards, then the sandbox ends, and the failure is thrown.
   */
  addPod(pod: Pod, networks: readonly NetworkSelection[]): Promise<Sandbox>;
  /** DEL for each network backwards, then the sandbox ends. Throws the first failure; the sandbox stays then, for another try. */
  deletePod(pod: Pod): Promise<void>;
  /** DEL for the pod's sandbox without anything changing on the runtime's side: what a repeated try looks like. */
  repeatDel(pod: Pod): Promise<void>;
  /** CHECK of every network. */
  checkPod(pod: Pod): Promise<void>;
  /** The sandbox ends and a new one, with another container id and the same devices, takes its place (del-4). */
  remakeSandbox(pod: Pod): Promise<Sandbox>;
  /** What kubelet's sandbox collection causes (del-7): two DELs for each network of every ended sandbox of the pod, with an empty CNI_NETNS, no result, and the device that the pod holds now. */
  collectSandboxes(pod: Pod): Promise<void>;
  /** DEL for a container id that never had an ADD (del-8). */
  delWithoutAdd(pod: Pod, networks: readonly NetworkSelection[]): Promise<void>;
  /** The sandbox dies without any DEL (a missed one, del-3). */
  loseSandbox(pod: Pod): Promise<void>;
  sandboxOf(pod: Pod): Sandbox | undefined;
  /** Every execution so far. */
  readonly calls: readonly PluginCall[];
  /** Ends every sandbox that is left, without DEL. To be called in any case. */
  close(): Promise<void>;
}

interface Living {
  readonly pod: Pod;
  readonly networks: readonly NetworkSelection[];
  readonly containerId: string;
  readonly netns: string;
  readonly attachments: Attachment[];
}

interface Target {
  readonly pod: Pod;
  readonly containerId: string;
  readonly netns: string;
}

export function createRuntime(options: RuntimeOptions): Runtime {
  const sandboxes = options.sandboxes ?? namedSandboxes();
  const execute = options.execute ?? executeProcess;
  const cniPath = options.cniPath ?? '/opt/cni/bin';
  const delegate: DelegateOptions = {
    style: options.style ?? 'thin',
    cniPath,
    inherited: options.inherited ?? {},
    random: options.random ?? Math.random,
  };
  const calls: PluginCall[] = [];
  const living = new Map<string, Living>();
  const ended = new Map<string, Living[]>();

  /** Multus sorts the ids and gives each attachment of a resource the next one; then none. */
  const assignDevices = async (pod: Pod, networks: readonly NetworkSelection[]): Promise<(string | undefined)[]> => {
    const left = new Map([...(await options.devicesOf(pod))].map(([resource, ids]) => [resource, [...ids].sort()]));
    return networks.map(({ network }) =>
      network.resourceName === undefined ? undefined : left.get(network.resourceName)?.shift(),
    );
  };

  const call = async (
    command: 'ADD' | 'DEL' | 'CHECK',
    target: Target,
    index: number,
    selection: NetworkSelection,
    deviceId: string | undefined,
    cached: Readonly<Record<string, unknown>> | undefined,
  ): Promise<PluginCall> => {
    const ifname = selection.interface ?? `net${index + 1}`;
    const parameters = {
      command,
      ...target,
      ifname,
      selection,
      deviceId,
      previousResult: keepsResult(selection) ? cached : undefined,
    };
    const env = delegateEnvironment(parameters, delegate);
    const stdin = delegateConfig(parameters);
    const argv0 = `${cniPath}/${selection.network.config.type}`;
    const startedMs = performance.now();
    const { exitCode, stdout } = await execute({ path: options.shimPath, argv0, env, stdin });
    const durationMs = performance.now() - startedMs;
    const done: PluginCall = {
      command,
      containerId: target.containerId,
      ifname,
      argv0,
      env,
      stdin,
      exitCode,
      stdout,
      durationMs,
    };
    calls.push(done);
    if (exitCode !== 0) throw new PluginFailure(done, errorOf(stdout));
    return done;
  };

  /** All are tried, backwards; the first failure is thrown at the end. */
  const delAll = async (
    target: Target,
    networks: readonly NetworkSelection[],
    attachments: readonly Attachment[],
  ): Promise<void> => {
    const devices = await assignDevices(target.pod, networks);
    const failures: unknown[] = [];
    for (const [index, selection] of [...networks.entries()].reverse()) {
      const ifname = selection.interface ?? `net${index + 1}`;
      const cached = attachments.find((attachment) => attachment.ifname === ifname)?.result;
      await call('DEL', target, index, selection, devices[index], cached).catch((error: unknown) =>
        failures.push(error),
      );
    }
    if (failures.length > 0) throw failures[0];
  };

  const start = async (pod: Pod, networks: readonly NetworkSelection[]): Promise<Living> => {
    const netns = await sandboxes.make();
    const sandbox: Living = { pod, networks, containerId: randomBytes(32).toString('hex'), netns, attachments: [] };
    living.set(keyOf(pod), sandbox);
    const devices = await assignDevices(pod, networks);
    for (const [index, selection] of networks.entries()) {
      try {
        const done = await call('ADD', sandbox, index, selection, devices[index], undefined);
        sandbox.attachments.push({
          ifname: done.ifname,
          network: selection.network,
          result: JSON.parse(done.stdout),
          addDurationMs: done.durationMs,
        });
      } catch (failure) {
        await delAll(sandbox, networks.slice(0, index + 1), sandbox.attachments).catch((error: unknown) => {
          throw new AggregateError([failure, error], 'ADD failed, and so did the DEL after it');
        });
        await stop(sandbox);
        throw failure;
      }
    }
    return sandbox;
  };

  const stop = async (sandbox: Living): Promise<void> => {
    await sandboxes.remove(sandbox.netns);
    living.delete(keyOf(sandbox.pod));
    const before = ended.get(keyOf(sandbox.pod)) ?? [];
    ended.set(keyOf(sandbox.pod), [...before, sandbox]);
  };

  const mustLive = (pod: Pod): Living => {
    const sandbox = living.get(keyOf(pod));
    if (sandbox === undefined) throw new Error(`pod ${keyOf(pod)} has no sandbox`);
    return sandbox;
  };

  return {
    calls,
    addPod: async (pod, networks) => {
      if (living.has(keyOf(pod))) throw new Error(`pod ${keyOf(pod)} has a sandbox already`);
      return start(pod, networks);
    },
    deletePod: async (pod) => {
      const sandbox = mustLive(pod);
      await delAll(sandbox, sandbox.networks, sandbox.attachments);
      await stop(sandbox);
    },
    repeatDel: async (pod) => {
      const sandbox = living.get(keyOf(pod)) ?? ended.get(keyOf(pod))?.at(-1);
      if (sandbox === undefined) throw new Error(`pod ${keyOf(pod)} never had a sandbox`);
      const netns = living.has(keyOf(pod)) ? sandbox.netns : '';
      await delAll({ ...sandbox, netns }, sandbox.networks, netns === '' ? [] : sandbox.attachments);
    },
    checkPod: async (pod) => {
      const sandbox = mustLive(pod);
      const devices = await assignDevices(pod, sandbox.networks);
      for (const [index, selection] of sandbox.networks.entries()) {
        await call('CHECK', sandbox, index, selection, devices[index], sandbox.attachments[index]?.result);
      }
    },
    remakeSandbox: async (pod) => {
      const old = mustLive(pod);
      await delAll(old, old.networks, old.attachments);
      await stop(old);
      return start(pod, old.networks);
    },
    collectSandboxes: async (pod) => {
      for (const old of ended.get(keyOf(pod)) ?? []) {
        for (let time = 0; time < 2; time++) await delAll({ ...old, netns: '' }, old.networks, []);
      }
      ended.delete(keyOf(pod));
    },
    delWithoutAdd: async (pod, networks) => {
      const netns = await sandboxes.make();
      try {
        await delAll({ pod, containerId: randomBytes(32).toString('hex'), netns }, networks, []);
      } finally {
        await sandboxes.remove(netns);
      }
    },
    loseSandbox: async (pod) => stop(mustLive(pod)),
    sandboxOf: (pod) => living.get(keyOf(pod)),
    close: async () => {
      const left = [...living.values()];
      living.clear();
      for (const sandbox of left) await sandboxes.remove(sandbox.netns);
    },
  };
}

function keyOf(pod: Pod): string {
  return `${pod.namespace}/${pod.name}`;
}

/** libcni hands results back from 0.4.0 on. */
function keepsResult({ network }: NetworkSelection): boolean {
  const [major = 0, minor = 0] = (network.config.cniVersion ?? '0.1.0').split('.').map(Number);
  return major > 0 || minor >= 4;
}

function errorOf(stdout: string): PluginError | undefined {
  try {
    const answer: unknown = JSON.parse(stdout);
    return typeof answer === 'object' && answer !== null && 'code' in answer ? (answer as PluginError) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
