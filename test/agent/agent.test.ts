/** The whole program: agent process, compiled shim, live kernel; kubelet and runtime are stand-ins. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { ip, leaveMachine } from '../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { type AgentNode, createAgentNode } from '../standins/agent-node.ts';
import { eventually } from '../standins/eventually.ts';
import { PluginFailure, type Pod } from '../standins/runtime/index.ts';

const test = suite<{ node: AgentNode }>('agent');

const CONFIG = 'pools:\n  - { name: shared, kind: macvlan, capacity: 8, uplinks: [{ names: [up0] }] }\n';
const RESOURCE = 'berth.dev/shared';
const LIMIT_MS = 10_000;

const pod = (name: string): Pod => ({ namespace: 'default', name, uid: `uid-${name}` });

function reservations(node: AgentNode, network: string): readonly string[] {
  return readdirSync(join(node.folder, 'networks', network)).filter((name) => name.startsWith('10.'));
}

function linksIn(netns: string): readonly string[] {
  const links = JSON.parse(ip('-n', netns.split('/').at(-1) ?? '', '-j', 'link', 'show')) as readonly {
    ifname: string;
  }[];
  return links.map((link) => link.ifname).filter((name) => name !== 'lo');
}

async function attachmentCount(node: AgentNode): Promise<number> {
  return (await node.status()).attachments.total;
}

if (requireFeature('root and macvlan', isRoot() && hasLinkKind('macvlan'))) {
  leaveMachine();

  test.before.each(async (context) => {
    context.node = await createAgentNode(CONFIG);
  });
  test.after.each(async ({ node }) => {
    await node.remove();
    ip('link', 'set', 'up0', 'up');
  });

  test('a pod gets its link, the agent shows it, and nothing is left when the pod is gone', async ({ node }) => {
    const agent = await node.startAgent();
    const sandbox = await node.runtime.addPod(pod('app'), [{ network: node.network('lan') }]);
    assert.deepEqual(linksIn(sandbox.netns), ['net1']);
    assert.deepEqual(reservations(node, 'lan'), ['10.88.0.2']);
    await node.runtime.checkPod(pod('app'));
    assert.equal(await attachmentCount(node), 1);
    await node.runtime.deletePod(pod('app'));
    assert.equal(await attachmentCount(node), 0);
    assert.deepEqual(reservations(node, 'lan'), []);
    assert.equal(await node.endAgent(agent, 'SIGTERM'), 0);
    // Both are written when the runtime has its answer already.
    const lines = node.agentLog().split('\n');
    for (const words of [/"kind":"macvlan".*"attached"/, /"command":"ADD".*"code":0.*"CNI call"/])
      assert.equal(lines.filter((line) => words.test(line)).length, 1, `${words}`);
  });

  test('the capabilities that the systemd unit names are enough', async (context) => {
    await context.node.remove();
    const unit = readFileSync(new URL('../../deploy/systemd/berth.service', import.meta.url), 'utf8');
    const named = /^CapabilityBoundingSet=(.+)$/m.exec(unit)?.[1]?.split(' ') ?? [];
    const bounding = named.map((name) => `+${name.replace('CAP_', '').toLowerCase()}`);
    assert.deepEqual(bounding.toSorted(), ['+net_admin', '+net_raw', '+sys_admin']);
    context.node = await createAgentNode(CONFIG, {
      startedBy: ['setpriv', '--inh-caps=-all', `--bounding-set=-all,${bounding.join(',')}`],
    });
    const { node } = context;
    await node.startAgent();
    await node.kubelet.until(() => node.kubelet.node().allocatable[RESOURCE] === 8, 'eight slots', LIMIT_MS);
    await node.runtime.addPod(pod('app'), [{ network: node.network('lan') }]);
    await node.runtime.checkPod(pod('app'));
    await node.runtime.deletePod(pod('app'));
    assert.deepEqual(reservations(node, 'lan'), []);
  });

  test('kubelet hears of an uplink that goes down, and of its return', async ({ node }) => {
    await node.startAgent();
    const healthy = () => node.kubelet.node().allocatable[RESOURCE];
    await node.kubelet.until(() => healthy() === 8, 'eight slots', LIMIT_MS);
    ip('link', 'set', 'up0', 'down');
    await node.kubelet.until(() => healthy() === 0, 'no healthy slot', LIMIT_MS);
    assert.equal(node.kubelet.node().capacity[RESOURCE], 8);
    assert.match((await node.status()).resources[0]?.reasons.join() ?? '', /up0/);
    ip('link', 'set', 'up0', 'up');
    await node.kubelet.until(() => healthy() === 8, 'eight slots again', LIMIT_MS);
  });

  test('a renamed uplink is seen without a restart', async ({ node }) => {
    await node.startAgent();
    await node.kubelet.until(() => node.kubelet.node().capacity[RESOURCE] === 8, 'eight slots', LIMIT_MS);
    ip('link', 'set', 'up0', 'name', 'other');
    await node.kubelet.until(() => node.kubelet.node().capacity[RESOURCE] === 0, 'no slot', LIMIT_MS);
    ip('link', 'set', 'other', 'name', 'up0');
    await node.kubelet.until(() => node.kubelet.node().capacity[RESOURCE] === 8, 'eight slots again', LIMIT_MS);
  });

  test('while the agent is away ADD is to be tried again, and DEL is kept and done at its return', async ({ node }) => {
    const agent = await node.startAgent();
    const sandbox = await node.runtime.addPod(pod('first'), [{ network: node.network('lan') }]);
    await node.endAgent(agent, 'SIGKILL');

    const refused = await node.runtime.addPod(pod('second'), [{ network: node.network('lan') }]).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.ok(refused instanceof PluginFailure);
    assert.equal(refused.answer?.code, 11);
    await node.runtime.repeatDel(pod('first'));
    assert.deepEqual(linksIn(sandbox.netns), ['net1'], 'nobody was there to delete it');

    await node.startAgent();
    assert.deepEqual(linksIn(sandbox.netns), []);
    assert.deepEqual(reservations(node, 'lan'), []);
    assert.equal(await attachmentCount(node), 0);
    const { spool } = await node.status();
    assert.deepEqual(spool, { entries: 0, unreadable: 0 });
  });

  test('an agent that is killed in the middle of many ADDs leaves nothing of the unfinished ones', async ({ node }) => {
    const agent = await node.startAgent();
    const names = Array.from({ length: 24 }, (_, at) => `p${at}`);
    const network = node.network('lan');
    const adds = names.map((name) =>
      node.runtime.addPod(pod(name), [{ network }]).then(
        () => name,
        () => undefined,
      ),
    );
    // Some are through, some are under way, some have not begun.
    await Promise.race(adds);
    await node.endAgent(agent, 'SIGKILL');
    const attached = (await Promise.all(adds)).filter((name) => name !== undefined);

    await node.startAgent();
    await eventually(
      async () => {
        assert.equal(await attachmentCount(node), attached.length);
        assert.equal(reservations(node, 'lan').length, attached.length);
      },
      LIMIT_MS,
      () => `${attached.length} attachments\n${node.agentLog()}`,
    );
    const again = names.filter((name) => !attached.includes(name));
    for (const name of again) await node.runtime.addPod(pod(name), [{ network }]);
    for (const name of names) await node.runtime.deletePod(pod(name));
    assert.equal(await attachmentCount(node), 0);
    assert.deepEqual(reservations(node, 'lan'), []);
  });

  test('a sandbox that dies without DEL is collected', async ({ node }) => {
    await node.startAgent();
    await node.runtime.addPod(pod('lost'), [{ network: node.network('lan') }]);
    await node.runtime.loseSandbox(pod('lost'));
    await eventually(
      async () => {
        assert.equal(await attachmentCount(node), 0);
        assert.deepEqual(reservations(node, 'lan'), []);
      },
      LIMIT_MS,
      () => 'the lost attachment to be collected',
    );
  });

  test('a second agent waits for the first, and takes over without touching pods', async ({ node }) => {
    const first = await node.startAgent();
    const sandbox = await node.runtime.addPod(pod('app'), [{ network: node.network('lan') }]);
    const second = await node.startAgent('started');
    await eventually(
      () => assert.match(node.agentLog(), /another agent runs on this node/),
      LIMIT_MS,
      () => 'the second agent to say that it waits',
    );
    assert.equal(await node.endAgent(first, 'SIGTERM'), 0);
    await eventually(
      async () => assert.equal(await attachmentCount(node), 1),
      LIMIT_MS,
      () => 'the second agent to serve',
    );
    assert.deepEqual(linksIn(sandbox.netns), ['net1']);
    await node.runtime.checkPod(pod('app'));
    await node.runtime.deletePod(pod('app'));
    assert.equal(await node.endAgent(second, 'SIGTERM'), 0);
  });

  test('a broken configuration changes nothing but what status says, and a good one is taken live', async ({
    node,
  }) => {
    await node.startAgent();
    await node.kubelet.until(() => node.kubelet.node().capacity[RESOURCE] === 8, 'eight slots', LIMIT_MS);
    const replace = (text: string): void => {
      writeFileSync(`${node.configFile}.new`, text);
      renameSync(`${node.configFile}.new`, node.configFile);
    };
    replace('pools:\n  - { nam: shared, kind: macvlan }\n');
    await eventually(
      async () => assert.match((await node.status()).configuration.problems.join('\n'), /config\.yaml:2: pools\[0\]/),
      LIMIT_MS,
      () => 'the problem in status',
    );
    assert.equal(node.kubelet.node().capacity[RESOURCE], 8);
    replace(CONFIG.replace('capacity: 8', 'capacity: 3'));
    await node.kubelet.until(() => node.kubelet.node().capacity[RESOURCE] === 3, 'three slots', LIMIT_MS);
    assert.deepEqual((await node.status()).configuration.problems, []);
  });

  for (const [what, more, code, text] of [
    ['an uplink that is not there', { master: 'none0' }, 101, /none0/],
    ['a mode that macvlan does not have', { mode: 'bridged' }, 7, /bridged/],
    ['a link type that nobody knows', { type: 'berth', link: 'magic' }, 7, /magic/],
  ] as const) {
    test(`${what} is refused with its reason and leaves nothing`, async ({ node }) => {
      await node.startAgent();
      const refused = await node.runtime.addPod(pod('app'), [{ network: node.network('lan', more) }]).then(
        () => undefined,
        (error: unknown) => error,
      );
      assert.ok(refused instanceof PluginFailure);
      assert.equal(refused.answer?.code, code);
      assert.match(refused.answer?.msg ?? '', text);
      assert.equal(await attachmentCount(node), 0);
    });
  }

  test('an address range that is used up is said, and the pods that have addresses keep them', async ({ node }) => {
    await node.startAgent();
    const network = node.network('tiny');
    const small = {
      ...network,
      config: {
        ...network.config,
        ipam: { type: 'host-local', dataDir: join(node.folder, 'networks'), subnet: '10.88.1.0/30' },
      },
    };
    const sandbox = await node.runtime.addPod(pod('one'), [{ network: small }]);
    const refused = await node.runtime.addPod(pod('two'), [{ network: small }]).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.ok(refused instanceof PluginFailure);
    assert.match(refused.answer?.msg ?? '', /10\.88\.1/);
    assert.equal(refused.answer?.code, 11, 'it is worth a try when another pod has ended');
    assert.deepEqual(linksIn(sandbox.netns), ['net1']);
    assert.equal(await attachmentCount(node), 1);
  });
}

test.run();
