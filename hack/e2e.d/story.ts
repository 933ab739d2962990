/**
 * The steps against a cluster, in order. Each is a claim that holds or not; what it made is taken away
 * whatever happened. The node's own side is behind `NodeSide`, so that the steps also run against stand-ins.
 */
import type { KubeClient, KubeObject, Reference } from './kube-client.ts';
import * as objects from './objects.ts';
import { type Steps, until } from './steps.ts';

/** What the steps do on the node itself. */
export interface NodeSide {
  readonly bootId: string;
  readonly place: Omit<objects.Place, 'hostname'>;
  /** Answers what loaded it. */
  loadImage(runtime: string): string;
  makeUplink(): void;
  removeUplink(): void;
  /** Answers how to end it. */
  takeDefaultNetwork(config: object): () => void;
  reservations(): readonly string[];
  askAgent(path: string): Promise<unknown>;
  /** Of the agent's HTTP port. */
  fetch(path: string): Promise<{ readonly status: number; readonly body: string }>;
  uninstall(): void;
}

export interface StoryOptions {
  readonly node: string;
  readonly image: string;
  readonly keep: boolean;
  readonly timeoutMs: number;
}

interface Attachment {
  readonly pod?: { readonly namespace: string; readonly name: string };
  readonly ifname: string;
  readonly kind: string;
  readonly addresses: readonly string[];
}

const NODE = { apiVersion: 'v1', kind: 'Node' } as const;
const POD = { apiVersion: 'v1', kind: 'Pod' } as const;
const NAD = { apiVersion: 'k8s.cni.cncf.io/v1', kind: 'NetworkAttachmentDefinition' } as const;

