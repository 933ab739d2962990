/**
 * Beside a default network that is nothing of Berth's: what the reference plugins `bridge` and `ptp`
 * gave the pod, and the rules and sysctls that a mesh put there, are the same before, during and after
 * attachments that come and go while the pod runs.
 */
import * as assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import { ip, leaveMachine } from '../../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../../runner/features.ts';
import { type AgentNode, createAgentNode } from '../../standins/agent-node.ts';
import {
  type ChainSandbox,
  type Command,
  executePlugin,
  inSandbox,
  type Json,
  linkNames,
  PluginFailure,
  peer,
} from '../../standins/plugin-chain.ts';

const test = suite<{ node: AgentNode }>('beside the default network');
/** What a runtime keeps of an ADD. */
const RESULT: Json = { cniVersion: '1.0.0', interfaces: [{ name: 'net1', sandbox: '/proc/self/ns/net' }], ips: [] };
const NEEDED = ['bridge', 'ptp'].every((type) => existsSync(peer(type))) && existsSync('/usr/sbin/iptables');

function inside({ path }: ChainSandbox, command: string): string {
  return ip('netns', 'exec', basename(path), 'sh', '-c', command);
}

/** Everything of the pod that is not Berth's: its first interface, routes through it, sysctls and rules. */
function defaultNetworkOf(sandbox: ChainSandbox): unknown {
  const show = (...words: readonly string[]): readonly Json[] =>
    JSON.parse(ip('-n', basename(sandbox.path), '-j', ...words)) as readonly Json[];
  const [link] = show('address', 'show', 'dev', 'eth0');
  const addresses = (link?.addr_info ?? []) as readonly Json[];
  const routes = ['-4', '-6'].flatMap((family) => show(family, 'route', 'show', 'table', 'all', 'dev', 'eth0'));
  return {
    link: { mac: link?.address, mtu: link?.mtu },
    addresses: addresses
      .filter(({ scope }) => scope === 'global')
      .map(({ local, prefixlen }) => `${local}/${prefixlen}`),
    // Link-local ones come by themselves, a second or two after the link is up.
    routes: routes
      .map(({ dst, gateway, table }) => `${dst} ${gateway ?? ''} ${table ?? ''}`)
      .filter((route) => !route.startsWith('fe80:'))
      .sort(),
    rules: show('rule', 'show'),
    sysctls: ['eth0', 'all', 'default', 'lo'].map((name) =>
      inside(sandbox, `grep -rsH . /proc/sys/net/ipv4/conf/${name} /proc/sys/net/ipv6/conf/${name} || true`),
    ),
    iptables: inside(sandbox, 'iptables-save').replaceAll(/^#.*$|\[\d+:\d+\]/gm, ''),
  };
}

if (requireFeature('root, macvlan, bridge, iptables and the reference plugins', isRoot() && NEEDED && canRun())) {
  leaveMachine();
  test.before(async (context) => {
    context.node = await createAgentNode('pools: []\n');
    await context.node.startAgent();
  });
  test.after(async ({ node }) => node.remove());

  for (const [type, more] of [
    ['bridge', { bridge: 'cni0', isGateway: true }],
    ['ptp', {}],
  ] as const) {
    test(`${type}: networks that come and go on a running pod leave the first interface alone`, async ({ node }) => {
      await inSandbox(`pod-${type}`, async ({ path, container }) => {
        const first = { path, container, ifname: 'eth0' };
        const defaultNetwork = {
          cniVersion: '1.0.0',
          name: `default-${type}`,
          type,
          ...more,
          ipam: { ...ipamOf(node, '10.87.0.0/24'), routes: [{ dst: '0.0.0.0/0' }] },
        };
        const prevResult = await executePlugin(node, peer(type), 'ADD', defaultNetwork, first);
        inside(first, 'iptables -t nat -A OUTPUT -p tcp -d 10.87.0.0/24 -j REDIRECT --to-ports 15001');
        inside(first, 'echo 2 >/proc/sys/net/ipv4/conf/eth0/rp_filter; echo 1 >/proc/sys/net/ipv4/conf/eth0/proxy_arp');
        const before = defaultNetworkOf(first);
        const results = new Map<string, Json>();
        const call = async (command: Command, ifname: string, subnet: string): Promise<void> => {
          const config = networkOf(node, ifname, subnet, results.get(ifname));
          results.set(ifname, await executePlugin(node, node.shimPath, command, config, { path, container, ifname }));
          assert.deepEqual(defaultNetworkOf(first), before, `${command} ${ifname}`);
        };
        await call('ADD', 'net1', '10.88.0.0/24');
        await call('ADD', 'net2', 'fd88::/64');
        await executePlugin(node, peer(type), 'CHECK', { ...defaultNetwork, prevResult }, first);
        await call('DEL', 'net1', '10.88.0.0/24');
        await call('ADD', 'net3', '10.88.0.0/24');
        await call('DEL', 'net3', '10.88.0.0/24');
        await call('DEL', 'net2', 'fd88::/64');
        await executePlugin(node, peer(type), 'DEL', { ...defaultNetwork, prevResult }, first);
      });
      assert.equal((await node.status()).attachments.total, 0);
    });
  }

  test("a pod with the node's own network is refused, its DEL succeeds, and the node is as it was", async ({
    node,
  }) => {
    const shown = (): string => ip('-j', 'address', 'show') + ip('-j', 'route', 'show', 'table', 'all');
    const before = shown();
    const pod = { path: '/proc/self/ns/net', container: 'host', ifname: 'net1' };
    const config = networkOf(node, 'host', '10.86.0.0/24', undefined);
    for (const command of ['ADD', 'CHECK'] as const) {
      await assert.rejects(
        executePlugin(
          node,
          node.shimPath,
          command,
          command === 'ADD' ? config : { ...config, prevResult: RESULT },
          pod,
        ),
        (error) => error instanceof PluginFailure && /own network namespace/.test(error.message),
      );
    }
    await executePlugin(node, node.shimPath, 'DEL', config, pod);
    assert.equal(shown(), before);
    assert.equal((await node.status()).attachments.total, 0);
    assert.equal(existsSync(join(node.folder, 'networks', 'host')), false);
  });

  test('containers that share a sandbox have their own interfaces, and one ends without the other', async ({
    node,
  }) => {
    await inSandbox('first', async ({ path }) => {
      const [first, second] = ['first', 'second'].map((container, at) => ({ path, container, ifname: `net${at + 1}` }));
      assert.ok(first !== undefined && second !== undefined);
      const config = networkOf(node, 'shared', '10.89.0.0/24', undefined);
      await executePlugin(node, node.shimPath, 'ADD', config, first);
      await executePlugin(node, node.shimPath, 'ADD', config, second);
      await assert.rejects(
        executePlugin(node, node.shimPath, 'ADD', config, { ...second, ifname: 'net1' }),
        (error) => error instanceof PluginFailure && /already has an interface net1/.test(error.message),
      );
      await executePlugin(node, node.shimPath, 'DEL', config, { ...second, ifname: 'net1' });
      assert.deepEqual(linkNames(second).toSorted(), ['lo', 'net1', 'net2']);
      await executePlugin(node, node.shimPath, 'DEL', config, first);
      assert.deepEqual(linkNames(second), ['lo', 'net2']);
      await executePlugin(node, node.shimPath, 'DEL', config, second);
    });
    assert.equal((await node.status()).attachments.total, 0);
  });
}

/** What `bridge` and the rules of the first test need. */
function canRun(): boolean {
  return hasLinkKind('macvlan') && hasLinkKind('bridge');
}

function ipamOf(node: AgentNode, subnet: string): Json {
  return { type: 'host-local', dataDir: join(node.folder, 'networks'), ranges: [[{ subnet }]] };
}

function networkOf(node: AgentNode, name: string, subnet: string, prevResult: Json | undefined): Json {
  const ipam = { ...ipamOf(node, subnet), routes: subnet.startsWith('10.') ? [{ dst: '10.99.0.0/16' }] : [] };
  const config = { cniVersion: '1.0.0', name, type: 'macvlan', master: 'up0', ipam };
  return { ...config, ...(prevResult === undefined ? {} : { prevResult }) };
}

test.run();
