/**
 * A node with the whole program on it: the agent as a process, the compiled shim, the stand-ins for
 * kubelet and runtime, and a veth uplink, all in namespaces of the test's own. `leaveMachine` must
 * have been called.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { AgentStatus } from '../../src/engine/view.ts';
import { getFromAgent } from '../../src/http/client.ts';
import { buildShim, temporaryFolder } from '../shim/built-shim.ts';
import { eventually } from './eventually.ts';
import { createKubelet, type StandInKubelet } from './kubelet/index.ts';
import { createRuntime, type NetworkDefinition, type Pod, type Runtime } from './runtime/index.ts';

const BERTH = join(import.meta.dirname, '..', '..', 'bin', 'berth');
/** In the lab a process starts some 20 times slower. */
const START_MS = 60_000;

/** A mount namespace in which /sys is that of the network namespace; sandboxes that are made later appear in it. */
const OWN_SYSFS = [
  ...['unshare', '--mount', '--propagation', 'slave'],
  ...['sh', '-c', 'mount -t sysfs sysfs /sys && exec "$@"', 'sh'],
];

let shim: string | undefined;

export interface AgentNode {
  readonly folder: string;
  readonly kubelet: StandInKubelet;
  readonly runtime: Runtime;
  readonly configFile: string;
  readonly shimPath: string;
  /** Starts an agent and resolves when it serves; `when: 'started'` does not wait. */
  startAgent(when?: 'serving' | 'started'): Promise<ChildProcess>;
  /** Sends the signal and resolves with the exit status, or the signal's name. */
  endAgent(agent: ChildProcess, signal: NodeJS.Signals): Promise<number | string>;
  status(): Promise<AgentStatus>;
  /** Runs another command of the program against the agent. */
  berth(...words: readonly string[]): Promise<{ readonly out: string; readonly err: string; readonly exit: number }>;
  /** What all agents on this node have logged. */
  agentLog(): string;
  /** A macvlan network whose addresses are reserved below `folder`. */
  network(name: string, more?: Readonly<Record<string, unknown>>): NetworkDefinition;
  /** Ends everything, whatever happened. */
  remove(): Promise<void>;
}

export interface AgentNodeOptions {
  /** Device ids by resource that kubelet gave to the pod; none when absent. */
  readonly devicesOf?: (pod: Pod) => ReadonlyMap<string, readonly string[]>;
  /** A program with its arguments that starts the agent, for example with fewer privileges. */
  readonly startedBy?: readonly string[];
  /** Further arguments of `berth agent`. */
  readonly agentArguments?: readonly string[];
  /** CNI_PATH; `/opt/cni/bin` when absent. */
  readonly cniPath?: string;
  /** The agent's network is that of the machine (the lab), whose sysfs it sees anyway. */
  readonly onMachine?: boolean;
}

export async function createAgentNode(config: string, options: AgentNodeOptions = {}): Promise<AgentNode> {
  // Short, because socket paths have 107 bytes at most.
  const folder = mkdtempSync('/tmp/berth-a-');
  const configFile = join(folder, 'config.yaml');
  writeFileSync(configFile, config);
  shim ??= buildShim(temporaryFolder());
  const shimPath = shim;
  const kubelet = await createKubelet({ dir: join(folder, 'k') });
  const runDir = join(folder, 'run');
  const agents = new Set<ChildProcess>();
  mkdirSync(join(folder, 'state'));
  const runtime = createRuntime({
    shimPath,
    ...(options.cniPath === undefined ? {} : { cniPath: options.cniPath }),
    devicesOf: (pod) => Promise.resolve(options.devicesOf?.(pod) ?? new Map()),
    inherited: {
      BERTH_CNI_SOCKET: join(runDir, 'cni.sock'),
      BERTH_SPOOL_FOLDER: join(folder, 'state', 'spool'),
    },
  });
  const status = (): Promise<AgentStatus> => getFromAgent(join(runDir, 'api.sock'), '/v1/status');
  const endAgent = async (agent: ChildProcess, signal: NodeJS.Signals): Promise<number | string> => {
    if (agent.exitCode === null && agent.signalCode === null) {
      const ended = once(agent, 'exit');
      agent.kill(signal);
      await ended;
    }
    agents.delete(agent);
    return agent.exitCode ?? agent.signalCode ?? 'unknown';
  };
  const startAgent = async (when: 'serving' | 'started' = 'serving'): Promise<ChildProcess> => {
    const words = [
      ...[...(options.startedBy ?? []), BERTH, 'agent', '--config', configFile, '--log-level', 'debug'],
      ...['--run-dir', runDir, '--state-dir', join(folder, 'state'), '--kubelet-dir', join(folder, 'k')],
      ...['--device-info-dir', join(folder, 'devinfo')],
      ...(options.agentArguments ?? []),
    ];
    const command = options.onMachine === true ? words : [...OWN_SYSFS, ...words];
    const agent = spawn(command[0] ?? '', command.slice(1), { stdio: ['ignore', 'inherit', 'pipe'] });
    agents.add(agent);
    agent.stderr.pipe(createWriteStream(join(folder, 'agent.log'), { flags: 'a' }));
    if (when === 'started') return agent;
    await eventually(
      async () => {
        if (agent.exitCode !== null || agent.signalCode !== null) throw new Error('the agent ended');
        await status();
      },
      START_MS,
      () => `the agent to serve\n${readFileSync(join(folder, 'agent.log'), 'utf8')}`,
    );
    return agent;
  };
  const berth: AgentNode['berth'] = async (...words) => {
    const child = spawn(BERTH, [...words, '--run-dir', runDir], { stdio: ['ignore', 'pipe', 'pipe'] });
    const [out, err] = [child.stdout, child.stderr].map((stream) => text(stream));
    await once(child, 'close');
    return { out: (await out) ?? '', err: (await err) ?? '', exit: child.exitCode ?? -1 };
  };
  return {
    folder,
    kubelet,
    runtime,
    configFile,
    shimPath,
    startAgent,
    endAgent,
    status,
    berth,
    agentLog: () => readFileSync(join(folder, 'agent.log'), 'utf8'),
    network: (name, more = {}) => ({
      namespace: 'default',
      name,
      config: {
        cniVersion: '1.0.0',
        name,
        type: 'macvlan',
        master: 'up0',
        ...more,
        ipam: { type: 'host-local', dataDir: join(folder, 'networks'), ranges: [[{ subnet: '10.88.0.0/24' }]] },
      },
    }),
    remove: async () => {
      for (const agent of [...agents]) await endAgent(agent, 'SIGKILL');
      await runtime.close();
      await kubelet.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