export async function tellStory(
  steps: Steps,
  api: KubeClient,
  side: NodeSide,
  { node: nodeName, image, keep, timeoutMs }: StoryOptions,
): Promise<void> {
  const node = await steps.run(`node ${nodeName} is this machine`, async () => {
    const found = await api.get({ ...NODE, name: nodeName });
    if (found === undefined) throw new Error('the cluster has no such node');
    if (found.status.nodeInfo.bootID !== side.bootId) {
      throw new Error('it is another machine (its boot id differs): run this on the node itself');
    }
    return found;
  });
  const hostname = node.metadata.labels?.['kubernetes.io/hostname'] ?? nodeName;
  const runtime = String(node.status.nodeInfo.containerRuntimeVersion);
  steps.note(
    `kubelet ${node.status.nodeInfo.kubeletVersion}, ${runtime}, kernel ${node.status.nodeInfo.kernelVersion}`,
  );
  await steps.run('Berth is not installed here by anybody else', async () => {
    const namespace = await api.get({ apiVersion: 'v1', kind: 'Namespace', name: objects.AGENT_NAMESPACE });
    if (namespace === undefined || isOurs(namespace)) return;
    throw new Error(`there is a namespace ${objects.AGENT_NAMESPACE} that this test did not make: remove Berth first`);
  });
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
  let endDefaultNetwork = (): void => undefined;
  try {
    await steps.run('what an earlier run left is gone', () => removeAll(api, timeoutMs));
    await steps.run('the image is in the store of the runtime', async () =>
      steps.note(`by ${side.loadImage(runtime)}`),
    );
    await steps.run('an uplink of the test is there', async () => side.makeUplink());
    await steps.run('the manifest is applied', async () => {
      for (const object of objects.agentObjects({ ...side.place, hostname })) await api.apply(object);
    });
    await steps.run('the agent is ready', () => agentReady(api, timeoutMs));
    await steps.run(`kubelet offers ${objects.CAPACITY} ${objects.RESOURCE}`, () =>
      resourceOffered(api, nodeName, timeoutMs),
    );
    await steps.run('probes and metrics answer on the node', async () => {
      for (const path of ['/healthz', '/readyz']) {
        const { status, body } = await side.fetch(path);
        if (status !== 200) throw new Error(`${path}: ${status} ${body}`);
      }
      const { body } = await side.fetch('/metrics');
      if (!/^berth_/m.test(body)) throw new Error(`no metric of Berth's in ${body.slice(0, 200)}`);
    });

    await steps.run("the inventory has the test's uplink", async () => {
      const text = JSON.stringify(await side.askAgent('/v1/inventory'));
      if (!text.includes(`"${objects.UPLINK}"`)) throw new Error(`it has not: ${text.slice(0, 300)}`);
    });

    await api.apply(objects.testNamespace());
    if (throughMultus) await api.apply(objects.networkDefinition());
    else endDefaultNetwork = side.takeDefaultNetwork(objects.defaultNetwork());
    const request = { image, hostname, throughMultus };
    await steps.run('a pod with a macvlan runs', async () => {
      await api.apply(objects.pod({ ...request, name: 'server' }));
      await podPhase(api, 'server', ['Running'], timeoutMs);
    });
    const server = await steps.run("the agent's record has the pod, its interface and its address", async () => {
      const attachment = (await attachments(side)).find((entry) => entry.pod?.name === 'server');
      if (attachment === undefined) throw new Error('no attachment of that pod');
      return attachment;
    });
    steps.note(`${server.ifname}: ${server.kind} with ${server.addresses.join(', ')}`);
    if (throughMultus) {
      await steps.run('Multus shows the interface in network-status', async () => {
        const found = await api.get({ ...POD, namespace: objects.NAMESPACE, name: 'server' });
        const status = found?.metadata.annotations?.['k8s.v1.cni.cncf.io/network-status'] ?? '';
        if (!status.includes(`"${server.ifname}"`)) throw new Error(`it is ${status}`);
      });
    }
    await steps.run('a second pod reaches the first over it', async () => {
      const target = server.addresses[0]?.split('/')[0] ?? '';
      await api.apply(objects.pod({ ...request, name: 'client', target }));
      await podPhase(api, 'client', ['Succeeded'], timeoutMs);
    });
    await steps.run('the agent is replaced, and the running pod keeps its interface', async () => {
      for (const pod of await agentPods(api)) {
        await api.delete({ ...POD, namespace: objects.AGENT_NAMESPACE, name: pod.metadata.name });
        await gone(api, { ...POD, namespace: objects.AGENT_NAMESPACE, name: pod.metadata.name }, timeoutMs);
      }
      await agentReady(api, timeoutMs);
      await resourceOffered(api, nodeName, timeoutMs);
      const kept = (await attachments(side)).find((entry) => entry.pod?.name === 'server');
      if (kept?.addresses.join() !== server.addresses.join()) throw new Error('its record is gone');
      await api.apply(objects.pod({ ...request, name: 'client-2', target: server.addresses[0]?.split('/')[0] ?? '' }));
      await podPhase(api, 'client-2', ['Succeeded'], timeoutMs);
    });
    await steps.run('when the pods are deleted nothing is left of them', async () => {
      for (const name of ['client', 'client-2', 'server']) {
        await api.delete({ ...POD, namespace: objects.NAMESPACE, name });
        await gone(api, { ...POD, namespace: objects.NAMESPACE, name }, timeoutMs);
      }
      await until(
        'the records and reservations to go',
        timeoutMs,
        async () => {
          const left = (await attachments(side)).length + side.reservations().length;
          return left === 0 ? true : undefined;
        },
        () => `, left: ${side.reservations().join(' ')}`,
      );
    });
    const events = await api.list({ apiVersion: 'v1', kind: 'Event', namespace: objects.NAMESPACE });
    const warnings = events.filter(({ type }) => type === 'Warning');
    for (const { reason, message } of warnings.slice(0, 5)) steps.note(`event ${reason}: ${message}`);
  } catch (error) {
    await explain(steps, api);
    throw error;
  } finally {
    if (keep) steps.note('left as it is (--keep)');
    else {
      await steps.run('everything is taken away again', async () => {
        // Pods first: their DEL has to find the network that made them.
        await removePods(api, timeoutMs);
        endDefaultNetwork();
        await removeAll(api, timeoutMs);
        side.uninstall();
        side.removeUplink();
      });
    }
  }
}

function isOurs({ metadata }: KubeObject): boolean {
  return Object.entries(objects.OWNER).every(([key, value]) => metadata.labels?.[key] === value);
}

async function attachments(side: NodeSide): Promise<readonly Attachment[]> {
  return (await side.askAgent('/v1/attachments')) as readonly Attachment[];
}

function agentPods(api: KubeClient): Promise<readonly KubeObject[]> {
  const selector = encodeURIComponent('app.kubernetes.io/name=berth,app.kubernetes.io/component=agent');
  return api.list({ ...POD, namespace: objects.AGENT_NAMESPACE }, `?labelSelector=${selector}`);
}

