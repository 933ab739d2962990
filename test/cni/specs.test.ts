/** What configurations ask of the engine: links and addresses. */
import * as assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import { bench, MACVLAN, VF } from './calls.ts';

type Config = Readonly<Record<string, unknown>>;

async function linkOf(config: Config, env: Readonly<Record<string, string>> = {}, argv0 = 'berth'): Promise<unknown> {
  const { send, engine } = bench();
  const { answer } = await send({ config, env, argv0 });
  return engine.attached[0]?.link ?? answer.msg;
}

async function ipamOf(config: Config, env: Readonly<Record<string, string>> = {}): Promise<unknown> {
  const { send, engine } = bench();
  const { answer } = await send({ config, env });
  return answer.code === undefined ? engine.attached[0]?.ipam : answer.msg;
}

const DEVICE = '0000:41:10.1';
const LINKS: readonly (readonly [string, Config, unknown])[] = [
  [
    'every field of a VF',
    {
      ...VF,
      mac: '02-00-00-00-00-0A',
      mtu: 9000,
      vlan: 5,
      vlanQoS: 3,
      vlanProto: '802.1AD',
      min_tx_rate: 10,
      max_tx_rate: 0,
      spoofchk: 'on',
      trust: 'on',
      link_state: 'enable',
    },
    {
      kind: 'vf',
      device: DEVICE,
      mac: '02:00:00:00:00:0a',
      mtu: 9000,
      vlan: 5,
      vlanQos: 3,
      vlanProto: '802.1ad',
      minTxRateMbps: 10,
      maxTxRateMbps: 0,
      spoofCheck: true,
      trust: true,
      linkState: 'enable',
    },
  ],
  [
    'the bandwidth that a pod asks for, in whole megabits, before the configured one',
    { ...VF, max_tx_rate: 9, runtimeConfig: { bandwidth: { egressRate: 25_900_000, egressBurst: 1 } } },
    { kind: 'vf', device: DEVICE, maxTxRateMbps: 25 },
  ],
  [
    'no bandwidth',
    { ...VF, runtimeConfig: { bandwidth: { ingressRate: 0, egressRate: 0 } } },
    { kind: 'vf', device: DEVICE },
  ],
  [
    'a bandwidth below what a VF can have',
    { ...VF, runtimeConfig: { bandwidth: { egressRate: 900_000 } } },
    'runtimeConfig.bandwidth.egressRate: 900000 bit/s is below 1 Mbit/s, the least that a VF can be limited to',
  ],
  [
    'a bandwidth for what a pod receives',
    { ...VF, runtimeConfig: { bandwidth: { ingressRate: 5_000_000 } } },
    'runtimeConfig.bandwidth.ingressRate is 5000000: a NIC limits what a VF sends, not what it receives',
  ],
  [
    'fields in any case, as Go reads them',
    {
      Type: 'sriov',
      deviceid: DEVICE,
      MAC: '02:00:00:00:00:01',
      VLAN: 5,
      vlanQos: 3,
      spoofChk: 'off',
      Trust: 'on',
      linkState: 'disable',
      RuntimeConfig: { Mac: '02:00:00:00:00:02' },
    },
    {
      kind: 'vf',
      device: DEVICE,
      mac: '02:00:00:00:00:02',
      vlan: 5,
      vlanQos: 3,
      spoofCheck: false,
      trust: true,
    },
  ],
  [
    'a MAC as switches write it',
    { ...VF, mac: '0200.00AB.cdef' },
    { kind: 'vf', device: DEVICE, mac: '02:00:00:ab:cd:ef' },
  ],
  [
    'a field in two spellings, of which its own counts wherever it stands',
    { ...VF, spoofchk: 'on', spoofChk: 'off', VLAN: 7, Vlan: 8 },
    { kind: 'vf', device: DEVICE, vlan: 8, spoofCheck: true },
  ],
  [
    'null and empty words, which are as good as absent',
    {
      ...VF,
      mac: null,
      mtu: null,
      vlan: null,
      vlanQoS: null,
      vlanProto: null,
      min_tx_rate: null,
      spoofchk: '',
      trust: '',
      link_state: '',
      ipam: null,
      runtimeConfig: { mac: null },
      master: null,
    },
    { kind: 'vf', device: DEVICE },
  ],
  [
    'a word that is none, in another case',
    { ...VF, spoofChk: 'yes' },
    'spoofchk: Invalid option: expected one of "on"|"off" (it is "yes")',
  ],
  ['pciBusID alone', { type: 'sriov', pciBusID: DEVICE }, { kind: 'vf', device: DEVICE }],
  [
    'runtimeConfig.deviceID before deviceID',
    { ...VF, runtimeConfig: { deviceID: '0000:41:10.2' } },
    { kind: 'vf', device: '0000:41:10.2' },
  ],
  [
    'berth with a PCI device',
    { type: 'berth', deviceID: DEVICE },
    { kind: 'vf', device: DEVICE, rdma: 'where-exclusive' },
  ],
  [
    'berth with link',
    { type: 'berth', link: 'macvlan', master: 'eth1' },
    { kind: 'macvlan', uplink: 'eth1', mode: 'bridge' },
  ],
  [
    'every field of a macvlan',
    { type: 'macvlan', master: 'eth1', mode: 'vepa', mtu: 1400, mac: '02:00:00:00:00:01', bcqueuelen: 10 },
    {
      kind: 'macvlan',
      uplink: 'eth1',
      mode: 'vepa',
      mtu: 1400,
      mac: '02:00:00:00:00:01',
      bcQueueLength: 10,
    },
  ],
  ['macvlan on the default route', { type: 'macvlan', mtu: 0 }, { kind: 'macvlan', mode: 'bridge' }],
  [
    'a slot',
    { type: 'macvlan', deviceID: 'bond-0.7-12' },
    { kind: 'macvlan', uplink: 'bond-0.7', slot: 'bond-0.7-12', mode: 'bridge' },
  ],
  [
    'a slot whose uplink is called by another name of it',
    { type: 'ipvlan', master: 'alt-eth0', deviceID: 'eth0-3', mode: 'l3', flag: 'private' },
    {
      kind: 'ipvlan',
      uplink: 'eth0',
      slot: 'eth0-3',
      mode: 'l3',
      flag: 'private',
    },
  ],
  ['a VF for macvlan', { type: 'macvlan', deviceID: DEVICE }, /deviceID: "0000:41:10\.1" is no slot/],
  ['a slot for a VF', { type: 'sriov', deviceID: 'eth0-3' }, /deviceID: "eth0-3" is not the PCI address/],
  [
    'type and link that contradict',
    { type: 'sriov', deviceID: DEVICE, link: 'macvlan' },
    /link: macvlan contradicts type sriov/,
  ],
  ['QoS without VLAN', { ...VF, vlanQoS: 3 }, /vlanQoS: 3 needs a vlan/],
  ['rates that contradict', { ...VF, min_tx_rate: 20, max_tx_rate: 10 }, /min_tx_rate: 20 is above/],
  ['an unknown mode', { ...MACVLAN, mode: 'l2' }, /mode: "l2" is none of bridge, private, vepa, passthru/],
  ['a multicast MAC', { ...MACVLAN, mac: '01:00:5e:00:00:01' }, /group address/],
  ['a short MAC', { ...MACVLAN, mac: '02:00:00' }, /no Ethernet address/],
];

