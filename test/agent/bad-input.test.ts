/**
 * Bad input to the whole program: the shim as a runtime executes it, a running agent, the kernel.
 * Whatever is wrong, the answer says it with the code that the specification has for it, and nothing
 * is left: no link, record, address or note. `test/cni/bad-input.test.ts` has the words.
 */
import * as assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import { MOST_ROUTES } from '../../src/engine/ipam/model.ts';
import { ip, leaveMachine, makeNamedNamespace } from '../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { notesIn } from '../standins/address-notes.ts';
import { type AgentNode, createAgentNode } from '../standins/agent-node.ts';
import { linkNames } from '../standins/plugin-chain.ts';
import { executeProcess } from '../standins/runtime/execute.ts';

interface Place {
  readonly node: AgentNode;
  /** The sandbox. */
  readonly path: string;
  readonly dataDir: string;
}
type Json = Readonly<Record<string, unknown>>;

const test = suite<Place & { remove(): void }>('bad input');
const MEBIBYTE = 1 << 20;
const SUBNET = { subnet: '10.88.0.0/24' };

interface Call {
  readonly command?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Text goes in as it is; fields are put over those of a network that is right. */
  readonly input?: string | Json;
}

async function send({ node, path, dataDir }: Place, { command = 'ADD', env = {}, input = {} }: Call) {
  const ipam = { type: 'host-local', dataDir, ranges: [[SUBNET]] };
  const right = { cniVersion: '1.0.0', name: 'lan', type: 'macvlan', master: 'up0', ipam };
  const { exitCode, stdout } = await executeProcess({
    path: node.shimPath,
    argv0: '/opt/cni/bin/macvlan',
    env: {
      BERTH_CNI_SOCKET: join(node.folder, 'run', 'cni.sock'),
      BERTH_SPOOL_FOLDER: join(node.folder, 'state', 'spool'),
      CNI_COMMAND: command,
      CNI_CONTAINERID: 'c1',
      CNI_IFNAME: 'net1',
      CNI_NETNS: path,
      CNI_PATH: '/opt/cni/bin',
      ...env,
    },
    stdin: typeof input === 'string' ? input : JSON.stringify({ ...right, ...input }),
  });
  return { exitCode, answer: (stdout === '' ? {} : JSON.parse(stdout)) as Json };
}

/** Everything that an ADD could leave. */
function left({ node, path, dataDir }: Place): readonly string[] {
  const filesOf = (...words: readonly string[]): readonly string[] => {
    const folder = join(...words);
    return existsSync(folder) ? readdirSync(folder) : [];
  };
  return [
    ...linkNames({ path, container: '' }).filter((name) => name !== 'lo'),
    ...filesOf(node.folder, 'run', 'attachments'),
    ...notesIn(join(node.folder, 'state', 'addresses')),
    ...filesOf(dataDir).flatMap((network) => filesOf(dataDir, network).filter((name) => /^[0-9a-f]+[.:]/.test(name))),
  ];
}

const ipam = (more: Json): Call => ({ input: { ipam: { type: 'host-local', ...more } } });
/** `DATA` becomes the test's own folder of reservations. */
const ranges = (range: Json, more: Json = {}): Call =>
  ipam({ dataDir: 'DATA', ranges: [[{ ...SUBNET, ...range }]], ...more });
const fixed = (addresses: readonly Json[], routes: readonly Json[] = []): Call => ({
  input: { ipam: { type: 'static', addresses, routes } },
});

