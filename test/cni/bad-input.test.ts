/**
 * Bad input as people produce it, and what they read then: what is wrong, where, and what to do.
 * `test/agent/bad-input.test.ts` has the same with the kernel.
 */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { bench, type CallParts, MACVLAN, VF } from './calls.ts';

const POD = /^Correct what the pod asks for/;
const NAD = /^Correct the NetworkAttachmentDefinition;/;
const LOCAL = { type: 'host-local', subnet: '10.1.0.0/24' };
const withRoute = (route: unknown): CallParts => ({ config: { ...MACVLAN, ipam: { ...LOCAL, routes: [route] } } });
const withStatic = (address: string): CallParts => ({
  config: { ...MACVLAN, ipam: { type: 'static', addresses: [{ address }] } },
});

const CASES: readonly (readonly [string, CallParts, number, RegExp, RegExp])[] = [
  ['an interface name that the kernel would complete', { env: { CNI_IFNAME: 'net%d' } }, 4, /"net%d"/, /without .*"%"/],
  [
    'an interface name of bytes that are no text',
    { env: { CNI_IFNAME: 'net\ufffd' } },
    4,
    /CNI_IFNAME is "net/,
    /Use 1 to 15/,
  ],
  ['a name of a folder of sysctls', { env: { CNI_IFNAME: 'all' } }, 4, /CNI_IFNAME is "all"/, /not "all" or "default"/],
  ['a sandbox below a file', { netnsErrno: 20, config: MACVLAN }, 4, /by the shim: ENOTDIR$/, /where the path is/],
  [
    'a sandbox of four thousand bytes',
    { netnsErrno: 36, env: { CNI_NETNS: `/${'a'.repeat(4000)}` }, config: MACVLAN },
    4,
    /^CNI_NETNS \/a{119}\.\.\. could not .*: ENAMETOOLONG$/,
    /as root/,
  ],
  [
    'an argument with a blank in front',
    { env: { CNI_ARGS: ' IgnoreUnknown=1' }, config: MACVLAN },
    4,
    /CNI_ARGS has " IgnoreUnknown"/,
    /IgnoreUnknown=true/,
  ],
  [
    'a MAC that the pod asks for',
    { config: { ...MACVLAN, runtimeConfig: { mac: 'zz' } } },
    7,
    /runtimeConfig\.mac: "zz"/,
    POD,
  ],
  [
    'ranges for fixed addresses',
    { config: { ...MACVLAN, ipam: { type: 'static' }, runtimeConfig: { ipRanges: [[{ subnet: '10.1.0.0/24' }]] } } },
    7,
    /runtimeConfig\.ipRanges: ranges asked for, but ipam static takes none/,
    POD,
  ],
  [
    'ranges without ipam',
    { config: { ...MACVLAN, runtimeConfig: { ipRanges: [[{ subnet: '10.1.0.0/24' }]] } } },
    7,
    /runtimeConfig\.ipRanges: ranges asked for, but the network has no ipam/,
    POD,
  ],
  ['a MAC in CNI_ARGS', { env: { CNI_ARGS: 'MAC=zz' }, config: MACVLAN }, 7, /CNI_ARGS MAC: "zz"/, POD],
  ['a MAC of the definition', { config: { ...MACVLAN, mac: 'zz' } }, 7, /mac: "zz"/, NAD],
  [
    'one of each',
    { config: { ...MACVLAN, mode: 'x', runtimeConfig: { mac: 'zz' } } },
    7,
    /mode: "x".*\.mac: "zz"|\.mac: "zz".*mode: "x"/,
    NAD,
  ],
  [
    'a device-info file, which no pod names',
    { config: { ...VF, runtimeConfig: { CNIDeviceInfoFile: 7 } } },
    7,
    /CNIDeviceInfoFile/,
    NAD,
  ],
  [
    'a selector that is a word',
    { config: { type: 'macvlan', masterSelector: 'eth1' } },
    7,
    /masterSelector: neither an object/,
    NAD,
  ],
  [
    'a route with host bits',
    withRoute({ dst: '10.9.0.1/16' }),
    7,
    /ipam\.routes\.0\.dst: .*the network is 10\.9\.0\.0\/16/,
    NAD,
  ],
  [
    'a route in short form',
    withRoute({ dst: '10.9/16' }),
    7,
    /ipam\.routes\.0\.dst: "10\.9\/16" is no address with prefix length/,
    NAD,
  ],
  [
    'a gateway with a zone',
    withRoute({ dst: 'fd09::/64', gw: 'fe80::1%eth0' }),
    7,
    /ipam\.routes\.0\.gw: "fe80::1%eth0" is no IP address/,
    NAD,
  ],
  [
    'a route through the other family',
    withRoute({ dst: 'fd09::/64', gw: '10.1.0.1' }),
    7,
    /ipam\.routes\.0\.gw: .*another family/,
    NAD,
  ],
  [
    "a route in the kernel's own table",
    withRoute({ dst: '10.9.0.0/16', table: 255 }),
    7,
    /ipam\.routes\.0\.table: 255/,
    NAD,
  ],
  [
    'an MTU of a route that no kernel keeps',
    withRoute({ dst: '10.9.0.0/16', mtu: 65_521 }),
    7,
    /ipam\.routes\.0\.mtu: .*65520/,
    NAD,
  ],
  [
    'a segment size that no kernel keeps',
    withRoute({ dst: '10.9.0.0/16', advmss: 1e12 }),
    7,
    /ipam\.routes\.0\.advmss: /,
    NAD,
  ],
  [
    'a priority beyond 32 bits',
    withRoute({ dst: '10.9.0.0/16', priority: 2 ** 32 }),
    7,
    /ipam\.routes\.0\.priority: /,
    NAD,
  ],
  [
    'more routes than anybody has',
    { config: { ...MACVLAN, ipam: { ...LOCAL, routes: Array(4097).fill({ dst: '10.9.0.0/16' }) } } },
    7,
    /ipam\.routes: .*4096/,
    NAD,
  ],
  [
    'more addresses than anybody has',
    { config: { ...MACVLAN, ipam: { type: 'static', addresses: Array(257).fill({ address: '10.9.0.2/16' }) } } },
    7,
    /ipam\.addresses: .*256/,
    NAD,
  ],
  [
    'more range sets than anybody has',
    { config: { ...MACVLAN, ipam: { type: 'host-local', ranges: Array(65).fill([{ subnet: '10.1.0.0/24' }]) } } },
    7,
    /ipam\.ranges: .*64/,
    NAD,
  ],
  [
    'more ranges than can be compared',
    {
      config: {
        ...MACVLAN,
        ipam: { type: 'host-local', ranges: Array(3).fill(Array(200).fill({ subnet: '10.1.0.0/24' })) },
      },
    },
    7,
    /ipam\.ranges: 600 ranges/,
    NAD,
  ],
  [
    'more requests than anybody has',
    { config: { ...MACVLAN, ipam: LOCAL, runtimeConfig: { ips: Array(257).fill('10.1.0.2') } } },
    7,
    /runtimeConfig\.ips: 257 addresses/,
    POD,
  ],
  [
    'as many in CNI_ARGS',
    { env: { CNI_ARGS: `IP=${Array(257).fill('10.1.0.2').join()}` }, config: { ...MACVLAN, ipam: LOCAL } },
    7,
    /CNI_ARGS IP: 257 addresses/,
    POD,
  ],
  [
    'more gateways than anybody has',
    {
      env: { CNI_ARGS: `GATEWAY=${Array(65).fill('10.1.0.1').join()}` },
      config: { ...MACVLAN, ipam: { type: 'static' } },
    },
    7,
    /CNI_ARGS GATEWAY: 65 gateways, and at most 64/,
    POD,
  ],
  [
    'a gateway that is no address',
    { env: { CNI_ARGS: 'GATEWAY=10.1.0.300' }, config: { ...MACVLAN, ipam: { type: 'static' } } },
    7,
    /CNI_ARGS GATEWAY: "10\.1\.0\.300" is no IP address/,
    POD,
  ],
  [
    'a folder that climbs',
    { config: { ...MACVLAN, ipam: { ...LOCAL, dataDir: '/var/lib/cni/../x' } } },
    7,
    /ipam\.dataDir: .*without "\.\."/,
    NAD,
  ],
  ['the address zero', withStatic('0.0.0.0/0'), 7, /ipam\.addresses\.0: .* is zero/, NAD],
  ['the IPv6 address zero', withStatic('::/64'), 7, /ipam\.addresses\.0: .* is zero/, NAD],
  ['a group address', withStatic('ff02::5/64'), 7, /ipam\.addresses\.0: .* is a group address/, NAD],
];

