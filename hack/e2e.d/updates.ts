/**
 * What happens to running pods while their node's agent is updated, killed and away: nothing. A pod
 * holds one connection to another all the time, and ends when it breaks.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { checkInventoryObject, statusOf } from './claims.ts';
import type { KubeObject } from './kube-client.ts';
import * as objects from './objects.ts';
import { type Attachment, reach, type Scene, targetOf } from './scene.ts';

const ASK_EVERY_MS = 50;

/** `server` is the attachment of the pod that stays. */
export async function checkUpdates(scene: Scene, server: Attachment): Promise<void> {
  const { cluster, daemonSet, nodeName, side, start, steps } = scene;
  await steps.run('a third pod holds a connection to the first', async () => {
    await start({ name: 'holder', program: 'holder', target: targetOf(server) });
    await cluster.podPhase('holder', 'Running');
  });
  const before = await checkInventoryObject(cluster, steps, side, nodeName);

  await steps.run('the DaemonSet is updated, and a new agent takes over', async () => {
    const [old] = await cluster.agentPods();
    const watch = watchRegistration(scene);
    try {
      await cluster.api.apply(objects.updated(daemonSet));
      await cluster.agentReady(old?.metadata.uid);
      await watch.until();
    } finally {
      await watch.end();
    }
    await cluster.resourceOffered(nodeName);
    steps.note(`no agent was registered for ${watch.longestMs()} ms (looked at every ${ASK_EVERY_MS} ms)`);
    await untouched(scene, server);
  });

  await steps.run('the agent is killed, and kubelet starts it again', async () => {
    const pod = await cluster.agentReady();
    const restarts = restartsOf(pod);
    side.killAgent(pod.metadata.uid ?? '');
    await steps.until('kubelet to start it again', async () => {
      const [now] = await cluster.agentPods();
      return now !== undefined && restartsOf(now) > restarts ? true : undefined;
    });
    await cluster.agentReady();
    await cluster.resourceOffered(nodeName);
    await untouched(scene, server);
  });

  await steps.run('a pod that ends while no agent is there is cleaned up by the next one', async () => {
    await start({ name: 'leaver', program: 'server' });
    await cluster.podPhase('leaver', 'Running');
    const [pod] = await cluster.agentPods();
    await cluster.api.apply(objects.withoutNodes(daemonSet));
    if (pod !== undefined) {
      const { name, namespace = objects.AGENT_NAMESPACE } = pod.metadata;
      await steps.until('the agent to be gone', async () =>
        (await cluster.api.get({ apiVersion: 'v1', kind: 'Pod', namespace, name })) === undefined ? true : undefined,
      );
    }
    await cluster.deletePod('leaver');
    if (side.spooled().length === 0) throw new Error('its DEL was not written down');
    await cluster.api.apply(daemonSet);
    await cluster.agentReady();
    await cluster.resourceOffered(nodeName);
    const left = (await scene.attachments()).filter(({ pod: owner }) => owner?.name === 'leaver');
    if (left.length > 0 || side.spooled().length > 0) throw new Error(`left: ${JSON.stringify(left)}`);
    await untouched(scene, server);
  });

  await steps.run('three agents later the object of the node has not been written once', async () => {
    const after = await checkInventoryObject(cluster, steps, side, nodeName);
    if (after !== before) throw new Error(`its generation went from ${before} to ${after}`);
  });
  await steps.run('new pods reach the first', () => reach(scene, server, 'client-2'));
}

function restartsOf({ status }: KubeObject): number {
  const statuses: readonly { readonly restartCount: number }[] = status?.containerStatuses ?? [];
  return statuses.reduce((sum, { restartCount }) => sum + restartCount, 0);
}

/** The record, the address and the connection are as before. */
async function untouched({ attachments, cluster, steps }: Scene, server: Attachment): Promise<void> {
  const kept = (await attachments()).find(({ pod }) => pod?.name === 'server');
  if (kept?.addresses.join() !== server.addresses.join()) throw new Error('the record of the running pod is gone');
  await cluster.podPhase('holder', 'Running');
  const pause = /longest pause \d+ ms(?![\s\S]*longest pause)/.exec(await cluster.log('holder'))?.[0];
  steps.note(`the connection goes on${pause === undefined ? '' : `; ${pause}`}`);
}

interface RegistrationWatch {
  /** Resolves when an agent was away, and is registered. */
  until(): Promise<void>;
  longestMs(): number;
  end(): Promise<void>;
}

/** For how long no agent says that kubelet knows its resource. */
function watchRegistration({ side, steps }: Scene): RegistrationWatch {
  let awaySince: number | undefined;
  let longest = 0;
  let ended = false;
  const look = async (): Promise<void> => {
    const known = await statusOf(side).then(
      ({ resources }) => resources.some(({ registered, resource }) => registered && resource === objects.RESOURCE),
      // No agent answers: that is what is measured.
      () => false,
    );
    if (!known) awaySince ??= Date.now();
    else if (awaySince !== undefined) {
      longest = Math.max(longest, Date.now() - awaySince);
      awaySince = undefined;
    }
  };
  const looking = (async () => {
    while (!ended) await Promise.all([look(), delay(ASK_EVERY_MS)]);
  })();
  return {
    until: async () => {
      const isBack = (): true | undefined => (longest > 0 && awaySince === undefined ? true : undefined);
      await steps.until('the new agent to be registered', () => Promise.resolve(isBack()));
    },
    longestMs: () => longest,
    end: async () => {
      ended = true;
      await looking;
    },
  };
}
