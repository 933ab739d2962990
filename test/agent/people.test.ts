/** What people and machines see of a running agent: plans against it, refusals, probes, metrics. */
import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { ip, leaveMachine } from '../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { type AgentNode, createAgentNode } from '../standins/agent-node.ts';
import { eventually } from '../standins/eventually.ts';
import { PluginFailure, type Pod } from '../standins/runtime/index.ts';

const test = suite<{ node: AgentNode }>('agent and people');

const LISTEN = '127.0.0.1:9717';
const CONFIG = 'pools:\n  - { name: shared, kind: macvlan, capacity: 8, uplinks: [{ names: [up0] }] }\n';
const LIMIT_MS = 10_000;

const pod = (name: string): Pod => ({ namespace: 'default', name, uid: `uid-${name}` });

async function get(path: string): Promise<readonly [number, string]> {
  const answer = await fetch(`http://${LISTEN}${path}`);
  return [answer.status, await answer.text()];
}

function replaceConfig(node: AgentNode, text: string): void {
  writeFileSync(`${node.configFile}.new`, text);
  renameSync(`${node.configFile}.new`, node.configFile);
}

if (requireFeature('root and macvlan', isRoot() && hasLinkKind('macvlan'))) {
  leaveMachine();

  test.before.each(async (context) => {
    ip('link', 'set', 'lo', 'up');
    context.node = await createAgentNode(CONFIG, { agentArguments: ['--listen', LISTEN] });
  });
  test.after.each(({ node }) => node.remove());

  test('an agent that serves is ready, and its metrics tell what it did', async ({ node }) => {
    await node.startAgent();
    await eventually(
      async () => assert.deepEqual((await get('/readyz'))[0], 200, (await get('/readyz'))[1]),
      LIMIT_MS,
      () => 'the agent to be ready',
    );
    assert.match((await get('/readyz'))[1], /^ok {3}start\nok {3}configuration\nok {3}pool berth\.dev\/shared\n$/);
    assert.equal((await get('/healthz'))[0], 200);
    await node.runtime.addPod(pod('app'), [{ network: node.network('lan') }]);
    await assert.rejects(node.runtime.addPod(pod('bad'), [{ network: node.network('lan', { master: 'none0' }) }]));
    await node.runtime.deletePod(pod('app'));
    replaceConfig(node, 'pools: [{ nam: shared }]\n');
    await eventually(
      async () => assert.match((await get('/metrics'))[1], /^berth_config_broken 1$/m),
      LIMIT_MS,
      () => 'the broken configuration in the metrics',
    );
    const [, text] = await get('/metrics');
    for (const line of [
      /^berth_pool_devices\{resource="berth\.dev\/shared",state="healthy"\} 8$/m,
      /^berth_pool_registered\{resource="berth\.dev\/shared"\} 1$/m,
      /^berth_kubelet_registrations_total\{resource="berth\.dev\/shared"\} 1$/m,
      /^berth_cni_duration_seconds_count\{command="ADD",kind="macvlan",phase="total"\} 2$/m,
      /^berth_attachment_phase_duration_seconds_count\{operation="add",kind="macvlan",phase="link"\} 1$/m,
      /^berth_attachment_phase_duration_seconds_count\{operation="del",kind="macvlan",phase="restore"\} 1$/m,
      /^berth_cni_errors_total\{command="ADD",code="101",reason="[a-z-]+"\} 1$/m,
      /^berth_restores_total\{cause="del",result="complete"\} 1$/m,
      /^berth_config_reloads_total\{result="refused"\} 1$/m,
      /^process_open_fds [0-9]+$/m,
    ]) {
      assert.match(text, line);
    }
  });

  test('a plan is compared with what runs, and names the pods that are concerned', async ({ node }) => {
    await node.startAgent();
    await node.runtime.addPod(pod('app'), [{ network: node.network('lan') }]);
    const file = join(node.folder, 'next.yaml');
    writeFileSync(file, 'pools:\n  - { name: other, kind: ipvlan, capacity: 2, uplinks: [{ names: [up0] }] }\n');
    const { exit, out } = await node.berth('plan', '-f', file);
    assert.equal(exit, 0);
    assert.match(out, /^berth\.dev\/other +2 +slots of up0 +- +unhealthy: pods use up0 for macvlan/m);
    assert.match(out, /^\+ berth\.dev\/other appears$/m);
    assert.match(out, /^- berth\.dev\/shared disappears, and pods/m);
    assert.match(out, /^default\/app +net1 +up0 +the pod keeps the device of a resource that kubelet does not have/m);
    const same = await node.berth('plan', '-f', node.configFile);
    assert.match(same.out, /Nothing changes against the running configuration\./);
    const running = JSON.parse((await node.berth('plan', '-o', 'json')).out) as { pools: { resource: string }[] };
    assert.deepEqual(
      running.pools.map(({ resource }) => resource),
      ['berth.dev/shared'],
    );
  });

  test('a pool is kept for its namespaces, live, and the refusal is told to all sides', async ({ node }) => {
    await node.startAgent();
    await node.kubelet.until(() => node.kubelet.node().capacity['berth.dev/shared'] === 8, 'eight slots', LIMIT_MS);
    replaceConfig(node, CONFIG.replace('capacity: 8', 'capacity: 3, namespaces: [team-a]'));
    await node.kubelet.until(() => node.kubelet.node().capacity['berth.dev/shared'] === 3, 'three slots', LIMIT_MS);
    await assert.rejects(node.runtime.addPod(pod('app'), [{ network: node.network('lan') }]), (failure) => {
      assert.ok(failure instanceof PluginFailure);
      assert.match(
        failure.message,
        /pod default\/app may not have up0 of berth\.dev\/shared, which is for the namespaces team-a/,
      );
      return true;
    });
    assert.equal((await node.status()).attachments.total, 0);
    assert.match(
      (await node.berth('status')).out,
      /for namespaces team-a; refused 1 attachments? from elsewhere, last pod default\/app/,
    );
    assert.match((await get('/metrics'))[1], /^berth_namespace_refusals_total\{resource="berth\.dev\/shared"\} 1$/m);
    const friend: Pod = { namespace: 'team-a', name: 'app', uid: 'uid-friend' };
    await node.runtime.addPod(friend, [{ network: node.network('lan') }]);
    await node.runtime.deletePod(friend);
  });

  test('a port that is taken keeps no agent from serving, and is had when it is free', async ({ node }) => {
    const { createServer } = await import('node:http');
    const squatter = createServer((_request, response) => response.end('another'));
    await new Promise<void>((listening) => squatter.listen(9717, '127.0.0.1', listening));
    try {
      await node.startAgent();
      assert.match(node.agentLog(), /probes and metrics are not served/);
    } finally {
      squatter.closeAllConnections();
      await new Promise((closed) => squatter.close(closed));
    }
    await eventually(
      async () => assert.equal((await get('/healthz'))[0], 200),
      LIMIT_MS,
      () => 'the port',
    );
  });
}

test.run();
