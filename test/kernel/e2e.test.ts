/**
 * The steps of `hack/e2e` against stand-ins: an API server that only stores, with the controllers' work
 * done here, and on the node the real agent, shim, kernel links and traffic between two sandboxes.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import { KubeClient } from '../../hack/e2e.d/kube-client.ts';
import { readKubeConfig } from '../../hack/e2e.d/kube-config.ts';
import * as nodeTools from '../../hack/e2e.d/node.ts';
import { agentObjects, NETWORK, RESOURCE } from '../../hack/e2e.d/objects.ts';
import { Steps } from '../../hack/e2e.d/steps.ts';
import { type NodeSide, tellStory } from '../../hack/e2e.d/story.ts';
import { getFromAgent } from '../../src/http/client.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { temporaryFolder } from '../shim/built-shim.ts';
import { type AgentNode, createAgentNode } from '../standins/agent-node.ts';
import { type ApiServer, createApiServer, type StoredObject } from '../standins/apiserver/index.ts';
import type { NetworkDefinition, Pod } from '../standins/runtime/index.ts';
import { leaveMachine } from './own-namespace.ts';

const NODE = 'worker-1';
const TOKEN = 'secret';
const POD = /^\/api\/v1\/namespaces\/(berth-e2e|berth-system)\/pods\/([^/]+)$/;

interface Cluster {
  readonly api: ApiServer;
  readonly node: AgentNode;
  readonly kubeConfig: string;
  /** What went wrong in a controller. */
  readonly failures: unknown[];
  readonly takeDefaultNetwork: NodeSide['takeDefaultNetwork'];
  remove(): Promise<void>;
}

/** The controllers, kubelet and the runtime of the cluster, in a few lines. */
async function createCluster(withMultus: boolean): Promise<Cluster> {
  const devices = new Map<string, ReadonlyMap<string, readonly string[]>>();
  const node = await createAgentNode('{}', { devicesOf: ({ name }) => devices.get(name) ?? new Map() });
  const failures: unknown[] = [];
  const workloads = new Map<string, ChildProcess>();
  let agent: ChildProcess | undefined;
  let agents = 0;
  let defaultNetwork: NetworkDefinition | undefined;
  const late = (work: Promise<unknown>): void => void work.catch((error: unknown) => failures.push(error));

  const startAgent = async (): Promise<void> => {
    agent = await node.startAgent();
    // As its readiness probe has it.
    await node.kubelet.until(() => node.kubelet.isRegistered(RESOURCE), `${RESOURCE} to be registered`, 10_000);
    const name = `berth-agent-${agents++}`;
    const labels = { 'app.kubernetes.io/name': 'berth', 'app.kubernetes.io/component': 'agent' };
    const status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
    const metadata = { name, namespace: 'berth-system', labels };
    api.objects.set(`/api/v1/namespaces/berth-system/pods/${name}`, { kind: 'Pod', metadata, status });
  };
  const stopAgent = async (): Promise<void> => {
    if (agent !== undefined) await node.endAgent(agent, 'SIGTERM');
    agent = undefined;
  };
  const podOf = ({ metadata }: StoredObject): Pod => ({
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: `uid-${metadata.name}`,
  });
  /** Addresses are kept in the test's folder, not in the machine's. */
  const networkOf = (object: StoredObject): NetworkDefinition => {
    const nad = api.objects.get(
      `/apis/k8s.cni.cncf.io/v1/namespaces/berth-e2e/network-attachment-definitions/${NETWORK}`,
    );
    if (object.metadata.annotations?.['k8s.v1.cni.cncf.io/networks'] === undefined) {
      assert.ok(defaultNetwork, 'the pod has no network');
      return defaultNetwork;
    }
    return ownDataDir(JSON.parse(nad?.spec.config), RESOURCE);
  };
  const ownDataDir = (config: NetworkDefinition['config'], resourceName?: string): NetworkDefinition => ({
    namespace: 'berth-e2e',
    name: NETWORK,
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
    const sandbox = await node.runtime.addPod(podOf(object), [{ network: networkOf(object) }]);
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
    await node.runtime.deletePod(podOf(object));
    node.kubelet.remove({ namespace: object.metadata.namespace ?? '', name: object.metadata.name });
  };

  const api = await createApiServer(
    {
      applied: (path, object) => {
        if (object.kind === 'ConfigMap') writeFileSync(node.configFile, object.data['config.yaml']);
        else if (object.kind === 'DaemonSet') late(startAgent());
        else if (POD.test(path) && object.status === undefined) late(startPod(object));
      },
      deleted: (path, object, forget) => {
        const isAgent = object.metadata.namespace === 'berth-system';
        if (object.kind === 'Pod') {
          late((isAgent ? stopAgent().then(startAgent) : endPod(object)).then(forget));
          return;
        }
        if (path === '/api/v1/namespaces/berth-system') late(stopAgent());
        if (object.kind === 'Namespace') {
          for (const key of [...api.objects.keys()])
            if (key.includes(`/namespaces/${object.metadata.name}/`)) api.objects.delete(key);
        }
        forget();
      },
      read: (_path, object) => {
        if (object.kind === 'Node') object.status.allocatable = stringified(node.kubelet.node().allocatable);
      },
    },
    { token: TOKEN, withMultus },
  );
  api.objects.set(`/api/v1/nodes/${NODE}`, {
    kind: 'Node',
    metadata: { name: NODE, labels: { 'kubernetes.io/hostname': NODE } },
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
    node,
    kubeConfig,
    failures,
    remove: async () => {
      for (const workload of workloads.values()) workload.kill('SIGKILL');
      await api.close();
      await node.remove();
    },
    takeDefaultNetwork: (config) => {
      const [plugin] = (config as { plugins: readonly NetworkDefinition['config'][] }).plugins;
      assert.ok(plugin);
      defaultNetwork = ownDataDir({ cniVersion: '1.0.0', name: NETWORK, ...plugin });
      return () => {
        defaultNetwork = undefined;
      };
    },
  };
}

function stringified(numbers: Readonly<Record<string, number>>): Record<string, string> {
  return Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, String(value)]));
}

