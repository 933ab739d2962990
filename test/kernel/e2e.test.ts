/**
 * The steps of `hack/e2e` against stand-ins: an API server that only stores, with the controllers' work
 * done here, and on the node the real agent, shim, kernel links and traffic between two sandboxes. The
 * agent writes to the other stand-in, which takes its calls and no others; what it holds is shown here.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import { KubeClient } from '../../hack/e2e.d/kube-client.ts';
import { readKubeConfig } from '../../hack/e2e.d/kube-config.ts';
import * as nodeTools from '../../hack/e2e.d/node.ts';
import { agentObjects, NETWORK, REFUSED_NETWORK, RESOURCE } from '../../hack/e2e.d/objects.ts';
import type { Found } from '../../hack/e2e.d/removal.ts';
import type { NodeSide } from '../../hack/e2e.d/scene.ts';
import { Steps } from '../../hack/e2e.d/steps.ts';
import { tellStory } from '../../hack/e2e.d/story.ts';
import { getFromAgent } from '../../src/http/client.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { temporaryFolder } from '../shim/built-shim.ts';
import { type AgentNode, createAgentNode } from '../standins/agent-node.ts';
import { type ApiServer as AgentApi, startApiServer } from '../standins/apiserver/agent-calls.ts';
import { type ApiServer, createApiServer, type StoredObject } from '../standins/apiserver/index.ts';
import type { NetworkDefinition, Pod } from '../standins/runtime/index.ts';
import { leaveMachine } from './own-namespace.ts';

const NODE = 'worker-1';
const TOKEN = 'secret';
const scratch = temporaryFolder();
let clusters = 0;
const POD = /^\/api\/v1\/namespaces\/(berth-e2e|berth-system)\/pods\/([^/]+)$/;

const HOSTNAME = { 'kubernetes.io/hostname': NODE };

interface Cluster {
  readonly api: ApiServer;
  /** What the agent speaks to. */
  readonly agentApi: AgentApi;
  readonly node: AgentNode;
  readonly kubeConfig: string;
  /** What went wrong in a controller. */
  readonly failures: unknown[];
  readonly takeDefaultNetwork: NodeSide['takeDefaultNetwork'];
  readonly killAgent: () => void;
  remove(): Promise<void>;
}

