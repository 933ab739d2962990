/**
 * Taking everything away again: each part on its own, so that one that fails keeps no other from being
 * done, and then a look at what is left. It knows what is the test's by its label.
 */
import { hasTaint, setTaint } from './claims.ts';
import type { Cluster } from './cluster.ts';
import type { JsonPatch } from './kube-client.ts';
import * as objects from './objects.ts';
import type { Steps } from './steps.ts';

/** The node as it was found. */
export interface Found {
  readonly name: string;
  readonly tainted: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** Folders of Berth's that were there. */
  readonly folders: readonly string[];
}

/** In the order in which things need each other: pods, their networks, the agent, what it has in the cluster. */
export async function removeFromCluster(cluster: Cluster, node: Found): Promise<void> {
  await removeTestPods(cluster);
  for (const name of [objects.NETWORK, objects.REFUSED_NETWORK]) {
    const apiVersion = 'k8s.cni.cncf.io/v1';
    await cluster.api.delete({ apiVersion, kind: 'NetworkAttachmentDefinition', namespace: objects.NAMESPACE, name });
  }
  const namespaces = [objects.NAMESPACE, objects.AGENT_NAMESPACE].map((name) => ({ kind: 'Namespace', name }));
  // First of all the agents have to end: one that runs would write its object anew.
  const others = objects
    .clusterWide()
    .map(({ kind, metadata, apiVersion }) => ({ apiVersion, kind, name: metadata.name }))
    .filter(({ kind }) => kind !== 'Namespace');
  for (const { apiVersion = 'v1', ...reference } of [...namespaces, ...others] as readonly Reference[]) {
    const found = await cluster.api.get({ apiVersion, ...reference });
    if (found !== undefined && objects.isOurs(found)) await cluster.remove({ apiVersion, ...reference });
  }
  await restoreLabels(cluster, node);
}

interface Reference {
  readonly apiVersion?: string;
  readonly kind: string;
  readonly name: string;
}

/** Pods first: their DEL has to find the network that made them. */
export async function removeTestPods(cluster: Cluster): Promise<void> {
  const names = await cluster.testPods();
  await Promise.all(names.map((name) => cluster.deletePod(name)));
}

async function restoreLabels({ api }: Cluster, { name, labels: before }: Found): Promise<void> {
  const node = await api.get({ apiVersion: 'v1', kind: 'Node', name });
  const now = Object.keys(node?.metadata.labels ?? {}).filter((key) => key.startsWith(objects.LABEL_PREFIX));
  const changes: JsonPatch[] = now
    .filter((key) => before[key] === undefined)
    .map((key) => ({ op: 'remove', path: `/metadata/labels/${key.replaceAll('~', '~0').replaceAll('/', '~1')}` }));
  if (changes.length > 0) await api.patch({ apiVersion: 'v1', kind: 'Node', name }, changes);
}

/** The start-up taint as it was: off when no agent came to take it, on when it was there before the test. */
export async function restoreTaint(cluster: Cluster, steps: Steps, { name, tainted }: Found): Promise<void> {
  if (tainted) return setTaint(cluster, steps, name);
  const node = { apiVersion: 'v1', kind: 'Node', name } as const;
  const taints: readonly { key: string }[] = (await cluster.api.get(node))?.spec?.taints ?? [];
  const at = taints.findIndex(({ key }) => key === objects.STARTUP_TAINT.key);
  if (at < 0) return;
  const path = `/spec/taints/${at}`;
  await cluster.api.patch(node, [
    { op: 'test', path: `${path}/key`, value: objects.STARTUP_TAINT.key },
    { op: 'remove', path },
  ]);
}

/** What is left of the test in the cluster; empty when all is as it was found. */
export async function leftInCluster({ api }: Cluster, { name, tainted, labels }: Found): Promise<readonly string[]> {
  const left: string[] = [];
  for (const { apiVersion, kind, metadata } of objects.clusterWide()) {
    if ((await api.get({ apiVersion, kind, name: metadata.name })) !== undefined) left.push(`${kind} ${metadata.name}`);
  }
  if ((await api.get({ apiVersion: 'v1', kind: 'Namespace', name: objects.NAMESPACE })) !== undefined) {
    left.push(`Namespace ${objects.NAMESPACE}`);
  }
  const node = await api.get({ apiVersion: 'v1', kind: 'Node', name });
  if (hasTaint(node) !== tainted) {
    left.push(`the taint ${objects.STARTUP_TAINT.key} is ${tainted ? 'off' : 'on'} node ${name}`);
  }
  for (const key of Object.keys(node?.metadata.labels ?? {})) {
    if (key.startsWith(objects.LABEL_PREFIX) && labels[key] === undefined) left.push(`label ${key} of node ${name}`);
  }
  return left;
}

/** Does all of them, tells each that fails, and throws when one did. */
export async function eachOf(steps: Steps, parts: Readonly<Record<string, () => Promise<void> | void>>): Promise<void> {
  const failed: string[] = [];
  for (const [what, part] of Object.entries(parts)) {
    try {
      await part();
    } catch (error) {
      failed.push(what);
      steps.note(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (failed.length > 0) throw new Error(`not taken away: ${failed.join(', ')}; running the test again tries it anew`);
}
