/** What the steps ask the cluster again and again: pods and what became of them, the agent, the node. */
import type { KubeClient, KubeObject, Reference } from './kube-client.ts';
import * as objects from './objects.ts';
import type { Steps } from './steps.ts';

const POD = { apiVersion: 'v1', kind: 'Pod' } as const;
const AGENT_PODS = encodeURIComponent('app.kubernetes.io/name=berth,app.kubernetes.io/component=agent');

export class Cluster {
  readonly api: KubeClient;
  readonly #steps: Steps;

  constructor(api: KubeClient, steps: Steps) {
    this.api = api;
    this.#steps = steps;
  }

  /** Those that are not on their way out. */
  async agentPods(): Promise<readonly KubeObject[]> {
    const all = await this.api.list({ ...POD, namespace: objects.AGENT_NAMESPACE }, `?labelSelector=${AGENT_PODS}`);
    return all.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  }

  /** Answers the agent's pod. `unlike` is the uid of one that has to be gone. */
  async agentReady(unlike?: string): Promise<KubeObject> {
    let last = 'no pod';
    return await this.#steps.until(
      'the agent to be ready',
      async () => {
        const pods = await this.agentPods();
        last = pods.map(stateOf).join('; ') || 'no pod';
        return pods.find((pod) => isReady(pod) && pod.metadata.uid !== unlike);
      },
      () => `, last seen: ${last}`,
    );
  }

  async resourceOffered(node: string): Promise<void> {
    let last = '';
    await this.#steps.until(
      `the node to show ${objects.CAPACITY} ${objects.RESOURCE} as allocatable`,
      async () => {
        const found = await this.api.get({ apiVersion: 'v1', kind: 'Node', name: node });
        last = String(found?.status.allocatable?.[objects.RESOURCE]);
        return last === String(objects.CAPACITY) ? true : undefined;
      },
      () => `, it shows ${last}`,
    );
  }

  pod(name: string): Promise<KubeObject | undefined> {
    return this.api.get({ ...POD, namespace: objects.NAMESPACE, name });
  }

  /** Waits until the test's pod is in that phase. */
  async podPhase(name: string, wanted: 'Running' | 'Succeeded'): Promise<void> {
    let last = 'no pod';
    await this.#steps.until(
      `pod ${name} to be ${wanted}`,
      async () => {
        const pod = await this.pod(name);
        last = pod === undefined ? 'no pod' : stateOf(pod);
        const phase = pod?.status?.phase;
        if (phase === wanted) return true;
        if (phase === 'Failed') throw new Error(`pod ${name} failed: ${last}\n${await this.log(name)}`);
        return undefined;
      },
      () => `, last seen: ${last}`,
    );
  }

  /** The end of what the test's pod wrote. */
  log(name: string): Promise<string> {
    return this.api.log(objects.NAMESPACE, name);
  }

  async deletePod(name: string): Promise<void> {
    await this.remove({ ...POD, namespace: objects.NAMESPACE, name });
  }

  /** Deletes it and waits until it is gone. */
  async remove(reference: Reference & { readonly name: string }): Promise<void> {
    await this.api.delete(reference);
    await this.#steps.until(`${reference.kind} ${reference.name} to be gone`, async () =>
      (await this.api.get(reference)) === undefined ? true : undefined,
    );
  }

  async testPods(): Promise<readonly string[]> {
    const pods = await this.api.list({ ...POD, namespace: objects.NAMESPACE });
    return pods.map(({ metadata }) => metadata.name);
  }

  /** Events of a namespace about that object. */
  async eventsAbout(namespace: string, kind: string, name: string): Promise<readonly KubeObject[]> {
    const events = await this.api.list({ apiVersion: 'v1', kind: 'Event', namespace });
    return events.filter(({ involvedObject }) => involvedObject?.kind === kind && involvedObject.name === name);
  }

  /** What a person would look at first when a step has failed. */
  async explain(): Promise<void> {
    const steps = this.#steps;
    try {
      for (const pod of await this.agentPods()) {
        steps.note(stateOf(pod));
        steps.note(await this.api.log(objects.AGENT_NAMESPACE, pod.metadata.name));
      }
      for (const namespace of [objects.AGENT_NAMESPACE, objects.NAMESPACE]) {
        const events = await this.api.list({ apiVersion: 'v1', kind: 'Event', namespace });
        for (const { reason, message, involvedObject } of events.slice(-15)) {
          steps.note(`event ${involvedObject?.kind} ${involvedObject?.name} ${reason}: ${message}`);
        }
      }
    } catch (error) {
      steps.note(`cannot look closer: ${error instanceof Error ? error.message : String(error)}`);
    }
    steps.note(
      'run it again with --keep to look around: kubectl -n berth-system logs ds/berth-agent, journal of kubelet',
    );
  }
}

function isReady({ status }: KubeObject): boolean {
  const conditions: readonly { type: string; status: string }[] = status?.conditions ?? [];
  return conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True');
}

/** A pod's name, phase and what its containers wait for or ended with. */
export function stateOf({ metadata, status }: KubeObject): string {
  const waiting = (status?.containerStatuses ?? []).map(({ state }: KubeObject) => {
    const { waiting: waits, terminated } = state ?? {};
    return [waits?.reason, waits?.message, terminated?.reason, terminated?.message].filter(Boolean).join(': ');
  });
  return [metadata.name, status?.phase, status?.reason, status?.message, ...waiting].filter(Boolean).join(', ');
}
