/** What Berth says of itself in the cluster and on the node, held against what is so. */
import type { Cluster } from './cluster.ts';
import type { KubeObject } from './kube-client.ts';
import * as objects from './objects.ts';
import type { NodeSide } from './scene.ts';
import type { Steps } from './steps.ts';

interface AgentStatus {
  readonly resources: readonly { readonly resource: string; readonly registered: boolean; readonly mode?: string }[];
  readonly cluster?: { readonly inventory?: { readonly writes: number } };
}

export const statusOf = async (side: NodeSide): Promise<AgentStatus> =>
  (await side.askAgent('/v1/status')) as AgentStatus;

export async function checkProbes(side: NodeSide): Promise<void> {
  for (const path of ['/healthz', '/readyz']) {
    const { status, body } = await side.fetch(path);
    if (status !== 200) throw new Error(`${path}: ${status} ${body}`);
  }
  const { body } = await side.fetch('/metrics');
  for (const wanted of [
    `berth_pool_registered{resource="${objects.RESOURCE}"} 1`,
    `berth_pool_devices{`,
    'berth_attachments',
    'process_resident_memory_bytes',
  ]) {
    if (!body.includes(wanted)) throw new Error(`/metrics has no ${wanted}:\n${body.slice(0, 1000)}`);
  }
}

/** Answers how often the object has been written. */
export async function checkInventoryObject(
  { api }: Cluster,
  steps: Steps,
  side: NodeSide,
  node: string,
): Promise<number> {
  const reference = { apiVersion: 'berth.dev/v1alpha1', kind: 'NodeNetworkInventory', name: node } as const;
  let last = 'no object';
  const found = await steps.until(
    `NodeNetworkInventory ${node} to say that ${objects.RESOURCE} is registered`,
    async () => {
      const object = await api.get(reference);
      if (object !== undefined) last = JSON.stringify(object.status).slice(0, 500);
      return isCurrent(object) ? object : undefined;
    },
    () => `, last seen: ${last}`,
  );
  const appliers = (found.metadata.managedFields ?? []).filter(({ operation }) => operation === 'Apply');
  if (appliers[0]?.manager !== 'berth') throw new Error(`its fields are not Berth's: ${JSON.stringify(appliers)}`);
  const owner = (await api.get({ apiVersion: 'v1', kind: 'Node', name: node }))?.metadata.uid;
  const owners = found.metadata.ownerReferences ?? [];
  if (owner === undefined || !owners.some(({ kind, uid }) => kind === 'Node' && uid === owner)) {
    throw new Error(`it would stay without its Node ${owner}: ${JSON.stringify(owners)}`);
  }
  const generation = found.metadata.generation ?? 0;
  const { cluster } = await statusOf(side);
  const writes = cluster?.inventory?.writes ?? 0;
  if (writes > generation) throw new Error(`${writes} writes made ${generation} changes`);
  const { nics, vfs, free, taken } = found.status.summary;
  steps.note(`${nics} NICs, ${vfs} VFs (${free} free, ${taken} taken); ${writes} writes since the agent's start`);
  return generation;
}

function isCurrent(object: KubeObject | undefined): object is KubeObject {
  const conditions: readonly { type: string; status: string }[] = object?.status?.conditions ?? [];
  const resources: readonly { name: string; devices: number; registered: boolean }[] = object?.status?.resources ?? [];
  const ours = resources.find(({ name }) => name === objects.RESOURCE);
  const isReady = conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
  return isReady && ours?.registered === true && ours.devices === objects.CAPACITY;
}

/** Labels come some seconds after the start. Answers them. */
export async function checkLabels({ api }: Cluster, steps: Steps, node: string): Promise<readonly string[]> {
  return await steps.until(`labels ${objects.LABEL_PREFIX}* on node ${node}`, async () => {
    const found = await api.get({ apiVersion: 'v1', kind: 'Node', name: node });
    const labels = Object.entries(found?.metadata.labels ?? {}).filter(([key]) => key.startsWith(objects.LABEL_PREFIX));
    return labels.length > 0 ? labels.map(([key, value]) => `${key}=${value}`) : undefined;
  });
}

export function hasTaint(node: KubeObject | undefined): boolean {
  const taints: readonly { key: string }[] = node?.spec?.taints ?? [];
  return taints.some(({ key }) => key === objects.STARTUP_TAINT.key);
}

/** As whoever makes nodes does it. */
export async function setTaint({ api }: Cluster, steps: Steps, name: string): Promise<void> {
  const reference = { apiVersion: 'v1', kind: 'Node', name } as const;
  await steps.until(`the taint ${objects.STARTUP_TAINT.key} to be set`, async () => {
    const node = await api.get(reference);
    if (hasTaint(node)) return true;
    const taints: readonly unknown[] | undefined = node?.spec?.taints;
    // The list is replaced as a whole, so that what somebody else changes meanwhile is not lost.
    await api.patch(reference, [
      ...(taints === undefined ? [] : [{ op: 'test', path: '/spec/taints', value: taints } as const]),
      { op: 'add', path: '/spec/taints', value: [...(taints ?? []), objects.STARTUP_TAINT] },
    ]);
    return undefined;
  });
}

export async function taintRemoved({ api }: Cluster, steps: Steps, name: string): Promise<void> {
  await steps.until(`the taint ${objects.STARTUP_TAINT.key} to be taken off`, async () =>
    hasTaint(await api.get({ apiVersion: 'v1', kind: 'Node', name })) ? undefined : true,
  );
}

/** Berth's own event on the pod, beside those of kubelet. Answers its words. */
export async function refusalTold(cluster: Cluster, steps: Steps, pod: string): Promise<string> {
  let others: readonly KubeObject[] = [];
  const event = await steps.until(
    `the event AttachmentFailed on pod ${pod}`,
    async () => {
      others = await cluster.eventsAbout(objects.NAMESPACE, 'Pod', pod);
      const phase = (await cluster.pod(pod))?.status?.phase;
      if (phase === 'Running') throw new Error('the pod runs: the runtime did not follow its configuration folder');
      return others.find(({ reason }) => reason === 'AttachmentFailed');
    },
    () => `; it has ${others.map(({ reason, message }) => `${reason}: ${message}`).join('; ') || 'none'}`,
  );
  const { message, source, type } = event;
  if (type !== 'Warning' || source?.component !== 'berth') throw new Error(`it is ${JSON.stringify(event)}`);
  return String(message);
}
