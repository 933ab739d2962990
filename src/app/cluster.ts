/**
 * The agent's side towards the cluster, loaded only where something of it is switched on: its client
 * library costs memory. It starts when everything else serves, and nothing fails because of it.
 */
import type { AgentOptions } from '../cli/port.ts';
import type { CniObservation } from '../cni/index.ts';
import { toBerthError } from '../engine/errors.ts';
import type { Logger } from '../engine/logger.ts';
import type { AgentView, ClusterStatus } from '../engine/view.ts';
import type { Cluster, ClusterOptions, ClusterParts } from '../kubernetes/index.ts';

export interface ClusterSide {
  status(): ClusterStatus;
  /** An ADD that failed, as an event of its pod. */
  called(observation: CniObservation): void;
  stop(): Promise<void>;
}

/** `undefined` when nothing of the cluster is switched on. Never throws: what cannot start is logged, and in the status. */
export async function startClusterSide(
  options: AgentOptions,
  parts: { readonly view: AgentView; readonly log: Logger } & Pick<
    ClusterOptions,
    'node' | 'changes' | 'kubeletStarts'
  >,
): Promise<ClusterSide | undefined> {
  const wanted = wantedParts(options);
  if (!Object.values(wanted).includes(true)) return undefined;
  const { view, log, node, changes, kubeletStarts } = parts;
  try {
    const { startCluster } = await import('../kubernetes/index.ts');
    const cluster = startCluster({
      parts: wanted,
      node,
      ...(options.kubeconfig === undefined ? {} : { kubeconfig: options.kubeconfig }),
      view: () => view.inventory(),
      status: () => view.status(),
      changes,
      kubeletStarts,
      log,
    });
    return {
      status: () => cluster.status(),
      called: (observation) => tellPod(cluster, observation),
      stop: () => cluster.stop(),
    };
  } catch (error) {
    const { message, reason, remedy } = toBerthError(error);
    log.error({ reason, problem: message, remedy }, 'the side towards the cluster cannot start; all else goes on');
    const status = statusWithout(wanted, `${message} [${reason}]`);
    return { status: () => status, called: () => undefined, stop: () => Promise.resolve() };
  }
}

function wantedParts(options: AgentOptions): ClusterParts {
  return {
    inventory: options.publishInventory === true,
    events: options.publishEvents === true,
    labels: options.labelNode === true,
    startupTaint: options.removeStartupTaint === true,
  };
}

function statusWithout(wanted: ClusterParts, problem: string): ClusterStatus {
  return {
    ...(wanted.inventory === true ? { inventory: { writes: 0, problem } } : {}),
    ...(wanted.events === true ? { events: { sent: 0, dropped: 0, problem } } : {}),
    ...(wanted.labels === true ? { labels: { problem } } : {}),
    ...(wanted.startupTaint === true ? { startupTaint: { removed: false, problem } } : {}),
  };
}

function tellPod(cluster: Cluster, { command, error, key, network, pod }: CniObservation): void {
  // A runtime that went away, or an agent that ends, is no news for the pod: it is tried again.
  if (command !== 'ADD' || error === undefined || pod === undefined || error.code === 'Interrupted') return;
  const where = `${key?.ifname ?? 'an interface'}${network === undefined ? '' : ` of network ${network}`}`;
  cluster.event({
    about: { kind: 'Pod', ...pod },
    type: 'Warning',
    reason: 'AttachmentFailed',
    note: `${where}: ${error.message}${error.remedy === undefined ? '' : `. ${error.remedy}`} [${error.reason}]`,
  });
}
