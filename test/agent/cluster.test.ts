/** The whole program beside an API server's stand-in: what the cluster is told, and that nothing depends on it. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { leaveMachine } from '../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { temporaryFolder } from '../shim/built-shim.ts';
import { type AgentNode, createAgentNode } from '../standins/agent-node.ts';
import { type ApiServer, startApiServer } from '../standins/apiserver/agent-calls.ts';
import { eventually } from '../standins/eventually.ts';
import type { Pod } from '../standins/runtime/index.ts';

const test = suite<{ node: AgentNode; server: ApiServer }>('cluster');

const NODE = 'worker-7';
const CONFIG = 'pools:\n  - { name: shared, kind: macvlan, capacity: 8, uplinks: [{ names: [up0] }] }\n';
const LIMIT_MS = 40_000;
const ALL_PARTS = ['--publish-inventory', '--publish-events', '--label-node', '--remove-startup-taint'];

const pod = (name: string): Pod => ({ namespace: 'shop', name, uid: `uid-${name}` });

async function until(holds: () => boolean, what: string): Promise<void> {
  await eventually(
    () => assert.ok(holds()),
    LIMIT_MS,
    () => what,
  );
}

if (requireFeature('root and macvlan', isRoot() && hasLinkKind('macvlan'))) {
  leaveMachine();

  test.before.each(async (context) => {
    const server = await startApiServer(NODE);
    server.taints.push({ key: 'berth.dev/agent-not-ready', effect: 'NoSchedule' });
    const kubeconfig = join(temporaryFolder(), 'kubeconfig');
    writeFileSync(kubeconfig, server.kubeconfig);
    const agentArguments = ['--node-name', NODE, '--kubeconfig', kubeconfig, ...ALL_PARTS];
    context.server = server;
    context.node = await createAgentNode(CONFIG, { agentArguments });
  });
  test.after.each(async ({ node, server }) => {
    await node.remove();
    await server.close();
  });

  test('a node is in the cluster with what it has, without its taint, and its pods have their events', async ({
    node,
    server,
  }) => {
    const agent = await node.startAgent();
    await until(() => server.taints.length === 0, 'the start-up taint to be removed');
    await until(() => server.inventories.has(NODE), 'the inventory');
    const { status } = server.inventories.get(NODE) as {
      status: { resources: { name: string }[]; conditions: { type: string; status: string }[] };
    };
    assert.deepEqual(
      status.resources.map(({ name }) => name),
      ['berth.dev/shared'],
    );
    assert.equal(status.conditions.find(({ type }) => type === 'Ready')?.status, 'True');

    const broken = { network: node.network('lan', { master: 'nowhere0' }) };
    await assert.rejects(node.runtime.addPod(pod('web-0'), [broken]));
    await until(() => server.events.length > 0, 'an event of the pod');
    const [event] = server.events as { reason: string; message: string; involvedObject: { name: string } }[];
    assert.equal(event?.reason, 'AttachmentFailed');
    assert.equal(event?.involvedObject.name, 'web-0');
    assert.match(event?.message ?? '', /nowhere0/);

    const shown = await node.status();
    assert.equal(shown.cluster?.startupTaint?.removed, true);
    assert.equal(shown.cluster?.inventory?.problem, undefined);
    assert.match((await node.berth('status')).out, /^cluster: inventory kept/m);
    assert.deepEqual(server.refused, []);
    assert.equal(await node.endAgent(agent, 'SIGTERM'), 0);
  });

  test('without an API server pods get their networks all the same, and the status says what is wrong', async ({
    node,
    server,
  }) => {
    await server.close();
    const agent = await node.startAgent();
    await node.runtime.addPod(pod('web-1'), [{ network: node.network('lan') }]);
    await eventually(
      async () => assert.match((await node.status()).cluster?.inventory?.problem ?? '', /api-server-unreachable/),
      LIMIT_MS,
      () => 'the problem to be shown',
    );
    await node.runtime.deletePod(pod('web-1'));
    assert.equal(await node.endAgent(agent, 'SIGTERM'), 0);
  });

  test('an agent without credentials serves, and says what it cannot do', async ({ node }) => {
    await node.remove();
    const bare = await createAgentNode(CONFIG, { agentArguments: ['--publish-inventory'] });
    try {
      const agent = await bare.startAgent();
      const problem = (): Promise<string> =>
        bare.status().then(({ cluster }) => cluster?.inventory?.problem ?? 'none yet');
      await eventually(
        async () => assert.match(await problem(), /kubeconfig-unusable|api-server-unreachable/),
        LIMIT_MS,
        () => 'the problem to be shown',
      );
      assert.equal(await bare.endAgent(agent, 'SIGTERM'), 0);
    } finally {
      await bare.remove();
    }
  });

  test('a Node that was made anew while the agent ran has its object again when its kubelet is back', async ({
    node,
    server,
  }) => {
    await node.startAgent();
    await until(() => server.inventories.has(NODE), 'the inventory');
    // What the API server's garbage collector does when the Node goes.
    server.inventories.delete(NODE);
    server.nodeUid = 'uid-2';
    await node.kubelet.restart();
    await until(() => server.inventories.has(NODE), 'the inventory of the new Node');
    const { metadata } = server.inventories.get(NODE) as { metadata: { ownerReferences: readonly { uid: string }[] } };
    assert.deepEqual(
      metadata.ownerReferences.map(({ uid }) => uid),
      ['uid-2'],
    );
    assert.deepEqual(server.refused, []);
  });

  test.run();
}
