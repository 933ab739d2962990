/**
 * The reference Go plugins of Debian's package as peers: the same configuration and the same input,
 * version by version. Results are compared field by field, the sandboxes as the kernel shows them,
 * and chains in which Go plugins follow Berth's link go through ADD, CHECK and DEL.
 */
import * as assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import { ip, leaveMachine, makeNamedNamespace } from '../../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../../runner/features.ts';
import { type AgentNode, createAgentNode } from '../../standins/agent-node.ts';
import { executeProcess } from '../../standins/runtime/execute.ts';

type Json = Readonly<Record<string, unknown>>;
type Command = 'ADD' | 'CHECK' | 'DEL' | 'VERSION';

const PLUGINS = '/usr/lib/cni';
/** What Debian's release of the plugins serves. */
const VERSIONS = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0'] as const;
const MAC = '02:5e:00:00:00:77';

const test = suite<{ node: AgentNode }>('beside the Go plugins');

interface Sandbox {
  readonly path: string;
  readonly container: string;
}

class Failure extends Error {}

/** Executes one plugin as libcni does. Throws its error. */
async function execute(
  node: AgentNode,
  program: string,
  command: Command,
  config: Json,
  sandbox: Sandbox,
): Promise<Json> {
  const { exitCode, stdout } = await executeProcess({
    path: program,
    argv0: join(PLUGINS, String(config.type)),
    env: {
      PATH: process.env.PATH ?? '',
      BERTH_CNI_SOCKET: join(node.folder, 'run', 'cni.sock'),
      BERTH_SPOOL_FOLDER: join(node.folder, 'state', 'spool'),
      CNI_COMMAND: command,
      CNI_CONTAINERID: sandbox.container,
      CNI_IFNAME: 'net1',
      CNI_NETNS: sandbox.path,
      CNI_PATH: PLUGINS,
    },
    stdin: JSON.stringify(config),
  });
  if (exitCode !== 0) throw new Failure(`${program} ${command}: ${stdout}`);
  return stdout.trim() === '' ? {} : JSON.parse(stdout);
}

const peer = (type: string): string => join(PLUGINS, type);

async function inSandbox<T>(container: string, work: (sandbox: Sandbox) => Promise<T>): Promise<T> {
  const namespace = makeNamedNamespace();
  try {
    return await work({ path: namespace.path, container });
  } finally {
    namespace.remove();
  }
}

/** As both may write it: without what is empty, and with one name for the sandbox. */
function comparable(result: Json, sandbox: Sandbox): unknown {
  return JSON.parse(JSON.stringify(result).replaceAll(sandbox.path, 'SANDBOX'), (_key, value: unknown) => {
    const isEmpty = typeof value === 'object' && value !== null && Object.keys(value).length === 0;
    return isEmpty ? undefined : value;
  });
}

/** Addresses, routes and the link, without what differs from link to link. */
function kernelView({ path }: Sandbox): unknown {
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

  for (const version of VERSIONS) {
    for (const [what, config] of CONFIGURATIONS) {
      test(`${version}, ${what}: result and sandbox are the Go plugin's`, async ({ node }) => {
        const sides: { result: unknown; view: unknown }[] = [];
        for (const [side, program] of [
          ['go', peer('macvlan')],
          ['berth', node.shimPath],
        ] as const) {
          const dataDir = join(
            node.folder,
            `${side}-${version}-${CONFIGURATIONS.findIndex(([name]) => name === what)}`,
          );
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
            const result = await execute(node, program, 'ADD', full, sandbox);
            sides.push({ result: comparable(withoutNewFields(result), sandbox), view: kernelView(sandbox) });
            // The Go plugin's CHECK does not find its own routes without a gateway.
            if (side === 'berth' && ['0.4.0', '1.0.0'].includes(version))
              await execute(node, program, 'CHECK', { ...full, prevResult: result }, sandbox);
            await execute(node, program, 'DEL', full, sandbox);
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
        await execute(node, peer('macvlan'), 'VERSION', config, none),
        await execute(node, node.shimPath, 'VERSION', config, none),
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
}

/** ADD forwards, CHECK forwards with the last result, DEL backwards, as libcni does; tells where it ended. */
async function runChain(node: AgentNode, first: string, plugins: readonly Json[]): Promise<string> {
  return inSandbox(`chain-${basename(first)}`, async (sandbox) => {
    const call = (command: Command, plugin: Json, at: number, prevResult: Json | undefined): Promise<Json> =>
      execute(
        node,
        at === 0 ? first : peer(String(plugin.type)),
        command,
        { cniVersion: '1.0.0', name: 'chain', ...plugin, ...(prevResult === undefined ? {} : { prevResult }) },
        sandbox,
      );
    let result: Json | undefined;
    let outcome = 'done';
    try {
      for (const [at, plugin] of plugins.entries()) result = await step('ADD', () => call('ADD', plugin, at, result));
      for (const [at, plugin] of plugins.entries()) await step('CHECK', () => call('CHECK', plugin, at, result));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      outcome = error.message;
    }
    for (const [at, plugin] of [...plugins.entries()].reverse())
      await step('DEL', () => call('DEL', plugin, at, result)).catch((error: unknown) => {
        if (outcome === 'done') outcome = String(error);
      });
    const left = (JSON.parse(ip('-n', basename(sandbox.path), '-j', 'link', 'show')) as readonly { ifname: string }[])
      .map(({ ifname }) => ifname)
      .filter((name) => name !== 'lo');
    return outcome === 'done' && left.length > 0 ? `DEL left ${left.join(', ')}` : outcome;
  });
}

async function step(command: Command, work: () => Promise<Json>): Promise<Json> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure(`${command} ${error.message}`);
  }
}

test.run();