for (const [what, config, expected] of LINKS) {
  test(`link: ${what}`, async () => {
    const link = await linkOf(config);
    if (expected instanceof RegExp) assert.match(String(link), expected);
    else assert.deepEqual(link, expected);
  });
}

test('link: without a type the name of the program is the type', async () => {
  assert.deepEqual(await linkOf({ deviceID: DEVICE }, {}, 'sriov'), { kind: 'vf', device: DEVICE });
});

test('link: runtimeConfig before CNI_ARGS before the configuration', async () => {
  const env = { CNI_ARGS: 'MAC=02:00:00:00:00:02' };
  const config = { ...MACVLAN, mac: '02:00:00:00:00:03' };
  const macOf = async (c: Config, e = env): Promise<unknown> => ((await linkOf(c, e)) as { mac?: string }).mac;
  assert.equal(await macOf({ ...config, runtimeConfig: { mac: '02:00:00:00:00:01' } }), '02:00:00:00:00:01');
  assert.equal(await macOf(config), '02:00:00:00:00:02');
  assert.equal(await macOf(config, { CNI_ARGS: '' }), '02:00:00:00:00:03');
});

const RANGE = { subnet: '10.60.0.0/24', rangeStart: '10.60.0.10', rangeEnd: '10.60.0.20', gateway: '10.60.0.1' };
const LOCAL = { type: 'host-local', dataDir: '/var/lib/cni/networks', routes: [], requested: [], dns: {} };
const STATIC = { type: 'static', routes: [], dns: {} };
const IPAMS: readonly (readonly [string, Config, unknown])[] = [
  ['none', {}, undefined],
  ['an empty one', { ipam: {} }, undefined],
  ['a range inline', { ipam: { type: 'host-local', ...RANGE } }, { ...LOCAL, rangeSets: [[RANGE]] }],
  [
    'requested ranges first',
    {
      ipam: { type: 'host-local', ranges: [[RANGE]], dataDir: '/x' },
      runtimeConfig: { ipRanges: [[{ subnet: 'fd00::/64' }]] },
    },
    { ...LOCAL, dataDir: '/x', rangeSets: [[{ subnet: 'fd00::/64' }], [RANGE]] },
  ],
  [
    'requested addresses, of all sources together',
    {
      ipam: { type: 'host-local', ...RANGE },
      runtimeConfig: { ips: ['10.60.0.12/24'] },
      args: { cni: { ips: ['fd00::13'] } },
    },
    {
      ...LOCAL,
      rangeSets: [[RANGE]],
      requested: ['10.60.0.12', 'fd00::13'],
    },
  ],
  [
    'args.cni.ips',
    { ipam: { type: 'host-local', ...RANGE }, args: { cni: { ips: ['10.60.0.13'] } } },
    { ...LOCAL, rangeSets: [[RANGE]], requested: ['10.60.0.13'] },
  ],
  [
    'static addresses and DNS',
    {
      ipam: {
        type: 'static',
        addresses: [{ address: '10.1.0.2/24', gateway: '10.1.0.1' }],
        routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1', table: 100 }],
        dns: { nameservers: ['1.1.1.1'] },
      },
    },
    {
      ...STATIC,
      addresses: [{ address: '10.1.0.2/24', gateway: '10.1.0.1' }],
      routes: [{ dst: '0.0.0.0/0', gateway: '10.1.0.1', table: 100 }],
      dns: { nameservers: ['1.1.1.1'] },
    },
  ],
  [
    'static with fields in any case',
    { IPAM: { Type: 'static', Addresses: [{ Address: '10.1.0.2/24', GATEWAY: '10.1.0.1' }], Routes: null } },
    { ...STATIC, addresses: [{ address: '10.1.0.2/24', gateway: '10.1.0.1' }] },
  ],
  ['static as Multus recorded it', { ipam: { type: 'static' } }, { ...STATIC, addresses: [] }],
  [
    'static with a request',
    { ipam: { type: 'static', addresses: [{ address: '10.1.0.2/24' }] }, runtimeConfig: { ips: ['10.1.0.9/24'] } },
    { ...STATIC, addresses: [{ address: '10.1.0.9/24' }] },
  ],
  [
    'the DNS of the pod before that of the network',
    {
      dns: { search: ['b'] },
      ipam: { type: 'static', dns: { search: ['c'] } },
      runtimeConfig: { dns: { servers: ['9.9.9.9'] } },
    },
    { ...STATIC, addresses: [], dns: { nameservers: ['9.9.9.9'] } },
  ],
  [
    'static with requests of two sources, of which the first counts',
    {
      ipam: { type: 'static' },
      runtimeConfig: { ips: ['10.1.0.9/24'] },
      args: { cni: { ips: ['10.1.0.10/24'] } },
    },
    { ...STATIC, addresses: [{ address: '10.1.0.9/24' }] },
  ],
  [
    'a static address that is written twice',
    { ipam: { type: 'static', addresses: [{ address: 'fd00::2/64' }, { address: 'FD00:0::2/64' }] } },
    { ...STATIC, addresses: [{ address: 'fd00::2/64' }] },
  ],
  ['no range', { ipam: { type: 'host-local' } }, /ipam\.ranges: host-local has no range/],
  [
    'a subnet without length',
    { ipam: { type: 'host-local', subnet: '10.0.0.0' } },
    /ipam\.subnet: "10\.0\.0\.0" is no address with prefix length/,
  ],
  [
    'a gateway of the other family',
    { ipam: { type: 'host-local', subnet: '10.0.0.0/24', gateway: 'fd00::1' } },
    /ipam\.gateway: fd00::1 is of another family/,
  ],
  [
    'a static address without length',
    { ipam: { type: 'static', addresses: [{ address: '10.0.0.1' }] } },
    /ipam\.addresses\.0: /,
  ],
  [
    'an octal address',
    { ipam: { type: 'host-local', subnet: '10.0.0.0/24', rangeStart: '10.0.0.010' } },
    /ipam\.rangeStart: /,
  ],
  ['a route to nowhere', { ipam: { type: 'static', routes: [{ dst: 'default' }] } }, /ipam\.routes\.0\.dst: /],
  [
    'addresses asked for without IPAM',
    { runtimeConfig: { ips: ['10.0.0.1/24'] } },
    /runtimeConfig\.ips: 10\.0\.0\.1\/24 asked for/,
  ],
  [
    'a resolv.conf that never ends',
    { ipam: { type: 'host-local', ...RANGE, resolvConf: '/dev/zero' } },
    /resolvConf \/dev\/zero cannot be read: it is no plain file/,
  ],
  [
    'a resolv.conf that is missing',
    { ipam: { type: 'host-local', ...RANGE, resolvConf: '/nowhere' } },
    /resolvConf \/nowhere cannot be read/,
  ],
];

