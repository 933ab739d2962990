/** What is looked at before anything is made: that this is the place, and that the test may do what it does. */
import type { KubeClient, KubeObject } from './kube-client.ts';
import * as objects from './objects.ts';
import type { Steps } from './steps.ts';

export interface Preflight {
  readonly node: KubeObject;
  readonly hostname: string;
  readonly runtime: string;
  readonly throughMultus: boolean;
  /** Instead of the service, where the node does not reach that. */
  readonly apiServer?: URL;
}

/** What it looks at on the node. */
export interface PreflightSide {
  readonly bootId: string;
  readonly place: { readonly sharedMounts: boolean };
  answers(host: string, port: number): Promise<boolean>;
}

const NEEDED: readonly (readonly [verbs: string, group: string, resources: string])[] = [
  ['get list patch', '', 'nodes'],
  ['get list patch delete', '', 'namespaces pods'],
  ['patch', '', 'serviceaccounts configmaps'],
  ['list', '', 'events'],
  ['get', '', 'services pods/log'],
  ['patch', 'apps', 'daemonsets'],
  ['get patch delete', 'rbac.authorization.k8s.io', 'clusterroles clusterrolebindings'],
  ['get patch delete', 'apiextensions.k8s.io', 'customresourcedefinitions'],
  ['get', 'berth.dev', 'nodenetworkinventories'],
  ['patch delete', 'k8s.cni.cncf.io', 'network-attachment-definitions'],
];

/** Throws with what a person has to do first; nothing has been changed then. */
export async function checkFirst(
  steps: Steps,
  api: KubeClient,
  side: PreflightSide,
  nodeName: string,
): Promise<Preflight> {
  await steps.run('the API server answers', () => api.reach());
  await steps.run('the user of the kubeconfig may do what this test does', async () => {
    const missing = await missingRights(api);
    if (missing.length === 0) return;
    throw new Error(`it may not ${missing.join('; ')}. Use a kubeconfig of the cluster's administrator`);
  });
  const node = await steps.run(`node ${nodeName} is this machine`, () => thisNode(api, side, nodeName));
  const { containerRuntimeVersion, kernelVersion, kubeletVersion } = node.status.nodeInfo;
  steps.note(`kubelet ${kubeletVersion}, ${containerRuntimeVersion}, kernel ${kernelVersion}`);
  await steps.run('Berth is not installed here by anybody else', () => noOtherBerth(api));
  const throughMultus = await api.serves('k8s.cni.cncf.io/v1');
  steps.note(
    throughMultus
      ? 'pods get their networks through Multus'
      : "no Multus here: Berth is the new pods' own network for a moment",
  );
  if (!side.place.sharedMounts) {
    steps.note(
      'the mounts of this node are private: the agent goes without mount propagation (deploy/components/private-mounts)',
    );
  }
  const isReached = await reachesService(api, side);
  if (!isReached) {
    steps.note(
      `this node does not reach the API server's service (no kube-proxy?): the agent is told ${api.server.origin} instead`,
    );
  }
  return {
    node,
    hostname: node.metadata.labels?.['kubernetes.io/hostname'] ?? nodeName,
    runtime: String(containerRuntimeVersion),
    throughMultus,
    ...(isReached ? {} : { apiServer: api.server }),
  };
}

/** `get, patch nodes` */
async function missingRights(api: KubeClient): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const [verbs, group, resources] of NEEDED) {
    for (const resource of resources.split(' ')) {
      const refused: string[] = [];
      for (const verb of verbs.split(' ')) if (!(await api.may(verb, group, resource))) refused.push(verb);
      if (refused.length > 0) missing.push(`${refused.join(', ')} ${resource}${group === '' ? '' : `.${group}`}`);
    }
  }
  return missing;
}

async function thisNode(api: KubeClient, { bootId }: PreflightSide, name: string): Promise<KubeObject> {
  const found = await api.get({ apiVersion: 'v1', kind: 'Node', name });
  if (found === undefined) {
    const names = (await api.list({ apiVersion: 'v1', kind: 'Node' })).map(({ metadata }) => metadata.name);
    throw new Error(`the cluster has no such node; it has ${names.join(', ') || 'none'}`);
  }
  if (found.status.nodeInfo.bootID !== bootId) {
    throw new Error('it is another machine (its boot id differs): run this on the node itself');
  }
  const ready = (found.status.conditions ?? []).find(({ type }: { type: string }) => type === 'Ready');
  if (ready !== undefined && ready.status !== 'True') throw new Error(`it is not ready: ${ready.message}`);
  return found;
}

async function noOtherBerth(api: KubeClient): Promise<void> {
  for (const { apiVersion, kind, metadata } of objects.clusterWide()) {
    const found = await api.get({ apiVersion, kind, name: metadata.name });
    if (found === undefined || objects.isOurs(found)) continue;
    throw new Error(`there is a ${kind} ${metadata.name} that this test did not make: remove Berth first`);
  }
}

/** Agents ask the API server through its service, as every pod does. */
async function reachesService(api: KubeClient, side: PreflightSide): Promise<boolean> {
  const service = await api.get({ apiVersion: 'v1', kind: 'Service', namespace: 'default', name: 'kubernetes' });
  const [address] = [service?.spec.clusterIP].filter((value) => typeof value === 'string');
  const port = service?.spec.ports?.[0]?.port;
  return address !== undefined && typeof port === 'number' && (await side.answers(address, port));
}