/** The controllers, kubelet and the runtime of the cluster, in a few lines. */
async function createCluster(withMultus: boolean, forbidden: readonly string[] = []): Promise<Cluster> {
  const devices = new Map<string, ReadonlyMap<string, readonly string[]>>();
  const agentApi = await startApiServer(NODE);
  const agentKubeConfig = join(scratch, `agent-${clusters++}.kubeconfig`);
  writeFileSync(agentKubeConfig, agentApi.kubeconfig);
  const node = await createAgentNode('{}', {
    devicesOf: ({ name }) => devices.get(name) ?? new Map(),
    agentArguments: [
      ...['--publish-inventory', '--publish-events', '--label-node', '--remove-startup-taint'],
      ...['--kubeconfig', agentKubeConfig, '--node-name', NODE],
    ],
  });
  const failures: unknown[] = [];
  const workloads = new Map<string, ChildProcess>();
  let agent: ChildProcess | undefined;
  let agents = 0;
  let defaultNetwork: NetworkDefinition | undefined;
  const late = (work: Promise<unknown>): void => void work.catch((error: unknown) => failures.push(error));

  const startProcess = async (): Promise<void> => {
    agent = await node.startAgent();
    // As its readiness probe has it.
    await node.kubelet.until(() => node.kubelet.isRegistered(RESOURCE), `${RESOURCE} to be registered`, 10_000);
  };
  const agentPods = (): readonly [path: string, pod: StoredObject][] =>
    [...api.objects].filter(([path]) => path.startsWith('/api/v1/namespaces/berth-system/pods/'));
  const startAgent = async (): Promise<void> => {
    await startProcess();
    const name = `berth-agent-${agents++}`;
    const labels = { 'app.kubernetes.io/name': 'berth', 'app.kubernetes.io/component': 'agent' };
    const conditions = [{ type: 'Ready', status: 'True' }];
    const status = { phase: 'Running', conditions, containerStatuses: [{ restartCount: 0 }] };
    const metadata = { name, namespace: 'berth-system', labels, uid: `uid-${name}` };
    api.objects.set(`/api/v1/namespaces/berth-system/pods/${name}`, { kind: 'Pod', metadata, status });
  };
  const stopAgent = async (): Promise<void> => {
    if (agent !== undefined) await node.endAgent(agent, 'SIGTERM');
    agent = undefined;
    for (const [path] of agentPods()) api.objects.delete(path);
  };
  /** As kubelet does for a container that ends. */
  const restartAgent = async (): Promise<void> => {
    if (agent !== undefined) await node.endAgent(agent, 'SIGKILL');
    await startProcess();
    for (const [, pod] of agentPods()) pod.status.containerStatuses[0].restartCount++;
  };
  let template = '';
  /** As the DaemonSet's controller does with `maxSurge: 0`, one after another. */
  let turn = Promise.resolve();
  const followDaemonSet = (object: StoredObject | undefined): void => {
    const wanted = object === undefined ? '' : JSON.stringify(object.spec.template);
    if (wanted === template) return;
    template = wanted;
    turn = turn.then(stopAgent);
    if (wanted !== '' && !wanted.includes('nowhere')) turn = turn.then(startAgent);
    late(turn);
  };
  const podOf = ({ metadata }: StoredObject): Pod => ({
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: `uid-${metadata.name}`,
  });
  /** Addresses are kept in the test's folder, not in the machine's. */
  const networkOf = (object: StoredObject): NetworkDefinition => {
    const wanted = object.metadata.annotations?.['k8s.v1.cni.cncf.io/networks'];
    if (wanted === undefined) {
      assert.ok(defaultNetwork, 'the pod has no network');
      return defaultNetwork;
    }
    const nad = api.objects.get(
      `/apis/k8s.cni.cncf.io/v1/namespaces/berth-e2e/network-attachment-definitions/${wanted}`,
    );
    return ownDataDir(JSON.parse(nad?.spec.config), RESOURCE);
  };
  const ownDataDir = (config: NetworkDefinition['config'], resourceName?: string): NetworkDefinition => ({
    namespace: 'berth-e2e',
    name: String(config.name ?? NETWORK),
    ...(resourceName === undefined ? {} : { resourceName }),
    config: { ...config, ipam: { ...(config.ipam as object), dataDir: join(node.folder, 'networks') } },
  });
  const startPod = async (object: StoredObject): Promise<void> => {
    const { name, namespace = '' } = object.metadata;
    const [container] = object.spec.containers;
    const admitted = await node.kubelet.admit({
      namespace,
      name,
      containers: [{ name: container.name, resources: { [RESOURCE]: 1 } }],
    });
    devices.set(name, new Map(Object.entries(admitted.containers[0]?.devices ?? {})));
    object.status = { phase: 'Pending' };
    const network = networkOf(object);
    const sandbox = await node.runtime.addPod(podOf(object), [{ network }]).catch((error: unknown) => {
      // Kubelet tries it again and again, and the pod waits meanwhile.
      if (network.name === REFUSED_NETWORK) return undefined;
      throw error;
    });
    if (sandbox === undefined) return;
    const status = JSON.stringify(sandbox.attachments.map(({ ifname }) => ({ interface: ifname })));
    object.metadata = {
      ...object.metadata,
      annotations: { ...object.metadata.annotations, 'k8s.v1.cni.cncf.io/network-status': status },
    };
    const variables = Object.fromEntries(
      container.env.map((entry: { name: string; value: string }) => [entry.name, entry.value]),
    );
    const words = [
      'netns',
      'exec',
      sandbox.netns.split('/').at(-1) ?? '',
      process.execPath,
      ...container.command.slice(1),
    ];
    const workload = spawn('ip', words, { env: { ...process.env, ...variables }, stdio: 'ignore' });
    workloads.set(name, workload);
    object.status = { phase: 'Running' };
    workload.on('exit', (code) => {
      object.status = { phase: code === 0 ? 'Succeeded' : 'Failed' };
    });
  };
  const endPod = async (object: StoredObject): Promise<void> => {
    workloads.get(object.metadata.name)?.kill('SIGKILL');
    if (node.runtime.sandboxOf(podOf(object)) !== undefined) await node.runtime.deletePod(podOf(object));
    node.kubelet.remove({ namespace: object.metadata.namespace ?? '', name: object.metadata.name });
  };

  const api = await createApiServer(
    {
      applied: (path, object) => {
        if (object.kind === 'ConfigMap') writeFileSync(node.configFile, object.data['config.yaml']);
        else if (object.kind === 'DaemonSet') followDaemonSet(object);
        else if (POD.test(path) && object.status === undefined) late(startPod(object));
      },
      deleted: (path, object, forget) => {
        if (object.kind === 'Pod') {
          late(endPod(object).then(forget));
          return;
        }
        if (path === '/api/v1/namespaces/berth-system') followDaemonSet(undefined);
        if (object.kind === 'Namespace') {
          for (const key of [...api.objects.keys()])
            if (key.includes(`/namespaces/${object.metadata.name}/`)) api.objects.delete(key);
        }
        forget();
      },
      read: (_path, object) => {
        if (object.kind !== 'Node') return;
        object.status.allocatable = stringified(node.kubelet.node().allocatable);
        object.spec = { taints: structuredClone(agentApi.taints) };
        object.metadata = { ...object.metadata, labels: { ...HOSTNAME, ...agentApi.labels } };
      },
      patched: (_path, object) => {
        agentApi.taints.splice(0, agentApi.taints.length, ...object.spec.taints);
        const labels = Object.entries(object.metadata.labels ?? {}).filter(([key]) => !(key in HOSTNAME));
        agentApi.labels = Object.fromEntries(labels);
      },
      elsewhere: (path) => {
        if (path === '/api/v1/namespaces/berth-e2e/events') return agentApi.events as readonly StoredObject[];
        const inventory = agentApi.inventories.get(path.split('/').at(-1) ?? '') as StoredObject | undefined;
        if (!path.includes('nodenetworkinventories') || inventory === undefined) return [];
        const isWrite = (request: (typeof agentApi.requests)[number]): boolean =>
          request.method === 'PATCH' && request.path === path;
        const generation = agentApi.requests.filter(isWrite).length;
        const managedFields = [{ manager: 'berth', operation: 'Apply' }];
        return [{ ...inventory, metadata: { ...inventory.metadata, generation, managedFields } } as StoredObject];
      },
    },
    { token: TOKEN, withMultus, forbidden },
  );
  api.objects.set(`/api/v1/nodes/${NODE}`, {
    kind: 'Node',
    metadata: { name: NODE, uid: 'uid-1', labels: HOSTNAME },
    spec: {},
    status: {
      nodeInfo: {
        bootID: nodeTools.bootId(),
        containerRuntimeVersion: 'containerd://2.0',
        kubeletVersion: 'v1.36.0',
        kernelVersion: '6',
      },
    },
  });
  const kubeConfig = join(node.folder, 'kubeconfig');
  writeFileSync(
    kubeConfig,
    JSON.stringify({
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
      clusters: [{ name: 'k', cluster: { server: api.url } }],
      users: [{ name: 'u', user: { token: TOKEN } }],
    }),
  );
  return {
    api,
    agentApi,
    killAgent: () => late(restartAgent()),
    node,
    kubeConfig,
    failures,
    remove: async () => {
      for (const workload of workloads.values()) workload.kill('SIGKILL');
      await api.close();
      await node.remove();
      await agentApi.close();
    },
    takeDefaultNetwork: (config) => {
      const [plugin] = (config as { plugins: readonly NetworkDefinition['config'][] }).plugins;
      assert.ok(plugin);
      defaultNetwork = ownDataDir({ cniVersion: '1.0.0', name: (config as { name: string }).name, ...plugin });
      return () => {
        defaultNetwork = undefined;
      };
    },
  };
}