for (const [what, config, expected] of IPAMS) {
  test(`addresses: ${what}`, async () => {
    const ipam = await ipamOf({ ...MACVLAN, ...config });
    if (expected instanceof RegExp) assert.match(String(ipam), expected);
    else assert.deepEqual(ipam, expected);
  });
}

const RESOLV_CONFS: readonly (readonly [string, string, Config])[] = [
  ['one that says nothing', '\n# nameserver 10.0.0.1\n;search a.example\nnameserver\n', {}],
  [
    'one with everything, of several lines each',
    '\tnameserver 10.0.0.1\nnameserver fd00::1\ndomain d.example\nsearch a.example b.example\nsearch c.example\noptions ndots:5 rotate\noptions edns0\n',
    {
      nameservers: ['10.0.0.1', 'fd00::1'],
      domain: 'd.example',
      search: ['a.example', 'b.example', 'c.example'],
      options: ['ndots:5', 'rotate', 'edns0'],
    },
  ],
];

for (const [what, text, dns] of RESOLV_CONFS) {
  test(`addresses: the DNS of a resolv.conf, ${what}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'berth-resolv-'));
    try {
      const resolvConf = join(folder, 'resolv.conf');
      writeFileSync(resolvConf, text);
      const ipam = await ipamOf({ ...MACVLAN, ipam: { type: 'host-local', ...RANGE, resolvConf } });
      assert.deepEqual((ipam as Config).dns, dns);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}

test('addresses: CNI_ARGS adds to those of static, and not what is there already', async () => {
  const ipam = { type: 'static', addresses: [{ address: '10.1.0.2/24', gateway: '10.1.0.1' }] };
  const asked = await ipamOf({ ...MACVLAN, ipam }, { CNI_ARGS: 'IP=10.1.0.2/24,10.2.0.2/24' });
  assert.deepEqual(asked, {
    ...STATIC,
    addresses: [{ address: '10.1.0.2/24', gateway: '10.1.0.1' }, { address: '10.2.0.2/24' }],
  });
});

test('addresses: GATEWAY of CNI_ARGS is the gateway of configured addresses too, by network', async () => {
  const addresses = [{ address: '10.1.0.2/24', gateway: '10.1.0.1' }, { address: '10.2.0.2/24' }];
  const ipam = { type: 'static', addresses };
  const asked = await ipamOf({ ...MACVLAN, ipam }, { CNI_ARGS: 'GATEWAY=10.1.0.254,fd00::1' });
  assert.deepEqual(asked, {
    ...STATIC,
    addresses: [{ address: '10.1.0.2/24', gateway: '10.1.0.254' }, { address: '10.2.0.2/24' }],
  });
});

test('addresses: IP and GATEWAY of CNI_ARGS belong together by network', async () => {
  const env = { CNI_ARGS: 'IP=10.1.0.2/24,fd00::2/64;GATEWAY=fd00::1,10.1.0.1' };
  assert.deepEqual(await ipamOf({ ...MACVLAN, ipam: { type: 'static' } }, env), {
    ...STATIC,
    addresses: [
      { address: '10.1.0.2/24', gateway: '10.1.0.1' },
      { address: 'fd00::2/64', gateway: 'fd00::1' },
    ],
  });
});

test.run();
