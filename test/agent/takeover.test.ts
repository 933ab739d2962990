/**
 * A switch without draining: pods that Debian's Go plugins attached are checked, deleted and
 * collected by Berth, and what is not proven to be theirs stays.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { ip, leaveMachine, makeNamedNamespace } from '../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { type AgentNode, createAgentNode } from '../standins/agent-node.ts';
import { executeProcess } from '../standins/runtime/execute.ts';

const PEERS = '/usr/lib/cni';
const CONFIG = 'pools:\n  - { name: shared, kind: macvlan, capacity: 8, uplinks: [{ names: [up0] }] }\n';

interface Context {
  node: AgentNode;
  pod: FormerPod;
}

/** A container with a sandbox, which both plugins can be called for. */
interface FormerPod {
  readonly id: string;
  readonly netns: string;
  remove(): void;
}

type Json = Readonly<Record<string, unknown>>;

const test = suite<Context>('pods of the Go plugins', undefined as never);

function makePod(): FormerPod {
  const { path, remove } = makeNamedNamespace();
  return { id: randomBytes(32).toString('hex'), netns: path, remove };
}

async function call(
  path: string,
  node: AgentNode,
  command: 'ADD' | 'DEL' | 'CHECK',
  pod: FormerPod,
  config: Json,
  more: { readonly netns?: string; readonly id?: string } = {},
): Promise<{ readonly exitCode: number; readonly answer: Json }> {
  const { exitCode, stdout } = await executeProcess({
    path,
    argv0: `/opt/cni/bin/${String(config.type)}`,
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: more.id ?? pod.id,
      CNI_NETNS: more.netns ?? pod.netns,
      CNI_IFNAME: 'net1',
      CNI_PATH: PEERS,
      BERTH_CNI_SOCKET: join(node.folder, 'run', 'cni.sock'),
      BERTH_SPOOL_FOLDER: join(node.folder, 'state', 'spool'),
    },
    stdin: JSON.stringify(config),
  });
  return { exitCode, answer: stdout === '' ? {} : (JSON.parse(stdout) as Json) };
}

async function byPeer(node: AgentNode, pod: FormerPod, config: Json): Promise<Json> {
  const { exitCode, answer } = await call(`${PEERS}/${String(config.type)}`, node, 'ADD', pod, config);
  assert.equal(exitCode, 0, JSON.stringify(answer));
  return { ...config, prevResult: answer };
}

function byBerth(
  { node, pod }: Context,
  command: 'DEL' | 'CHECK',
  config: Json,
  more: { readonly netns?: string; readonly id?: string } = {},
): ReturnType<typeof call> {
  return call(node.shimPath, node, command, pod, config, more);
}

function linksIn(pod: FormerPod): readonly string[] {
  const links = JSON.parse(ip('-n', pod.netns.split('/').at(-1) ?? '', '-j', 'link', 'show')) as readonly {
    ifname: string;
  }[];
  return links.map((link) => link.ifname).filter((name) => name !== 'lo');
}

/** It may have ended with a sandbox. */
function removeLink(name: string): void {
  if (ip('-o', 'link', 'show').includes(` ${name}@`)) ip('link', 'del', name);
}

function reserved(node: AgentNode): readonly string[] {
  const folder = join(node.folder, 'networks', 'lan');
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith('10.')) : [];
}

function networkOf(node: AgentNode, type: string, more: Json): Json {
  const ipam = { type: 'host-local', dataDir: join(node.folder, 'networks'), ranges: [[{ subnet: '10.88.0.0/24' }]] };
  return { cniVersion: '1.0.0', name: 'lan', type, ...more, ipam };
}

/** ipvlan and vlan, which this machine's kernel may lack, are in test/lab/suite/takeover.lab.ts. */
const KINDS: readonly { readonly type: string; readonly config: Json }[] = [
  { type: 'macvlan', config: { master: 'up0', mode: 'bridge' } },
  { type: 'host-device', config: { device: 'given0' } },
];

