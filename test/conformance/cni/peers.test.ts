/**
 * The reference Go plugins of Debian's package as peers: the same configuration and the same input,
 * version by version. Results are compared field by field, the sandboxes as the kernel shows them,
 * and chains in which Go plugins follow Berth's link go through ADD, CHECK and DEL.
 */
import * as assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import { ip, leaveMachine } from '../../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../../runner/features.ts';
import { type AgentNode, createAgentNode } from '../../standins/agent-node.ts';
import { type ChainSandbox, executePlugin, inSandbox, type Json, peer, runChain } from '../../standins/plugin-chain.ts';

/** What Debian's release of the plugins serves. */
const VERSIONS = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0'] as const;
const MAC = '02:5e:00:00:00:77';

const test = suite<{ node: AgentNode }>('beside the Go plugins');

/** As both may write it: without what is empty, and with one name for the sandbox. */
function comparable(result: Json, sandbox: ChainSandbox): unknown {
  return JSON.parse(JSON.stringify(result).replaceAll(sandbox.path, 'SANDBOX'), (_key, value: unknown) => {
    const isEmpty = typeof value === 'object' && value !== null && Object.keys(value).length === 0;
    return isEmpty ? undefined : value;
  });
}

/** Addresses, routes and the link, without what differs from link to link. */
function kernelView({ path }: ChainSandbox): unknown {
  const name = basename(path);
  const [link] = JSON.parse(ip('-n', name, '-j', '-d', 'address', 'show', 'dev', 'net1')) as readonly {
    mtu: number;
    address: string;
    operstate: string;
    linkinfo: { info_kind: string; info_data: { mode: string } };
    addr_info: readonly { local: string; prefixlen: number; scope: string }[];
  }[];
  assert.ok(link);
  const routes = ['-4', '-6'].flatMap(
    (family) =>
      JSON.parse(ip('-n', name, '-j', family, 'route', 'show', 'table', 'all')) as readonly {
        dst: string;
        gateway?: string;
        type?: string;
      }[],
  );
  return {
    kind: link.linkinfo.info_kind,
    mode: link.linkinfo.info_data.mode,
    mtu: link.mtu,
    mac: link.address,
    addresses: link.addr_info.map(({ local, prefixlen, scope }) => `${local}/${prefixlen} ${scope}`).sort(),
    routes: routes.map(({ dst, gateway, type }) => `${type ?? 'unicast'} ${dst} ${gateway ?? ''}`).sort(),
  };
}

/** Without the fields of 1.1.0, which Berth prints for 1.0.0 too and Debian's release does not know. */
function withoutNewFields(result: Json): Json {
  if (!Array.isArray(result.interfaces)) return result;
  return {
    ...result,
    interfaces: result.interfaces.map((entry: Json) => {
      const { mtu: _mtu, pciID: _pci, ...rest } = entry;
      return rest;
    }),
  };
}