const REFUSED: readonly (readonly [string, Call, number, RegExp])[] = [
  ['a sandbox that is a plain file', { env: { CNI_NETNS: 'PLAIN' } }, 4, /is no network namespace/],
  ['a sandbox that is a folder', { env: { CNI_NETNS: '/tmp' } }, 4, /is no network namespace/],
  ['a sandbox that is a device', { env: { CNI_NETNS: '/dev/null' } }, 4, /is no network namespace/],
  ['a namespace of mounts', { env: { CNI_NETNS: '/proc/self/ns/mnt' } }, 4, /is no network namespace/],
  ["the node's own network", { env: { CNI_NETNS: '/proc/self/ns/net' } }, 4, /node's own/],
  ['a sandbox that is gone', { env: { CNI_NETNS: '/run/netns/berth-none' } }, 3, /does not exist/],
  ['a sandbox below a file', { env: { CNI_NETNS: '/dev/null/x' } }, 4, /ENOTDIR/],
  ['no sandbox', { env: { CNI_NETNS: '' } }, 4, /CNI_NETNS is not set/],
  ['a name with a slash', { env: { CNI_IFNAME: 'a/b' } }, 4, /CNI_IFNAME is "a\/b"/],
  ['a name of 16 bytes', { env: { CNI_IFNAME: 'sixteen-bytes-xx' } }, 4, /CNI_IFNAME/],
  ['a name that the kernel would complete', { env: { CNI_IFNAME: 'net%d' } }, 4, /CNI_IFNAME is "net%d"/],
  ['a name of a folder of sysctls', { env: { CNI_IFNAME: 'default' } }, 4, /CNI_IFNAME is "default"/],
  ['the name of an interface that is there', { env: { CNI_IFNAME: 'lo' } }, 4, /already has an interface lo/],
  ['a container id with a slash', { env: { CNI_CONTAINERID: '../c1' } }, 4, /CNI_CONTAINERID is "\.\.\/c1"/],
  ['arguments that are none', { env: { CNI_ARGS: 'A' } }, 4, /CNI_ARGS has "A"/],
  ['nothing on standard input', { input: '' }, 6, /is empty/],
  ['half a configuration', { input: '{"cniVersion":"1.0.0","name":' }, 6, /is not JSON/],
  ['a version of the future', { input: { cniVersion: '1.2.0' } }, 1, /"1\.2\.0"/],
  ['too many levels', { input: `{"a":${'['.repeat(MEBIBYTE)}${']'.repeat(MEBIBYTE)}}` }, 6, /inside each other/],
  ['17 MiB', { input: ' '.repeat(17 * MEBIBYTE) }, 5, /larger than 16 MiB/],
  ['an MTU above that of the uplink', { input: { mtu: 9000 } }, 7, /more than the 1500 of up0/],
  ['an MTU that is a word', { input: { mtu: '1500' } }, 7, /mtu: .*"1500"/],
  ['the MAC of the uplink', { input: { mac: 'MAC' } }, 11, /cannot have the hardware address .* its uplink .* has/],
  ['an uplink that is not there', { input: { master: 'none0' } }, 101, /none0/],
  ['the loopback interface as an uplink', { input: { master: 'lo' } }, 7, /no Ethernet interface/],
  [
    'a range that ends before it begins',
    ranges({ rangeStart: '10.88.0.9', rangeEnd: '10.88.0.8' }),
    7,
    /rangeStart 10\.88\.0\.9 is after/,
  ],
  ['a subnet with host bits', ranges({ subnet: '10.88.0.7/24' }), 7, /the network is 10\.88\.0\.0\/24/],
  [
    'a gateway that nobody reaches',
    ranges({ gateway: '10.9.0.1' }, { routes: [{ dst: '0.0.0.0/0' }] }),
    7,
    /ENETUNREACH/,
  ],
  [
    'a gateway of the other family',
    ranges({}, { routes: [{ dst: 'fd99::/64', gw: '10.88.0.1' }] }),
    7,
    /another family/,
  ],
  [
    'an IPv6 gateway of a pod without IPv6',
    ranges({}, { routes: [{ dst: 'fd99::/64', gw: 'fd88::1' }] }),
    7,
    /EHOSTUNREACH/,
  ],
  [
    'a route MTU that fits no message',
    ranges({}, { routes: [{ dst: '10.9.0.0/16', mtu: 1e12 }] }),
    7,
    /routes\.0\.mtu/,
  ],
  ['an address outside of the ranges', { input: { runtimeConfig: { ips: ['10.77.0.5'] } } }, 7, /in no range/],
  [
    'two addresses of one range',
    { input: { runtimeConfig: { ips: ['10.88.0.5', '10.88.0.6'] } } },
    7,
    /10\.88\.0\.6 is the second/,
  ],
  ['the address of the gateway', { input: { runtimeConfig: { ips: ['10.88.0.1'] } } }, 7, /is the gateway/],
  [
    'an address that is taken',
    { input: { runtimeConfig: { ips: ['10.88.0.99'] } } },
    11,
    /10\.88\.0\.99 is in use by net9 of container other/,
  ],
  [
    'a range that is used up',
    ranges({ rangeStart: '10.88.0.99', rangeEnd: '10.88.0.99' }),
    11,
    /no address is free in range set 0/,
  ],
  [
    'a second range that is used up',
    ipam({
      dataDir: 'DATA',
      ranges: [[{ subnet: 'fd88::/64' }], [{ ...SUBNET, rangeStart: '10.88.0.99', rangeEnd: '10.88.0.99' }]],
    }),
    11,
    /no address is free in range set 1/,
  ],
  ['the address zero', fixed([{ address: '0.0.0.0/0' }]), 7, /is zero/],
  ['a group address', fixed([{ address: 'ff02::5/64' }]), 7, /group address/],
  [
    'a gateway outside of the network',
    fixed([{ address: '10.1.0.2/24', gateway: '10.2.0.1' }], [{ dst: '0.0.0.0/0' }]),
    7,
    /ENETUNREACH/,
  ],
  ['an IPAM program that is not there', { input: { ipam: { type: 'berth-none' } } }, 101, /no IPAM program berth-none/],
  [
    'a device-info file elsewhere',
    { input: { runtimeConfig: { CNIDeviceInfoFile: '/etc/x' } } },
    7,
    /CNIDeviceInfoFile/,
  ],
  ['a device that is gone', { input: { type: 'sriov', deviceID: '0000:ff:00.0' } }, 101, /no PCI device/],
  [
    'a resource of slots for a VF',
    { input: { type: 'sriov', deviceID: 'up0-1' } },
    7,
    /does the resource .* offer VFs/,
  ],
];

const everyRoute = Array.from({ length: MOST_ROUTES }, (_none, at) => ({
  dst: `10.${100 + (at >> 8)}.${at & 255}.0/24`,
}));

/** Odd, and right all the same. */
const TAKEN: readonly (readonly [string, Call])[] = [
  ['ten mebibytes around it', { input: { junk: 'x'.repeat(10 * MEBIBYTE) } }],
  ['a name with letters of other alphabets', { env: { CNI_IFNAME: 'ünïcöde' } }],
  [
    'null for whatever is not needed',
    { input: { mtu: null, mac: null, mode: null, args: null, runtimeConfig: null, prevResult: null } },
  ],
  ['keys in other cases', { input: { MTU: 1400, Mode: 'vepa' } }],
  ['no CNI_PATH', { env: { CNI_PATH: '' } }],
  [
    'IPv6 alone, with a default route',
    ipam({ dataDir: 'DATA', ranges: [[{ subnet: 'fd88::/64' }]], routes: [{ dst: '::/0' }] }),
  ],
  [
    'a route of a family that the pod does not have',
    ranges({}, { routes: [{ dst: '0.0.0.0/0' }, { dst: 'fd99::/64' }] }),
  ],
  ['an address that is written twice', fixed([{ address: '10.1.0.2/24' }, { address: '10.1.0.2/24' }])],
  ['as many routes as there can be', ranges({}, { routes: everyRoute })],
  ['a route through the gateway zero, which is none', ranges({}, { routes: [{ dst: '10.9.0.0/16', gw: '0.0.0.0' }] })],
  ['a gateway outside of its subnet that no route needs', ranges({ gateway: '10.9.0.1' })],
];

if (requireFeature('root and macvlan', isRoot() && hasLinkKind('macvlan'))) {
  leaveMachine();
  test.before(async (context) => {
    const node = await createAgentNode('pools: []\n');
    await node.startAgent();
    const namespace = makeNamedNamespace();
    const dataDir = join(node.folder, 'networks');
    // Somebody else's, and the only thing that is there before and after.
    mkdirSync(join(dataDir, 'lan'), { recursive: true });
    writeFileSync(join(dataDir, 'lan', '10.88.0.99'), 'other\r\nnet9');
    writeFileSync(join(node.folder, 'plain'), '');
    Object.assign(context, { node, path: namespace.path, dataDir, remove: namespace.remove });
  });
  test.after(async ({ node, remove }) => {
    remove();
    await node.remove();
  });

  /** The call with the test's own folders in it. */
  const placed = ({ node, dataDir }: Place, each: Call): Call => {
    const [uplink] = JSON.parse(ip('-j', 'link', 'show', 'up0')) as readonly { address: string }[];
    const values = { DATA: dataDir, PLAIN: join(node.folder, 'plain'), MAC: uplink?.address };
    return JSON.parse(JSON.stringify(each), (_key, value: unknown) => Reflect.get(values, String(value)) ?? value);
  };

  for (const [what, each, code, says] of REFUSED) {
    test(`${what}: code ${code}, and nothing is left`, async (place) => {
      const { exitCode, answer } = await send(place, placed(place, each));
      assert.equal(exitCode, 1);
      assert.equal(answer.code, code, JSON.stringify(answer));
      assert.match(String(answer.msg), says);
      assert.match(String(answer.details), /\w/);
      assert.deepEqual(left(place), ['10.88.0.99']);
    });
  }

  for (const [what, each] of TAKEN) {
    test(`${what}: taken, checked, and taken away again`, async (place) => {
      const asked = placed(place, each);
      const { exitCode, answer } = await send(place, asked);
      assert.equal(exitCode, 0, JSON.stringify(answer));
      const input = { ...(asked.input as Json | undefined), prevResult: answer };
      const checked = await send(place, { ...asked, command: 'CHECK', input });
      assert.equal(checked.exitCode, 0, JSON.stringify(checked.answer));
      assert.equal((await send(place, { ...asked, command: 'DEL' })).exitCode, 0);
      assert.deepEqual(left(place), ['10.88.0.99']);
    });
  }

  test('two networks with one subnet, each with a default route, live beside each other', async (place) => {
    const asked = (name: string, ifname: string): Call => ({
      env: { CNI_IFNAME: ifname },
      input: {
        name,
        ipam: { type: 'host-local', dataDir: place.dataDir, ranges: [[SUBNET]], routes: [{ dst: '0.0.0.0/0' }] },
      },
    });
    const results = new Map<string, Json>();
    for (const [name, ifname] of [
      ['lan', 'net1'],
      ['other', 'net2'],
    ] as const) {
      const { exitCode, answer } = await send(place, asked(name, ifname));
      assert.equal(exitCode, 0, JSON.stringify(answer));
      results.set(ifname, answer);
    }
    const routes = ip('-n', basename(place.path), 'route', 'show', 'default').trim().split('\n');
    assert.deepEqual(routes.map((route) => /dev (\w+)/.exec(route)?.[1]).sort(), ['net1', 'net2']);
    for (const [name, ifname] of [
      ['lan', 'net1'],
      ['other', 'net2'],
    ] as const) {
      const { input, ...rest } = asked(name, ifname);
      const prevResult = results.get(ifname);
      const checked = await send(place, { ...rest, command: 'CHECK', input: { ...(input as Json), prevResult } });
      assert.equal(checked.exitCode, 0, JSON.stringify(checked.answer));
      assert.equal((await send(place, { ...rest, command: 'DEL', input: input as Json })).exitCode, 0);
    }
    assert.deepEqual(left(place), ['10.88.0.99']);
  });
}

test.run();
