/**
 * Chains in which the reference plugins of Debian's package follow a link of Berth's, by the whole
 * program, for the kinds that only the lab has, and `vrf`, whose driver few machines have. The same
 * for macvlan on any machine: test/conformance/cni/peers.test.ts.
 */
import * as assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import { ip } from '../../kernel/own-namespace.ts';
import { hasLinkKind, hasSriov, requireFeature } from '../../runner/features.ts';
import { type AgentNode, createAgentNode } from '../../standins/agent-node.ts';
import {
  type ChainSandbox,
  executePlugin,
  inSandbox,
  type Json,
  linkNames,
  peer,
  runChain,
} from '../../standins/plugin-chain.ts';
import { createLabNode, type LabNode } from './vf-node.ts';

const PF = 'eth0';
const UPLINK = 'eth1';

const test = suite<{ lab: LabNode; node: AgentNode }>('chains in the lab');

type Look = (sandbox: ChainSandbox) => void;

/** Debian's vrf adds a link-local address again that the kernel may have made anew meanwhile, and fails on it. */
function withoutLinkLocal({ path }: ChainSandbox): void {
  ip('netns', 'exec', basename(path), 'sh', '-c', 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6');
}

function show(sandbox: ChainSandbox, ...words: readonly string[]): readonly Json[] {
  return JSON.parse(ip('-n', basename(sandbox.path), '-j', ...words)) as readonly Json[];
}

const inVrf: Look = (sandbox) => {
  assert.equal(show(sandbox, 'link', 'show', 'dev', 'net1')[0]?.master, 'blue');
  assert.ok(show(sandbox, 'route', 'show', 'table', '77').some(({ dst }) => dst === '10.88.0.0/24'));
};
const hasRule: Look = (sandbox) => {
  assert.ok(show(sandbox, 'rule', 'show').some(({ src }) => String(src).startsWith('10.88.0.')));
};
const routes = [{ dst: '10.99.0.0/16' }];

/** The follower, the routes that Berth's IPAM brings, and what is looked at while the chain stands. */
const FOLLOWERS: readonly (readonly [string, Json, readonly Json[], Look])[] = [
  ['vrf', { type: 'vrf', vrfname: 'blue', table: 77 }, [], inVrf],
  [
    'tuning',
    { type: 'tuning', sysctl: { 'net.ipv4.conf.net1.rp_filter': '2' }, mtu: 1300 },
    routes,
    (sandbox) => assert.equal(show(sandbox, 'link', 'show', 'dev', 'net1')[0]?.mtu, 1300),
  ],
  ['sbr', { type: 'sbr' }, routes, hasRule],
];

function linkConfigs(lab: LabNode): readonly (readonly [string, Json])[] {
  return [
    ['a VF', { type: 'sriov', deviceID: lab.vfs[0], vlan: 77 }],
    ['an ipvlan', { type: 'ipvlan', master: UPLINK, mode: 'l2' }],
    ['a macvlan', { type: 'macvlan', master: PF }],
    ['a VLAN', { type: 'vlan', master: UPLINK, vlanId: 12 }],
  ];
}

if (
  requireFeature(
    'SR-IOV, ipvlan, VRFs and containernetworking-plugins',
    hasSriov() && hasLinkKind('ipvlan') && hasLinkKind('vrf') && existsSync(peer('vrf')),
  )
) {
  test.before(async (context) => {
    context.lab = await createLabNode(PF, 1);
    ip('link', 'set', UPLINK, 'up');
    context.node = await createAgentNode('pools: []\ncni: { allocation: "off" }\n', { onMachine: true });
    await context.node.startAgent();
    // From its first use on igb lists a VF's own MAC: the baseline is that of a used one.
    await context.lab.attach('first', { kind: 'vf', device: context.lab.vfs[0] as never });
    await context.lab.detach('first');
  });
  test.after(async ({ lab, node }) => {
    await node.remove();
    await lab.remove();
  });

  for (const [what, follower, itsRoutes, look] of FOLLOWERS) {
    test(`${what} follows a link of each kind in ADD, CHECK and DEL`, async ({ lab, node }) => {
      const before = lab.baseline();
      for (const [kind, config] of linkConfigs(lab)) {
        const plugins = [{ ...config, ipam: ipamOf(node, itsRoutes) }, follower];
        assert.equal(await runChain(node, node.shimPath, plugins, { prepare: withoutLinkLocal, look }), 'done', kind);
      }
      assert.equal((await node.status()).attachments.total, 0);
      assert.equal(lab.baseline(), before);
    });
  }

  test("an ipvlan without ipam takes what the plugins before it gave, as the Go plugin's does", async ({ node }) => {
    const gateway = '10.88.0.1';
    const prevResult = {
      interfaces: [{ name: UPLINK }],
      ips: [{ address: '10.88.0.7/24', gateway, interface: 0 }],
      routes: [{ dst: '10.99.0.0/16' }],
    };
    const config = { cniVersion: '1.0.0', name: 'chain', type: 'ipvlan' };
    const sides: unknown[] = [];
    for (const program of [peer('ipvlan'), node.shimPath]) {
      await inSandbox('inherits', async (sandbox) => {
        const result = await executePlugin(node, program, 'ADD', { ...config, prevResult }, sandbox);
        // The Go plugin's CHECK does not find its own routes without a gateway.
        if (program === node.shimPath)
          await executePlugin(node, program, 'CHECK', { ...config, master: UPLINK, prevResult: result }, sandbox);
        const [link] = result.interfaces as readonly Json[];
        sides.push({
          count: (result.interfaces as readonly Json[]).length,
          link: [link?.name, link?.mac, link?.sandbox === sandbox.path],
          ips: result.ips,
          routes: result.routes,
          kernel: show(sandbox, 'route', 'show').map(({ dst, gateway: via }) => [dst, via]),
        });
        await executePlugin(node, program, 'DEL', { ...config, prevResult }, sandbox);
        assert.deepEqual(linkNames(sandbox), ['lo']);
      });
    }
    assert.deepEqual(sides[1], sides[0]);
    assert.deepEqual((sides[1] as Json).kernel, [
      ['10.88.0.0/24', undefined],
      ['10.99.0.0/16', gateway],
    ]);
  });

  // The kernel takes a link that joins a VRF down and up again, and Debian's release does not add them anew.
  test('routes that vrf loses are lost to the pod, and CHECK says so', async ({ lab, node }) => {
    const vrf = { type: 'vrf', vrfname: 'blue', table: 77 };
    for (const [kind, config] of linkConfigs(lab)) {
      const outcome = await runChain(node, node.shimPath, [{ ...config, ipam: ipamOf(node, routes) }, vrf], {
        prepare: withoutLinkLocal,
      });
      assert.match(outcome, /berth CHECK: .*lacks the route 10\.99\.0\.0\/16/s, kind);
    }
    assert.equal((await node.status()).attachments.total, 0);
  });
}

function ipamOf(node: AgentNode, itsRoutes: readonly Json[]): Json {
  const dataDir = join(node.folder, 'addresses');
  return { type: 'host-local', dataDir, ranges: [[{ subnet: '10.88.0.0/24' }]], routes: itsRoutes };
}

test.run();