function stringified(numbers: Readonly<Record<string, number>>): Record<string, string> {
  return Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, String(value)]));
}

function sideOf({ node, takeDefaultNetwork, killAgent }: Cluster, done: string[]): NodeSide {
  let found: Found | undefined;
  const inNetworks = (name: string): readonly string[] => {
    const folder = join(node.folder, 'networks', name);
    return existsSync(folder) ? readdirSync(folder).filter((entry) => entry.startsWith('10.')) : [];
  };
  return {
    bootId: nodeTools.bootId(),
    place: { cniBin: '/opt/cni/bin', cniConf: '/etc/cni/net.d', kubelet: '/var/lib/kubelet', sharedMounts: true },
    answers: () => Promise.resolve(false),
    loadImage: (runtime) =>
      Promise.resolve({ by: `nobody, for ${runtime}`, remove: () => void done.push('image removed') }),
    makeUplink: nodeTools.makeUplink,
    removeUplink: nodeTools.removeUplink,
    takeDefaultNetwork,
    reservations: () => [...inNetworks(NETWORK), ...inNetworks(REFUSED_NETWORK)],
    askAgent: (path) => getFromAgent(join(node.folder, 'run', 'api.sock'), path),
    fetch: async (path) => {
      const answer = await fetch(`http://${process.env.BERTH_LISTEN}${path}`);
      return { status: answer.status, body: await answer.text() };
    },
    killAgent,
    spooled: () => {
      const folder = join(node.folder, 'state', 'spool');
      return existsSync(folder) ? readdirSync(folder).filter((name) => !name.startsWith('.')) : [];
    },
    folders: () => [],
    uninstall: () => void done.push('uninstalled'),
    left: () => nodeTools.strayLinks(),
    memory: {
      read: () => found,
      write: (now) => {
        found = now;
      },
      clear: () => {
        found = undefined;
        done.push('forgotten');
      },
    },
  };
}

