/**
 * The steps against a cluster, in order. Each is a claim that holds or not; what it made is taken away
 * whatever happened. The node's own side is behind `NodeSide`, so that the steps also run against stand-ins.
 */
import * as claims from './claims.ts';
import { Cluster } from './cluster.ts';
import type { KubeClient } from './kube-client.ts';
import type { LoadedImage } from './node.ts';
import * as objects from './objects.ts';
import { pod } from './pods.ts';
import { checkFirst, type Preflight } from './preflight.ts';
import { eachOf, type Found, leftInCluster, removeFromCluster, removeTestPods, restoreTaint } from './removal.ts';
import { type Attachment, type NodeSide, reach, type Scene } from './scene.ts';
import type { Steps } from './steps.ts';
import { checkUpdates } from './updates.ts';

export interface StoryOptions {
  readonly node: string;
  readonly image: string;
  readonly keep: boolean;
}

export async function tellStory(steps: Steps, api: KubeClient, side: NodeSide, options: StoryOptions): Promise<void> {
  const preflight = await checkFirst(steps, api, side, options.node);
  const cluster = new Cluster(api, steps);
  const found: Found = side.memory.read() ?? {
    name: options.node,
    tainted: claims.hasTaint(preflight.node),
    labels: preflight.node.metadata.labels ?? {},
    folders: side.folders(),
  };
  side.memory.write(found);
  const ends: { network?: () => void; image?: LoadedImage } = {};
  try {
    const scene = await install(steps, cluster, side, preflight, found, options, ends);
    const server = await checkNetworks(scene, ends);
    await checkUpdates(scene, server);
    await steps.run('when the pods are deleted nothing is left of them', () => nothingLeftOfPods(scene));
  } catch (error) {
    if (!steps.isInterrupted) await cluster.explain();
    throw error;
  } finally {
    steps.beginCleanUp();
    if (options.keep) steps.note('left as it is (--keep); running the test again without it takes everything away');
    else await takeAway(steps, cluster, side, found, ends);
  }
}

async function install(
  steps: Steps,
  cluster: Cluster,
  side: NodeSide,
  preflight: Preflight,
  found: Found,
  { image, node }: StoryOptions,
  ends: { image?: LoadedImage },
): Promise<Scene> {
  const { apiServer, hostname, runtime } = preflight;
  const place = { ...side.place, hostname, ...(apiServer === undefined ? {} : { apiServer }) };
  const manifests = objects.agentObjects(place);
  const daemonSet = manifests.find(({ kind }) => kind === 'DaemonSet');
  if (daemonSet === undefined) throw new Error('deploy/ has no DaemonSet');
  const scene: Scene = {
    steps,
    cluster,
    side,
    nodeName: node,
    preflight,
    daemonSet,
    start: async (request, network = objects.NETWORK) => {
      const through = preflight.throughMultus ? { network } : {};
      await cluster.api.apply(pod({ ...request, ...through, image, hostname }));
    },
    attachments: async () => (await side.askAgent('/v1/attachments')) as readonly Attachment[],
  };
  await steps.run('what an earlier run left is gone', () => removeFromCluster(cluster, found));
  await steps.run('the image is in the store of the runtime', async () => {
    ends.image = await side.loadImage(runtime);
    steps.note(`loaded by ${ends.image.by}`);
  });
  await steps.run('an uplink of the test is there', async () => side.makeUplink());
  await steps.run('the node has the start-up taint, as a new one would', () => claims.setTaint(cluster, steps, node));
  await steps.run('the manifests are applied', async () => {
    for (const object of manifests) await cluster.api.apply(object);
  });
  await steps.run('the agent is ready', async () => void (await cluster.agentReady()));
  await steps.run(`kubelet offers ${objects.CAPACITY} ${objects.RESOURCE}`, () => cluster.resourceOffered(node));
  await steps.run('the agent has taken the start-up taint off', () => claims.taintRemoved(cluster, steps, node));
  await steps.run('probes and metrics answer on the node', () => claims.checkProbes(side));
  await steps.run("the agent's inventory has the test's uplink", async () => {
    const text = JSON.stringify(await side.askAgent('/v1/inventory'));
    if (!text.includes(`"${objects.UPLINK}"`)) throw new Error(`it has not: ${text.slice(0, 300)}`);
  });
  await steps.run('the NodeNetworkInventory of the node is as the node is', async () => {
    await claims.checkInventoryObject(cluster, steps, side, node);
  });
  await steps.run('the node has its labels', async () =>
    steps.note((await claims.checkLabels(cluster, steps, node)).join(' ')),
  );
  return scene;
}