for (const [what, parts, code, says, advises] of CASES) {
  test(`${what}: code ${code}, with what is wrong and what to do`, async () => {
    const { send, engine } = bench();
    const { answer } = await send(parts);
    assert.equal(answer.code, code, JSON.stringify(answer));
    assert.match(String(answer.msg), says);
    assert.match(String(answer.details), advises);
    assert.equal(engine.attached.length, 0);
  });
}

test('of very many wrong fields not all are told', async () => {
  const routes = Array(4000).fill({ dst: 'nowhere' });
  const { answer } = await bench().send({ config: { ...MACVLAN, ipam: { ...LOCAL, routes } } });
  assert.equal(String(answer.msg).split('is no address with prefix length').length - 1, 20);
  assert.match(String(answer.msg), /; and 3980 more$/);
});

for (const [what, config] of [
  ['nothing', ''],
  ['what is no JSON', '{"cniVersion":'],
  ['a list', '[]'],
  ['a version of the future', '{"cniVersion":"9.9.9","name":"net-a"}'],
] as const) {
  test(`DEL goes by its key, with ${what} for a configuration`, async () => {
    const { send, engine } = bench();
    assert.equal((await send({ command: 'DEL', config })).exitCode, 0);
    assert.equal(engine.detached.length, 1);
    const { answer } = await send({ command: 'DEL', config, env: { CNI_CONTAINERID: 'a/b' } });
    assert.equal(answer.code, 4);
  });
}