function sideOf({ node, takeDefaultNetwork }: Cluster, done: string[]): NodeSide {
  return {
    bootId: nodeTools.bootId(),
    place: { cniBin: '/opt/cni/bin', cniConf: '/etc/cni/net.d', kubelet: '/var/lib/kubelet', sharedMounts: true },
    loadImage: (runtime) => `nobody, for ${runtime}`,
    makeUplink: nodeTools.makeUplink,
    removeUplink: nodeTools.removeUplink,
    takeDefaultNetwork: takeDefaultNetwork,
    reservations: () => readdirSync(join(node.folder, 'networks', NETWORK)).filter((name) => name.startsWith('10.')),
    askAgent: (path) => getFromAgent(join(node.folder, 'run', 'api.sock'), path),
    fetch: async (path) => {
      const answer = await fetch(`http://${process.env.BERTH_LISTEN}${path}`);
      return { status: answer.status, body: await answer.text() };
    },
    uninstall: () => void done.push('uninstalled'),
  };
}

const STORY = { node: NODE, image: 'berth.dev/berth:0', keep: false, timeoutMs: 20_000 };

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
    test(`every step holds ${withMultus ? 'through Multus' : "without Multus, as the pods' own network"}`, async () => {
      cluster = await createCluster(withMultus);
      const done: string[] = [];
      const told: string[] = [];
      const steps = new Steps((text) => void told.push(text));
      try {
        await tellStory(steps, new KubeClient(readKubeConfig(cluster.kubeConfig)), sideOf(cluster, done), STORY);
      } finally {
        assert.deepEqual(cluster.failures, []);
      }
      assert.equal(steps.end(), 0, told.join(''));
      assert.deepEqual(cluster.api.refused, [], 'only requests that the test is meant to make');
      assert.deepEqual([...cluster.api.objects.keys()], [`/api/v1/nodes/${NODE}`], 'nothing is left in the cluster');
      assert.deepEqual(done, ['uninstalled']);
    });
  }

  test('answers that say "later" are asked again, and the story goes on', async () => {
    cluster = await createCluster(true);
    cluster.api.inject(500, 429, 'closed', 503, 'slow', 409);
    const steps = new Steps(() => undefined);
    await tellStory(steps, new KubeClient(readKubeConfig(cluster.kubeConfig)), sideOf(cluster, []), STORY);
    assert.equal(steps.end(), 0);
  });

  test('another machine, an unknown node and a Berth of somebody else are refused before anything is made', async () => {
    cluster = await createCluster(true);
    const tell = (more: Partial<NodeSide>, options = STORY): Promise<string> =>
      tellStory(
        new Steps(() => undefined),
        new KubeClient(readKubeConfig(cluster.kubeConfig)),
        { ...sideOf(cluster, []), ...more },
        options,
      ).then(
        () => 'told',
        (error: unknown) => String(error),
      );
    assert.match(await tell({ bootId: 'other' }), /another machine/);
    assert.match(await tell({}, { ...STORY, node: 'worker-2' }), /no such node/);
    cluster.api.objects.set('/api/v1/namespaces/berth-system', {
      kind: 'Namespace',
      metadata: { name: 'berth-system' },
    });
    assert.match(await tell({}), /remove Berth first/);
    assert.deepEqual(
      cluster.api.requests.filter((request) => !request.startsWith('GET ')),
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
    const folder = temporaryFolder();
    const path = join(folder, 'kubeconfig');
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
  });
}

test.run();
