/**
 * The demo's cluster: the stand-ins for kubelet and for a runtime with Multus, and one real agent
 * process between them, started as a node admin starts it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import {
  type ListPodResourcesResponse,
  PodResourcesListerClient,
} from '../../src/kubelet/gen/podresources/v1/pod_resources.ts';
import { type AdmittedPod, createKubelet, type StandInKubelet } from '../../test/standins/kubelet/index.ts';
import {
  createRuntime,
  type NetworkDefinition,
  type Runtime,
  type Sandbox,
} from '../../test/standins/runtime/index.ts';
import { eventually } from './machine.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const KUBELET_DIR = '/var/lib/kubelet';
export const BERTH = join(ROOT, 'bin', 'berth');

export interface Cluster {
  readonly kubelet: StandInKubelet;
  readonly runtime: Runtime;
  /** Milliseconds from starting the agent's process to its first resource in kubelet. */
  readonly registeredAfterMs: number;
  /** Admits a pod that asks for one device of the network's resource, and attaches it. */
  runPod(name: string, network: NetworkDefinition): Promise<RunningPod>;
  /** As kubelet does: DEL first, then the device is free. */
  deletePod(pod: RunningPod): Promise<void>;
  /** Ends everything; safe to call after a failure. */
  close(): Promise<void>;
}

export interface RunningPod {
  readonly admitted: AdmittedPod;
  readonly sandbox: Sandbox;
  readonly device: string;
  readonly address: string;
}

const READY_MS = 60_000;

export async function startCluster(): Promise<Cluster> {
  const kubelet = await createKubelet({ dir: KUBELET_DIR });
  const podResources = new PodResourcesListerClient(
    `unix://${kubelet.paths.podResourcesSocket}`,
    credentials.createInsecure(),
  );
  const startedAt = performance.now();
  const agent = spawn(BERTH, ['agent', '--log-level', 'warn'], { stdio: ['ignore', 'ignore', 'inherit'] });
  const runtime = createRuntime({
    shimPath: join(ROOT, 'dist', 'berth-shim'),
    devicesOf: (pod) => devicesOf(podResources, pod),
  });
  const cluster = { kubelet, runtime };
  const close = async (): Promise<void> => {
    await runtime.close();
    podResources.close();
    await end(agent);
    await kubelet.stop();
  };
  try {
    await kubelet.until(() => (kubelet.node().allocatable['berth.dev/vf'] ?? 0) > 0, 'the agent to register', READY_MS);
    const registeredAfterMs = Math.round(performance.now() - startedAt);
    if ((await eventually(() => existsSync('/run/berth/api.sock') || undefined, READY_MS)) === undefined) {
      throw new Error('the agent registered, and does not serve');
    }
    return {
      ...cluster,
      registeredAfterMs,
      close,
      runPod: (name, network) => runPod(cluster, name, network),
      deletePod: async ({ admitted, sandbox }) => {
        await runtime.deletePod(sandbox.pod);
        kubelet.remove(admitted.pod);
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function runPod(
  { kubelet, runtime }: Pick<Cluster, 'kubelet' | 'runtime'>,
  name: string,
  network: NetworkDefinition,
): Promise<RunningPod> {
  const resource = network.resourceName ?? '';
  const admitted = await kubelet.admit({
    namespace: 'default',
    name,
    containers: [{ name: 'app', resources: { [resource]: 1 } }],
  });
  const sandbox = await runtime.addPod({ namespace: 'default', name, uid: `uid-${name}` }, [{ network }]);
  const device = admitted.containers[0]?.devices[resource]?.[0] ?? 'none';
  return { admitted, sandbox, device, address: addressOf(sandbox) };
}

function addressOf(sandbox: Sandbox): string {
  const result = sandbox.attachments[0]?.result as { ips?: readonly { address: string }[] } | undefined;
  return result?.ips?.[0]?.address.split('/')[0] ?? 'none';
}

/** Asks kubelet's pod-resources, as Multus does for each ADD. */
async function devicesOf(
  client: PodResourcesListerClient,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): Promise<ReadonlyMap<string, readonly string[]>> {
  const { podResources } = await new Promise<ListPodResourcesResponse>((resolve, reject) => {
    client.list({}, (error, response) => (error === null ? resolve(response) : reject(error)));
  });
  const mine = podResources.filter((pod) => pod.namespace === namespace && pod.name === name);
  const devices = mine.flatMap((pod) => pod.containers).flatMap((container) => container.devices);
  return new Map(
    [...Map.groupBy(devices, (entry) => entry.resourceName)].map(([resource, entries]) => [
      resource,
      entries.flatMap((entry) => entry.deviceIds),
    ]),
  );
}

/** The agent's orderly end; killed when it does not come. */
async function end(agent: ChildProcess): Promise<void> {
  if (agent.exitCode !== null || agent.signalCode !== null) return;
  const ended = once(agent, 'exit');
  agent.kill('SIGTERM');
  const timer = setTimeout(() => agent.kill('SIGKILL'), 10_000);
  await ended;
  clearTimeout(timer);
}