for (const [what, runtimeConfig] of [
  ['limits of zero', { bandwidth: { ingressRate: 0, egressRate: 0, ingressBurst: 0, egressBurst: 0 } }],
  ['an empty limit', { bandwidth: {} }],
  ['no ports', { portMappings: [] }],
  ['no names', { aliases: {} }],
] as const) {
  test(`${what} are no request, whoever hands them over`, async () => {
    assert.equal((await bench().send({ config: { ...MACVLAN, runtimeConfig } })).exitCode, 0);
  });
}

test('CHECK refuses a previous result whose addresses are none', async () => {
  const { send, engine } = bench();
  const prevResult = { interfaces: [{ name: 'net1', sandbox: '/s' }], ips: [{ address: '10.1.0.2' }] };
  const { answer } = await send({ command: 'CHECK', config: { ...MACVLAN, prevResult } });
  assert.match(String(answer.msg), /^prevResult\.ips\.0\.address: "10\.1\.0\.2" is no address with prefix length$/);
  assert.equal(engine.checked.length, 0);
});

test("routes of other plugins' results are theirs, whatever Berth would refuse to make", async () => {
  const { send, engine } = bench();
  const routes = [{ dst: '10.9.0.1/16', table: 255 }];
  const prevResult = { interfaces: [{ name: 'net1', sandbox: '/s' }], routes };
  const { answer } = await send({ command: 'CHECK', config: { ...MACVLAN, prevResult } });
  assert.equal(engine.checked.length, 1, JSON.stringify(answer));
});

test.run();
