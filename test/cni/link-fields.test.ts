/** The fields that say which link a virtual link stands on, and those of the kinds beyond VF, macvlan and ipvlan. */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { bench } from './calls.ts';

type Config = Readonly<Record<string, unknown>>;

async function linkOf(config: Config, argv0 = 'berth'): Promise<unknown> {
  const { send, engine } = bench();
  const { answer } = await send({ config, argv0 });
  return engine.attached[0]?.link ?? answer.msg;
}

const IB = { type: 'ib-sriov', deviceID: '0000:41:10.1' };
const GUID = '02:00:00:00:00:00:00:0a';
const vf = (more: Config): Config => ({ kind: 'vf', device: '0000:41:10.1', ...more });
const macvlan = { type: 'macvlan' };
const LINKS: readonly (readonly [string, Config, unknown])[] = [
  [
    'a master of the pod',
    { ...macvlan, master: 'net1', linkInContainer: true },
    { kind: 'macvlan', mode: 'bridge', uplink: 'net1', uplinkInSandbox: true },
  ],
  [
    "the pod's default route",
    { type: 'ipvlan', linkInContainer: true },
    { kind: 'ipvlan', mode: 'l2', flag: 'bridge', uplinkInSandbox: true },
  ],
  [
    'a master of the pod beside a slot of the node',
    { ...macvlan, linkInContainer: true, deviceID: 'eth0-1' },
    /linkInContainer: the pod was given eth0-1/,
  ],
  [
    'a master of the pod by selector',
    { ...macvlan, linkInContainer: true, masterSelector: { drivers: ['ice'] } },
    /masterSelector: it chooses interfaces of the node/,
  ],
  [
    'a shared VLAN in the pod',
    { ...macvlan, master: 'net1', linkInContainer: true, vlan: 5 },
    /vlan is 5: a VLAN is shared on uplinks of the node only/,
  ],
  [
    'a shared VLAN',
    { ...macvlan, master: 'eth1', vlan: 100 },
    { kind: 'macvlan', mode: 'bridge', uplink: 'eth1', uplinkVlan: 100 },
  ],
  [
    'VLAN 0, which is none',
    { ...macvlan, master: 'eth1', vlan: 0 },
    { kind: 'macvlan', mode: 'bridge', uplink: 'eth1' },
  ],
  [
    'an ipvlan behind the only interface of a chain',
    { type: 'ipvlan', prevResult: { interfaces: [{ name: 'br0' }] } },
    { kind: 'ipvlan', mode: 'l2', flag: 'bridge', uplink: 'br0' },
  ],
  [
    'an ipvlan behind the only interface of a chain, which is in the sandbox',
    { type: 'ipvlan', linkInContainer: true, prevResult: { interfaces: [{ name: 'net0' }] } },
    { kind: 'ipvlan', mode: 'l2', flag: 'bridge', uplink: 'net0', uplinkInSandbox: true },
  ],
  [
    'an ipvlan in a chain, with a master',
    { type: 'ipvlan', master: 'eth1', prevResult: { interfaces: [{ name: 'br0' }] } },
    { kind: 'ipvlan', mode: 'l2', flag: 'bridge', uplink: 'eth1' },
  ],
  [
    'a master by what it is',
    { ...macvlan, masterSelector: { drivers: ['ice'], macs: ['02-00-00-00-00-01'] } },
    { kind: 'macvlan', mode: 'bridge', uplinkSelectors: [{ drivers: ['ice'], macs: ['02:00:00:00:00:01'] }] },
  ],
  [
    'a master by one of several',
    { type: 'ipvlan', masterSelector: [{ altnames: ['lan'] }, { subnets: ['10.0.0.0/8', 'fd00::/8'] }] },
    {
      kind: 'ipvlan',
      mode: 'l2',
      flag: 'bridge',
      uplinkSelectors: [{ altnames: ['lan'] }, { subnets: ['10.0.0.0/8', 'fd00::/8'] }],
    },
  ],
  [
    'a slot whose uplink is to be of some kind',
    { ...macvlan, deviceID: 'eth0-3', masterSelector: { drivers: ['ice'] } },
    { kind: 'macvlan', mode: 'bridge', slot: 'eth0-3', uplinkSelectors: [{ drivers: ['ice'] }] },
  ],
  [
    'a master and a selector',
    { ...macvlan, master: 'eth1', masterSelector: { drivers: ['ice'] } },
    /masterSelector: master "eth1" names the uplink already/,
  ],
  ['a selector of nothing', { ...macvlan, masterSelector: {} }, /masterSelector: /],
  ['a selector with an unknown field', { ...macvlan, masterSelector: { speed: ['1'] } }, /masterSelector: /],
  ['a selector with a wrong address', { ...macvlan, masterSelector: { pciAddresses: ['41:00'] } }, /masterSelector/],
  [
    'every field of a VLAN',
    { type: 'vlan', master: 'eth1', vlanId: 7, mtu: 1400 },
    { kind: 'vlan', uplink: 'eth1', vlanId: 7, mtu: 1400 },
  ],
  ['VLAN 0 of an uplink', { type: 'berth', link: 'vlan', vlanId: 0 }, { kind: 'vlan', vlanId: 0 }],
  ['a VLAN without number', { type: 'vlan', master: 'eth1' }, /vlanId: it is missing/],
  ['a VLAN with too large a number', { type: 'vlan', vlanId: 4095 }, /vlanId: /],
  ['a MAC for a VLAN', { type: 'vlan', vlanId: 5, mac: '02:00:00:00:00:01' }, /mac is "02:00:00:00:00:01"/],
  [
    'every field of an InfiniBand VF',
    {
      ...IB,
      pkey: '0x7fff',
      link_state: 'enable',
      rdmaIsolation: true,
      ibKubernetesEnabled: true,
      mtu: 2044,
      args: { cni: { guid: '02:00:00:00:00:00:00:0A', 'mellanox.infiniband.app': 'configured' } },
    },
    {
      kind: 'vf',
      device: '0000:41:10.1',
      mtu: 2044,
      linkState: 'enable',
      guid: '02:00:00:00:00:00:00:0a',
      rdma: 'required',
    },
  ],
  [
    'a GUID that the pod asked for, before that of ib-kubernetes',
    { ...IB, args: { cni: { guid: GUID } }, runtimeConfig: { infinibandGUID: '02:00:00:00:00:00:00:0b' } },
    { kind: 'vf', device: '0000:41:10.1', guid: '02:00:00:00:00:00:00:0b' },
  ],
  [
    'a VF before ib-kubernetes has come to it',
    { ...IB, ibKubernetesEnabled: true, args: { cni: { guid: GUID } } },
    /mellanox\.infiniband\.app is missing/,
  ],
  [
    'the GUID that stands for none, before one and alone',
    { ...IB, args: { cni: { guid: GUID } }, runtimeConfig: { infinibandGUID: 'FF:FF:FF:FF:FF:FF:FF:FF' } },
    vf({ guid: GUID }),
  ],
  ['the GUID that stands for none', { ...IB, args: { cni: { guid: 'ff-ff-ff-ff-ff-ff-ff-ff' } } }, vf({})],
  ['a short GUID', { ...IB, runtimeConfig: { infinibandGUID: '02:00' } }, /infinibandGUID: "02:00" is no GUID/],
  ['a partition key in words', { ...IB, pkey: 'default' }, /pkey: "default" is no partition key/],
  ['a MAC for InfiniBand', { ...IB, mac: '02:00:00:00:00:01' }, /has a GUID, not a MAC/],
  ['InfiniBand without a device', { type: 'ib-sriov' }, /was given no device/],
  [
    'a VF of sriov with a GUID and its RDMA device',
    { type: 'sriov', deviceID: '0000:41:10.1', rdmaIsolation: true, runtimeConfig: { infinibandGUID: GUID } },
    { kind: 'vf', device: '0000:41:10.1', guid: GUID, rdma: 'required' },
  ],
  ['a VF of sriov, whose RDMA device stays', { type: 'sriov', deviceID: '0000:41:10.1' }, vf({})],
  [
    "a VF of Berth's own type, whose RDMA device goes along where it can",
    { type: 'berth', deviceID: '0000:41:10.1' },
    vf({ rdma: 'where-exclusive' }),
  ],
  [
    "a VF of Berth's own type, whose RDMA device is left to rdma-cni",
    { type: 'berth', deviceID: '0000:41:10.1', rdmaIsolation: false },
    vf({}),
  ],
  [
    'every field of a macvtap',
    {
      type: 'macvtap',
      deviceID: 'eth0-3',
      mode: 'private',
      mtu: 1400,
      mac: '02:00:00:00:00:01',
      promiscMode: true,
      owner: 0,
      group: 36,
      vlan: 7,
    },
    {
      kind: 'macvtap',
      uplink: 'eth0',
      slot: 'eth0-3',
      mode: 'private',
      mtu: 1400,
      mac: '02:00:00:00:00:01',
      promiscuous: true,
      owner: { uid: 0, gid: 36 },
      uplinkVlan: 7,
    },
  ],
  [
    'a macvtap that a device plugin made',
    { type: 'macvtap', deviceID: 'dataplaneMvp0' },
    { kind: 'macvtap', given: 'dataplaneMvp0', owner: { uid: 107, gid: 107 } },
  ],
  ['a VF for a macvtap', { type: 'macvtap', deviceID: '0000:41:10.0' }, /deviceID: 0000:41:10.0 is a PCI device/],
  [
    'a macvtap of a device plugin and a master',
    { type: 'macvtap', deviceID: 'dataplaneMvp0', master: 'eth1' },
    /master: the pod was given dataplaneMvp0/,
  ],
  ['a host device by name', { type: 'host-device', device: 'eth5' }, host({ by: 'name', name: 'eth5' })],
  [
    'a host device by hardware address',
    { type: 'host-device', hwaddr: '02-00-00-00-00-0A' },
    host({ by: 'hwaddr', mac: '02:00:00:00:00:0a' }),
  ],
  [
    'a host device by path',
    { type: 'host-device', kernelpath: '/sys/devices/pci0000:00/0000:00:19.0' },
    host({ by: 'kernelpath', path: '/sys/devices/pci0000:00/0000:00:19.0' }),
  ],
  [
    'a host device by PCI address',
    { type: 'host-device', pciBusID: '0000:3D:00.1' },
    host({ by: 'pci', address: '0000:3d:00.1' }),
  ],
  [
    'the host device that the pod was given, before what the definition names',
    { type: 'host-device', device: 'eth5', runtimeConfig: { deviceID: '0000:3d:00.1' } },
    host({ by: 'pci', address: '0000:3d:00.1' }),
  ],
  [
    'a scalable function',
    { type: 'host-device', runtimeConfig: { deviceID: 'mlx5_core.sf.2' } },
    host({ by: 'auxiliary', id: 'mlx5_core.sf.2' }),
  ],
  [
    'a MAC for a host device',
    { type: 'host-device', device: 'eth5', runtimeConfig: { mac: '02:00:00:00:00:01' } },
    { ...host({ by: 'name', name: 'eth5' }), mac: '02:00:00:00:00:01' },
  ],
  ['a host device without a name', { type: 'host-device' }, /device: no device is named/],
  [
    'a host device with two names',
    { type: 'host-device', device: 'eth5', hwaddr: '02:00:00:00:00:01' },
    /hwaddr: device and hwaddr name devices, and one is needed/,
  ],
  ['a path elsewhere', { type: 'host-device', kernelpath: '/etc/net' }, /kernelpath: .* is no path below/],
  ['a path that climbs', { type: 'host-device', kernelpath: '/sys/devices/../../etc' }, /kernelpath/],
  ['a slot for host-device', { type: 'host-device', deviceID: 'eth0-1' }, /pciBusID: "eth0-1" is neither/],
];