if (
  requireFeature(
    'root, macvlan and the reference plugins',
    isRoot() && hasLinkKind('macvlan') && existsSync(peer('macvlan')),
  )
) {
  leaveMachine();
  test.before(async (context) => {
    context.node = await createAgentNode('pools: []\n');
    await context.node.startAgent();
  });
  test.after(async ({ node }) => node.remove());

  const CONFIGURATIONS: readonly (readonly [string, Json])[] = [
    [
      'two families with routes',
      {
        mtu: 1400,
        ipam: {
          ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd88::/64' }]],
          routes: [{ dst: '10.99.0.0/16', gw: '10.88.0.1' }, { dst: 'fd99::/64' }],
        },
      },
    ],
    [
      'a default route through the gateway',
      {
        mode: 'vepa',
        ipam: { ranges: [[{ subnet: '10.88.0.0/24', gateway: '10.88.0.254' }]], routes: [{ dst: '0.0.0.0/0' }] },
      },
    ],
    [
      'an address that was asked for, and DNS',
      {
        mode: 'private',
        ipam: { ranges: [[{ subnet: '10.88.0.0/24', rangeStart: '10.88.0.10', rangeEnd: '10.88.0.20' }]] },
        runtimeConfig: { ips: ['10.88.0.15'] },
        dns: { nameservers: ['10.88.0.53'], search: ['a.example'] },
      },
    ],
    ['the old inline range', { ipam: { subnet: '10.88.0.0/24', rangeStart: '10.88.0.7' } }],
  ];
  /** For one version of each form of results: an ADD and a DEL of two sides take their time. */
  const FOR_SOME: typeof CONFIGURATIONS = [
    [
      'addresses that were asked for in two places',
      {
        ipam: { ranges: [[{ subnet: '10.88.0.0/24' }], [{ subnet: 'fd88::/64' }]] },
        runtimeConfig: { ips: ['10.88.0.15'] },
        args: { cni: { ips: ['fd88::15', '10.88.0.15/24'] } },
      },
    ],
    [
      'keys in other cases, and null',
      { MTU: 1400, mode: null, ipam: { RANGES: [[{ Subnet: '10.88.0.0/24', gateway: null }]], routes: null } },
    ],
    [
      'addresses that are written',
      {
        ipam: {
          type: 'static',
          addresses: [
            { address: '10.88.0.7/24', gateway: '10.88.0.1' },
            { address: 'fd88::7/64', gateway: 'fd88::1' },
          ],
          routes: [{ dst: '0.0.0.0/0' }, { dst: 'fd99::/64' }],
        },
      },
    ],
  ];
  const SOME: readonly string[] = ['0.2.0', '0.4.0', '1.0.0'];
  const ALL = [...CONFIGURATIONS, ...FOR_SOME];

  for (const version of VERSIONS) {
    for (const [what, config] of SOME.includes(version) ? ALL : CONFIGURATIONS) {
      test(`${version}, ${what}: result and sandbox are the Go plugin's`, async ({ node }) => {
        const sides: { result: unknown; view: unknown }[] = [];
        for (const [side, program] of [
          ['go', peer('macvlan')],
          ['berth', node.shimPath],
        ] as const) {
          const dataDir = join(node.folder, `${side}-${version}-${ALL.findIndex(([name]) => name === what)}`);
          const runtimeConfig = { mac: MAC, ...(config.runtimeConfig as Json | undefined) };
          const ipam = { type: 'host-local', dataDir, ...(config.ipam as Json) };
          const full = {
            cniVersion: version,
            name: 'lan',
            type: 'macvlan',
            master: 'up0',
            ...config,
            ipam,
            runtimeConfig,
          };
          await inSandbox(`${side}-c1`, async (sandbox) => {
            const result = await executePlugin(node, program, 'ADD', full, sandbox);
            sides.push({ result: comparable(withoutNewFields(result), sandbox), view: kernelView(sandbox) });
            // The Go plugin's CHECK does not find its own routes without a gateway.
            if (side === 'berth' && ['0.4.0', '1.0.0'].includes(version))
              await executePlugin(node, program, 'CHECK', { ...full, prevResult: result }, sandbox);
            await executePlugin(node, program, 'DEL', full, sandbox);
          });
        }
        assert.deepEqual(sides[1]?.result, sides[0]?.result);
        assert.deepEqual(sides[1]?.view, sides[0]?.view);
      });
    }

    test(`${version}: VERSION has the answer's form, and every version of the Go plugin's`, async ({ node }) => {
      const none = { path: '', container: '' };
      const config = { cniVersion: version, type: 'macvlan' };
      const [go, berth] = [
        await executePlugin(node, peer('macvlan'), 'VERSION', config, none),
        await executePlugin(node, node.shimPath, 'VERSION', config, none),
      ];
      assert.deepEqual(Object.keys(berth).sort(), Object.keys(go).sort());
      const served = berth.supportedVersions as readonly string[];
      assert.deepEqual(
        (go.supportedVersions as readonly string[]).filter((each) => !served.includes(each)),
        [],
      );
    });
  }

  const FOLLOWERS: readonly (readonly [string, readonly Json[]])[] = [
    [
      'tuning of sysctls, MAC and MTU',
      [{ type: 'tuning', sysctl: { 'net.ipv4.conf.net1.rp_filter': '2' }, mac: '02:5e:00:00:00:99', mtu: 1300 }],
    ],
    ['source-based routing', [{ type: 'sbr' }]],
    ['firewall', [{ type: 'firewall', backend: 'iptables' }]],
    [
      'tuning, then source-based routing',
      [{ type: 'tuning', sysctl: { 'net.ipv4.conf.net1.rp_filter': '2' } }, { type: 'sbr' }],
    ],
  ];

  for (const [what, followers] of FOLLOWERS) {
    test(`a chain with ${what} works as it does behind the Go plugin's link`, async ({ node }) => {
      const outcomes: string[] = [];
      for (const [side, program] of [
        ['go', peer('macvlan')],
        ['berth', node.shimPath],
      ] as const) {
        const ipam = {
          type: 'host-local',
          dataDir: join(node.folder, `chain-${side}`),
          ranges: [[{ subnet: '10.88.0.0/24' }]],
          routes: [{ dst: '10.99.0.0/16' }],
        };
        const plugins: readonly Json[] = [{ type: 'macvlan', master: 'up0', ipam }, ...followers];
        outcomes.push(await runChain(node, program, plugins));
      }
      assert.equal(outcomes[1], 'done', `${outcomes[1]}; behind the Go plugin: ${outcomes[0]}`);
    });
  }

  // It looks for the node's end of a veth pair, at CHECK whether or not there is a limit.
  for (const [what, follower, end] of [
    [
      'without a limit, as a pod without the annotation has it, goes through ADD and DEL',
      {},
      /bandwidth CHECK: .*veth/s,
    ],
    ['with a limit refuses the pod', { ingressRate: 1_000_000, ingressBurst: 1_000_000 }, /bandwidth ADD: .*veth/s],
  ] as const) {
    test(`bandwidth ${what}, as it does behind the Go plugin, and nothing stays`, async ({ node }) => {
      for (const program of [peer('macvlan'), node.shimPath]) {
        const dataDir = join(node.folder, `bandwidth-${basename(program)}`);
        const ipam = { type: 'host-local', dataDir, ranges: [[{ subnet: '10.88.0.0/24' }]] };
        const plugins = [
          { type: 'macvlan', master: 'up0', ipam },
          { type: 'bandwidth', ...follower },
        ];
        assert.match(await runChain(node, program, plugins), end, program);
        assert.deepEqual(
          readdirSync(join(dataDir, 'chain')).filter((name) => name.startsWith('10.')),
          [],
        );
      }
      assert.equal((await node.status()).attachments.total, 0);
    });
  }
}

test.run();