const STORY = { node: NODE, image: 'berth.dev/berth:0', keep: false };
const newSteps = (told: string[] = []): Steps => new Steps((text) => void told.push(text), 20_000);
const clientOf = ({ kubeConfig }: Cluster): KubeClient => new KubeClient(readKubeConfig(kubeConfig));

if (requireFeature('root and macvlan', isRoot() && hasLinkKind('macvlan'))) {
  leaveMachine();
  let cluster: Cluster;

  test.before(async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    process.env.BERTH_LISTEN = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
    await new Promise((resolve) => server.close(resolve));
  });
  test.after.each(() => cluster.remove());

  for (const withMultus of [true, false]) {
    const way = withMultus ? 'through Multus' : "without Multus, as the pods' own network";
    test(`every step holds ${way}, whatever says "later" in between`, async () => {
      cluster = await createCluster(withMultus);
      // Requests that answer "later" are made again: some at once, some while the manifests are applied.
      if (!withMultus) cluster.api.inject(500, 429);
      const done: string[] = [];
      const told: string[] = [];
      const steps = newSteps(told);
      const side = sideOf(cluster, done);
      const makeUplink = (): void => {
        cluster.api.inject('closed', 503, 'slow', 409);
        side.makeUplink();
      };
      try {
        await tellStory(steps, clientOf(cluster), withMultus ? side : { ...side, makeUplink }, STORY);
      } catch (error) {
        assert.fail(`${String(error)}\n${told.join('')}`);
      } finally {
        assert.deepEqual(cluster.failures, []);
      }
      assert.equal(steps.end(), 0, told.join(''));
      assert.deepEqual(cluster.api.refused, [], 'only requests that the test is meant to make');
      assert.deepEqual(cluster.agentApi.refused, [], 'only requests that the agent is meant to make');
      assert.deepEqual([...cluster.api.objects.keys()], [`/api/v1/nodes/${NODE}`], 'nothing is left in the cluster');
      assert.deepEqual([cluster.agentApi.taints, cluster.agentApi.labels], [[], {}], 'nothing is left on the node');
      assert.deepEqual(done, ['uninstalled', 'image removed', 'forgotten']);
    });
  }

  test('whoever is interrupted takes everything away, and gives back the taint that was there', async () => {
    cluster = await createCluster(true);
    const taint = { key: 'berth.dev/agent-not-ready', effect: 'NoSchedule' };
    cluster.agentApi.taints.push(taint);
    const done: string[] = [];
    const steps = newSteps();
    const side = sideOf(cluster, done);
    const fetchAndStop = (path: string): ReturnType<NodeSide['fetch']> => {
      steps.interrupt('SIGINT');
      return side.fetch(path);
    };
    const story = tellStory(steps, clientOf(cluster), { ...side, fetch: fetchAndStop }, STORY);
    await assert.rejects(story, /stopped: SIGINT/);
    assert.equal(steps.end(), 130);
    assert.deepEqual([...cluster.api.objects.keys()], [`/api/v1/nodes/${NODE}`]);
    assert.deepEqual(cluster.agentApi.taints, [taint]);
    assert.deepEqual(done, ['uninstalled', 'image removed', 'forgotten']);
  });

  test('what cannot be taken away is named, and the rest is taken away all the same', async () => {
    cluster = await createCluster(true);
    const told: string[] = [];
    const done: string[] = [];
    const side = sideOf(cluster, done);
    const broken: Partial<NodeSide> = {
      loadImage: () => Promise.reject(new Error('no store of images')),
      uninstall: () => {
        throw new Error('read-only file system');
      },
      left: () => ['link berth-e2e0'],
    };
    const story = tellStory(newSteps(told), clientOf(cluster), { ...side, ...broken }, STORY);
    await assert.rejects(story, /not taken away: the shim and Berth's files/);
    assert.match(told.join(''), /FAILED {2}the image is in the store of the runtime: no store of images/);
    assert.match(told.join(''), /the shim and Berth's files: read-only file system/);
    assert.deepEqual([...cluster.api.objects.keys()], [`/api/v1/nodes/${NODE}`]);
    assert.deepEqual(done, [], 'how the node was found is remembered for the next run');
  });

  test('wrong places, missing rights and a Berth of somebody else are refused before anything is made', async () => {
    cluster = await createCluster(true, ['patch clusterroles', 'delete customresourcedefinitions']);
    const tell = (more: Partial<NodeSide>, options = STORY, api = clientOf(cluster)): Promise<string> =>
      tellStory(newSteps(), api, { ...sideOf(cluster, []), ...more }, options).then(
        () => 'told',
        (error: unknown) => String(error),
      );
    assert.match(
      await tell({}),
      /may not patch clusterroles\.rbac\.authorization\.k8s\.io; delete customresourcedefinitions/,
    );
    await cluster.remove();
    cluster = await createCluster(true);
    assert.match(await tell({ bootId: 'other' }), /another machine/);
    assert.match(await tell({}, { ...STORY, node: 'worker-2' }), /no such node; it has worker-1/);
    cluster.api.objects.set('/api/v1/namespaces/berth-system', {
      kind: 'Namespace',
      metadata: { name: 'berth-system' },
    });
    assert.match(await tell({}), /there is a Namespace berth-system .* remove Berth first/);
    const { server } = readKubeConfig(cluster.kubeConfig);
    const stranger = new KubeClient({ server, insecure: false, token: 'wrong' });
    assert.match(await tell({}, STORY, stranger), /401 who are you\?\. The server does not accept the credentials/);
    const nobody = new KubeClient({ server: new URL('https://127.0.0.1:1'), insecure: false });
    assert.match(await tell({}, STORY, nobody), /https:\/\/127\.0\.0\.1:1 does not answer: .*ECONNREFUSED/);
    assert.deepEqual(
      cluster.api.requests.filter((request) => /^(PATCH|DELETE)/.test(request)),
      [],
    );
  });

  test('the manifest follows the node: other folders, private mounts, and this node only', async () => {
    cluster = await createCluster(true);
    const place = { hostname: NODE, cniBin: '/bin/cni', cniConf: '/conf', kubelet: '/k', sharedMounts: false };
    const daemonSet = agentObjects(place).find(({ kind }) => kind === 'DaemonSet');
    const { nodeSelector, containers, volumes } = daemonSet?.spec.template.spec ?? {};
    assert.equal(nodeSelector['kubernetes.io/hostname'], NODE);
    const paths = volumes.map((volume: { hostPath?: { path: string } }) => volume.hostPath?.path);
    for (const path of ['/bin/cni', '/conf', '/k/device-plugins', '/k/plugins_registry', '/k/pod-resources']) {
      assert.ok(paths.includes(path), path);
    }
    const text = JSON.stringify(containers);
    assert.match(text, /"mountPath":"\/k\/pod-resources"/);
    assert.match(text, /"name":"BERTH_KUBELET_DIR","value":"\/k"/);
    assert.doesNotMatch(text, /mountPropagation/);
    assert.equal(nodeTools.optionOf(['kubelet', '--root-dir=/k', '-v', '2'], '--root-dir'), '/k');
    assert.equal(nodeTools.optionOf(['containerd', '-c', '/c.toml'], '--config', '-c'), '/c.toml');
  });

  test('a kubeconfig that logs in by a program, or lacks its context, says so', async () => {
    cluster = await createCluster(true);
    const path = join(scratch, 'kubeconfig');
    const base = {
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
      clusters: [{ name: 'k', cluster: { server: 'https://127.0.0.1:1' } }],
      users: [{ name: 'u', user: { exec: { command: 'login' } } }],
    };
    writeFileSync(path, JSON.stringify(base));
    assert.throws(() => readKubeConfig(path), /logs in by another program/);
    writeFileSync(path, JSON.stringify({ ...base, contexts: [] }));
    assert.throws(() => readKubeConfig(path), /has no entry "c" under contexts/);
    writeFileSync(
      path,
      JSON.stringify({ ...base, users: [{ name: 'u', user: { token: 't' } }], clusters: [{ name: 'k', cluster: {} }] }),
    );
    assert.throws(() => readKubeConfig(path), /server is no address/);
    writeFileSync(path, 'a: [');
    assert.throws(() => readKubeConfig(path), /is no kubeconfig/);
    writeFileSync(path, 'just text');
    assert.throws(() => readKubeConfig(path), /is no kubeconfig: it has no clusters/);
    assert.throws(() => readKubeConfig(join(scratch, 'none')), /none cannot be read: ENOENT/);
  });
}

test.run();