const ready = isRoot() && hasLinkKind('macvlan') && existsSync(`${PEERS}/macvlan`);
if (requireFeature('root, macvlan and containernetworking-plugins', ready)) {
  leaveMachine();

  test.before.each(async (context) => {
    context.node = await createAgentNode(CONFIG);
    context.pod = makePod();
    removeLink('given1');
    ip('link', 'add', 'given0', 'type', 'veth', 'peer', 'name', 'given1');
  });
  test.after.each(async ({ node, pod }) => {
    await node.remove();
    pod.remove();
    removeLink('given1');
  });

  for (const { type, config } of KINDS) {
    test(`${type}: what the Go plugin added is checked and deleted`, async (context) => {
      const { node, pod } = context;
      const kept = await byPeer(node, pod, networkOf(node, type, config));
      await node.startAgent();
      assert.deepEqual(await byBerth(context, 'CHECK', kept), { exitCode: 0, answer: {} });
      ip('-n', pod.netns.split('/').at(-1) ?? '', 'address', 'flush', 'dev', 'net1');
      const changed = await byBerth(context, 'CHECK', kept);
      assert.match(String(changed.answer.msg), /net1 lacks the address 10\.88\.0\.2/);
      for (const time of ['first', 'again']) {
        assert.deepEqual(await byBerth(context, 'DEL', kept), { exitCode: 0, answer: {} }, time);
        assert.deepEqual(linksIn(pod), []);
        assert.deepEqual(reserved(node), []);
      }
      if (type === 'host-device') assert.match(ip('link', 'show', 'given0'), /given0@given1/);
      assert.equal((await node.status()).attachments.total, 0);
    });

    test(`${type}: a DEL for a sandbox that has ended releases the address`, async (context) => {
      const { node, pod } = context;
      const kept = await byPeer(node, pod, networkOf(node, type, config));
      await node.startAgent();
      pod.remove();
      assert.deepEqual(await byBerth(context, 'DEL', kept, { netns: '' }), { exitCode: 0, answer: {} });
      assert.deepEqual(reserved(node), []);
    });

    test(`${type}: a DEL that came while neither ran is done at the start of the agent`, async (context) => {
      const { node, pod } = context;
      const kept = await byPeer(node, pod, networkOf(node, type, config));
      assert.deepEqual(await byBerth(context, 'DEL', kept), { exitCode: 0, answer: {} });
      assert.deepEqual(reserved(node), ['10.88.0.2']);
      await node.startAgent();
      assert.deepEqual(reserved(node), []);
    });

    test(`${type}: the DEL of another container touches neither link nor address`, async (context) => {
      const { node, pod } = context;
      const kept = await byPeer(node, pod, networkOf(node, type, config));
      await node.startAgent();
      const { prevResult: _none, ...withoutResult } = kept;
      for (const [stale, netns] of [
        [withoutResult, ''],
        [{ ...kept, prevResult: { cniVersion: '1.0.0', interfaces: [], ips: [] } }, ''],
        [{ ...withoutResult, master: 'lo' }, pod.netns],
      ] as const) {
        assert.equal((await byBerth(context, 'DEL', stale, { id: 'f'.repeat(64), netns })).exitCode, 0);
        assert.deepEqual(linksIn(pod), ['net1']);
        assert.deepEqual(reserved(node), ['10.88.0.2']);
      }
      await byBerth(context, 'DEL', kept);
    });
  }

  test('a link of the same name and another kind, or with another MAC, is not the one', async (context) => {
    const { node, pod } = context;
    const kept = await byPeer(node, pod, networkOf(node, 'macvlan', { master: 'up0' }));
    const sandbox = pod.netns.split('/').at(-1) ?? '';
    await node.startAgent();
    ip('-n', sandbox, 'link', 'set', 'net1', 'address', '02:00:00:00:77:01');
    await byBerth(context, 'DEL', kept);
    assert.deepEqual(linksIn(pod), ['net1']);
    ip('-n', sandbox, 'link', 'del', 'net1');
    ip('-n', sandbox, 'link', 'add', 'net1', 'type', 'bridge');
    await byBerth(context, 'DEL', kept);
    assert.deepEqual(linksIn(pod), ['net1']);
    assert.deepEqual(reserved(node), []);
  });

  test('both give addresses from one folder, and each takes only free ones', async (context) => {
    const { node, pod } = context;
    const config = networkOf(node, 'macvlan', { master: 'up0' });
    await byPeer(node, pod, config);
    await node.startAgent();
    const second = makePod();
    try {
      const mine = await call(node.shimPath, node, 'ADD', second, config);
      assert.deepEqual(
        (mine.answer.ips as readonly { address: string }[]).map((entry) => entry.address),
        ['10.88.0.3/24'],
      );
      await call(`${PEERS}/macvlan`, node, 'DEL', second, config);
      await call(node.shimPath, node, 'DEL', second, config);
    } finally {
      second.remove();
    }
    assert.deepEqual(reserved(node), ['10.88.0.2']);
  });
}

test.run();