async function agentReady(api: KubeClient, timeoutMs: number): Promise<void> {
  let last = '';
  await until(
    'the agent to be ready',
    timeoutMs,
    async () => {
      const pods = (await agentPods(api)).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
      last = pods.map(stateOf).join('; ');
      const conditions = pods.flatMap((pod) => pod.status?.conditions ?? []);
      return conditions.some(({ type, status }) => type === 'Ready' && status === 'True') ? true : undefined;
    },
    () => `, last seen: ${last === '' ? 'no pod' : last}`,
  );
}

async function resourceOffered(api: KubeClient, name: string, timeoutMs: number): Promise<void> {
  let last = '';
  await until(
    'the node to show it as allocatable',
    timeoutMs,
    async () => {
      const node = await api.get({ ...NODE, name });
      last = String(node?.status.allocatable?.[objects.RESOURCE]);
      return last === String(objects.CAPACITY) ? true : undefined;
    },
    () => `, it shows ${last}`,
  );
}

async function podPhase(api: KubeClient, name: string, phases: readonly string[], timeoutMs: number): Promise<void> {
  let last = 'nothing';
  await until(
    `pod ${name} to be ${phases.join(' or ')}`,
    timeoutMs,
    async () => {
      const pod = await api.get({ ...POD, namespace: objects.NAMESPACE, name });
      last = pod === undefined ? 'no pod' : stateOf(pod);
      const phase = pod?.status?.phase;
      if (phases.includes(phase)) return true;
      if (phase === 'Failed') throw new Error(`pod ${name} failed: ${last}\n${await api.log(objects.NAMESPACE, name)}`);
      return undefined;
    },
    () => `, last seen: ${last}`,
  );
}

function stateOf({ metadata, status }: KubeObject): string {
  const waiting = (status?.containerStatuses ?? []).map(({ state }: KubeObject) => {
    const { waiting: waits, terminated } = state ?? {};
    return [waits?.reason, waits?.message, terminated?.reason, terminated?.message].filter(Boolean).join(': ');
  });
  return [metadata.name, status?.phase, status?.reason, status?.message, ...waiting].filter(Boolean).join(', ');
}

async function gone(
  api: KubeClient,
  reference: Reference & { readonly name: string },
  timeoutMs: number,
): Promise<void> {
  await until(`${reference.kind} ${reference.name} to be gone`, timeoutMs, async () =>
    (await api.get(reference)) === undefined ? true : undefined,
  );
}

async function removePods(api: KubeClient, timeoutMs: number): Promise<void> {
  const pods = await api.list({ ...POD, namespace: objects.NAMESPACE });
  for (const { metadata } of pods) {
    const reference = { ...POD, namespace: objects.NAMESPACE, name: metadata.name };
    await api.delete(reference);
    await gone(api, reference, timeoutMs);
  }
}

/** In the order in which things need each other: pods, their network, the agent, its namespace. */
async function removeAll(api: KubeClient, timeoutMs: number): Promise<void> {
  await removePods(api, timeoutMs);
  await api.delete({ ...NAD, namespace: objects.NAMESPACE, name: objects.NETWORK });
  for (const name of [objects.NAMESPACE, objects.AGENT_NAMESPACE]) {
    const reference = { apiVersion: 'v1', kind: 'Namespace', name };
    const namespace = await api.get(reference);
    if (namespace === undefined || !isOurs(namespace)) continue;
    await api.delete(reference);
    await gone(api, reference, timeoutMs);
  }
}

/** What a person would look at first. */
async function explain(steps: Steps, api: KubeClient): Promise<void> {
  try {
    for (const pod of await agentPods(api)) {
      steps.note(stateOf(pod));
      steps.note(await api.log(objects.AGENT_NAMESPACE, pod.metadata.name));
    }
    for (const namespace of [objects.AGENT_NAMESPACE, objects.NAMESPACE]) {
      const events = await api.list({ apiVersion: 'v1', kind: 'Event', namespace });
      for (const { reason, message, involvedObject } of events.slice(-15)) {
        steps.note(`event ${involvedObject?.kind} ${involvedObject?.name} ${reason}: ${message}`);
      }
    }
  } catch (error) {
    steps.note(`cannot look closer: ${error instanceof Error ? error.message : String(error)}`);
  }
}