function host(device: unknown): { kind: string; device: unknown } {
  return { kind: 'host-device', device };
}

/** Every word that a mode or flag can be. */
const WORDS: readonly (readonly [string, string, readonly string[]])[] = [
  ['macvlan', 'mode', ['bridge', 'private', 'vepa', 'passthru']],
  ['macvtap', 'mode', ['bridge', 'private', 'vepa', 'passthru']],
  ['ipvlan', 'mode', ['l2', 'l3', 'l3s']],
  ['ipvlan', 'flag', ['bridge', 'private', 'vepa']],
];

for (const [type, field, words] of WORDS) {
  test(`link: ${type} with each ${field}`, async () => {
    for (const word of words) {
      const link = await linkOf({ type, master: 'eth1', [field]: word });
      assert.equal(Reflect.get(Object(link), field), word);
    }
    assert.match(
      String(await linkOf({ type, master: 'eth1', [field]: 'other' })),
      new RegExp(`none of ${words.join(', ')}`),
    );
  });
}

for (const [what, config, expected] of LINKS) {
  test(`link: ${what}`, async () => {
    const link = await linkOf(config);
    if (expected instanceof RegExp) assert.match(String(link), expected);
    else assert.deepEqual(link, expected);
  });
}

const NAMES: readonly (readonly [string, Config, string?])[] = [
  ['macvtap', {}],
  ['ib-sriov', { deviceID: '0000:41:10.1' }, 'vf'],
  ['vlan', { vlanId: 5 }],
  ['host-device', { device: 'eth5' }],
];

for (const [name, config, kind] of NAMES) {
  test(`link: the program ${name} makes one without being told the type`, async () => {
    assert.equal(((await linkOf(config, name)) as { kind?: string }).kind, kind ?? name);
  });
}

test.run();