/** Pods that reach each other, and one that is refused. Answers the attachment of the pod that stays. */
async function checkNetworks(scene: Scene, ends: { network?: () => void }): Promise<Attachment> {
  const { cluster, side, steps, preflight } = scene;
  const { throughMultus } = preflight;
  await cluster.api.apply(objects.testNamespace());
  const use = async (name: typeof objects.NETWORK | typeof objects.REFUSED_NETWORK): Promise<void> => {
    if (throughMultus) await cluster.api.apply(objects.networkDefinition(name));
    else ends.network = side.takeDefaultNetwork(objects.defaultNetwork(name));
  };
  await use(objects.REFUSED_NETWORK);
  await steps.run('a network that cannot be is refused, and the pod has an event that says why', async () => {
    await scene.start({ name: 'refused', program: 'server' }, objects.REFUSED_NETWORK);
    steps.note(await claims.refusalTold(cluster, steps, 'refused'));
    await cluster.deletePod('refused');
    const left = await scene.attachments();
    if (left.length > 0) throw new Error(`the failed attempt left ${JSON.stringify(left)}`);
  });
  await use(objects.NETWORK);
  await steps.run('a pod with a macvlan runs', async () => {
    await scene.start({ name: 'server', program: 'server' });
    await cluster.podPhase('server', 'Running');
  });
  const server = await steps.run("the agent's record has the pod, its interface and its address", async () => {
    const attachment = (await scene.attachments()).find(({ pod: owner }) => owner?.name === 'server');
    if (attachment === undefined) throw new Error('no attachment of that pod');
    return attachment;
  });
  steps.note(`${server.ifname}: ${server.kind} with ${server.addresses.join(', ')}`);
  if (throughMultus) {
    await steps.run('Multus shows the interface in network-status', async () => {
      const annotations = (await cluster.pod('server'))?.metadata.annotations;
      const status = annotations?.['k8s.v1.cni.cncf.io/network-status'] ?? '';
      if (!status.includes(`"${server.ifname}"`)) throw new Error(`it is ${status}`);
    });
  }
  await steps.run('a second pod reaches the first over it', () => reach(scene, server, 'client'));
  return server;
}

async function nothingLeftOfPods({ attachments, cluster, side, steps }: Scene): Promise<void> {
  await removeTestPods(cluster);
  let left: readonly unknown[] = [];
  await steps.until(
    'the records and reservations to go',
    async () => {
      left = [...(await attachments()), ...side.reservations()];
      return left.length === 0 ? true : undefined;
    },
    () => `, left: ${JSON.stringify(left)}`,
  );
}

async function takeAway(
  steps: Steps,
  cluster: Cluster,
  side: NodeSide,
  found: Found,
  ends: { readonly network?: () => void; readonly image?: LoadedImage },
): Promise<void> {
  await steps.run('everything is taken away again', () =>
    eachOf(steps, {
      'the pods': () => removeTestPods(cluster),
      'the network of new pods': () => ends.network?.(),
      'what is in the cluster': () => removeFromCluster(cluster, found),
      'the start-up taint': () => restoreTaint(cluster, steps, found),
      "the shim and Berth's files": () => side.uninstall(found.folders),
      'the uplink': () => side.removeUplink(),
      'the image': () => ends.image?.remove(),
    }),
  );
  await steps.run('the cluster and the node are as they were', async () => {
    const left = [...(await leftInCluster(cluster, found)), ...side.left(found.folders)];
    if (left.length > 0) throw new Error(`there is still ${left.join(', ')}`);
    side.memory.clear();
  });
}
