/**
 * What needs the whole program: the devices that kubelet gave, STATUS and GC of a running agent, and
 * logs of network definitions. Agent, shim and kernel are real, kubelet is a stand-in.
 */
import * as assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import { ip, leaveMachine, makeNamedNamespace } from '../../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../../runner/features.ts';
import { type AgentNode, createAgentNode } from '../../standins/agent-node.ts';
import { executeProcess } from '../../standins/runtime/execute.ts';

type Json = Readonly<Record<string, unknown>>;

const test = suite<{ node: AgentNode; agent: ChildProcess; ended: (() => void)[] }>('the CNI of a running agent');
const RESOURCE = 'berth.dev/shared';
const LIMIT_MS = 20_000;
const OLDEST_ANSWER_MS = 100;

function config(folder: string): string {
  return [
    'pools:\n  - { name: shared, kind: macvlan, capacity: 2, uplinks: [{ names: [up0] }] }',
    `cni: { logDir: ${folder}/logs }\n`,
  ].join('\n');
}

interface Call {
  readonly command: string;
  readonly container?: string;
  readonly pod?: string;
  readonly netns?: string;
  readonly config?: Json;
}

/** One execution of the shim; the answer, with its code when it is an error. */
async function call(
  node: AgentNode,
  { command, container = '', pod, netns = '', config: more = {} }: Call,
): Promise<Json> {
  const { stdout } = await executeProcess({
    path: node.shimPath,
    argv0: '/opt/cni/bin/macvlan',
    env: {
      BERTH_CNI_SOCKET: join(node.folder, 'run', 'cni.sock'),
      BERTH_SPOOL_FOLDER: join(node.folder, 'state', 'spool'),
      CNI_COMMAND: command,
      CNI_CONTAINERID: container,
      CNI_IFNAME: container === '' ? '' : 'net1',
      CNI_NETNS: netns,
      CNI_PATH: '/opt/cni/bin',
      ...(pod === undefined ? {} : { CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod}` }),
    },
    stdin: JSON.stringify({ ...node.network('lan').config, cniVersion: '1.1.0', ...more }),
  });
  return stdout.trim() === '' ? {} : JSON.parse(stdout);
}

if (requireFeature('root and macvlan', isRoot() && hasLinkKind('macvlan'))) {
  leaveMachine();

  test.before.each(async (context) => {
    context.ended = [];
    context.node = await createAgentNode('pools: []\n');
    const { node } = context;
    mkdirSync(join(node.folder, 'logs'));
    writeFileSync(node.configFile, config(node.folder));
    context.agent = await node.startAgent();
    await node.kubelet.until(() => node.kubelet.node().allocatable[RESOURCE] === 2, 'two slots', LIMIT_MS);
  });
  test.after.each(async ({ node, ended }) => {
    for (const end of ended) end();
    await node.remove();
    ip('link', 'set', 'up0', 'up');
  });

  const sandbox = (ended: (() => void)[]): string => {
    const namespace = makeNamedNamespace();
    ended.push(() => namespace.remove());
    return namespace.path;
  };
  const admit = (node: AgentNode, name: string, count: number) =>
    node.kubelet.admit({
      namespace: 'default',
      name,
      containers: [{ name: 'main', resources: { [RESOURCE]: count } }],
    });

  test('a slot is given to the pod that kubelet gave it to, and to no other', async ({ node, ended }) => {
    const admitted = await admit(node, 'mine', 1);
    await admit(node, 'other', 0);
    const [slot] = admitted.containers.flatMap(({ devices }) => devices[RESOURCE] ?? []);
    // A runtime makes the sandbox first; what the agent knows of kubelet is up to 75 ms old.
    await delay(OLDEST_ANSWER_MS);
    assert.ok(slot !== undefined);
    const add = (pod: string, container: string): Promise<Json> =>
      call(node, { command: 'ADD', container, pod, netns: sandbox(ended), config: { master: '', deviceID: slot } });
    const refused = await add('other', 'c1');
    assert.equal(refused.code, 103, JSON.stringify(refused));
    assert.match(
      String(refused.msg),
      new RegExp(`pod default/other may not have ${slot}: kubelet gave it to default/mine`),
    );
    const given = await add('mine', 'c2');
    assert.equal(given.code, undefined, JSON.stringify(given));
  });

  test('STATUS follows the uplink and, where it is asked to, devices and addresses', async ({ node, ended }) => {
    const status = (more: Json = {}): Promise<Json> => call(node, { command: 'STATUS', config: more });
    assert.deepEqual(await status(), {});
    const missing = await status({ master: 'none0' });
    assert.deepEqual([missing.code, /none0/.test(String(missing.msg))], [50, true]);
    assert.deepEqual(await status({ master: 'none0', statusFailsOn: [] }), {});
    const narrow = { ...(node.network('lan').config.ipam as Json), ranges: [[{ subnet: '10.88.0.0/30' }]] };
    const scarce = { statusFailsOn: ['addresses'], ipam: narrow };
    assert.deepEqual(await status(scarce), {});
    await call(node, { command: 'ADD', container: 'c1', netns: sandbox(ended), config: { ipam: narrow } });
    const full = await status(scarce);
    assert.deepEqual([full.code, /no address is free/.test(String(full.msg))], [50, true]);
  });

  test('GC takes away what the runtime does not list, and nothing of another network', async ({ node, ended }) => {
    const paths = [sandbox(ended), sandbox(ended), sandbox(ended)] as const;
    await call(node, { command: 'ADD', container: 'gone', netns: paths[0] });
    await call(node, { command: 'ADD', container: 'stays', netns: paths[1] });
    await call(node, { command: 'ADD', container: 'elsewhere', netns: paths[2], config: { name: 'other' } });
    const valid = [{ containerID: 'stays', ifname: 'net1' }];
    assert.deepEqual(await call(node, { command: 'GC', config: { 'cni.dev/valid-attachments': valid } }), {});
    const links = paths.map((path) =>
      (JSON.parse(ip('-n', path.split('/').at(-1) ?? '', '-j', 'link', 'show')) as readonly { ifname: string }[])
        .map(({ ifname }) => ifname)
        .filter((name) => name !== 'lo'),
    );
    assert.deepEqual(links, [[], ['net1'], ['net1']]);
  });

  test('a definition has its log in the folder that the administrator named', async ({ node, agent, ended }) => {
    const logFile = join(node.folder, 'logs', 'lan.log');
    const outside = join(node.folder, 'outside.log');
    await call(node, { command: 'ADD', container: 'c1', netns: sandbox(ended), config: { logFile, logLevel: 'info' } });
    await call(node, { command: 'DEL', container: 'c1', config: { logFile: outside } });
    await call(node, { command: 'CHECK', container: 'c1', config: { logFile } });
    await node.endAgent(agent, 'SIGTERM');
    const lines = readFileSync(logFile, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Json);
    assert.deepEqual(
      lines.map(({ command, level, containerId }) => [command, level, containerId]),
      [
        ['ADD', 'info', 'c1'],
        ['CHECK', 'error', 'c1'],
      ],
    );
    assert.throws(() => statSync(outside), /ENOENT/);
  });
}

test.run();
