/**
 * CHECK compares everything that ADD promised: for each kind of link a table of what somebody may
 * have changed since, one at a time, and the words in which CHECK tells it. `scenarios.test.ts` has
 * what a chain may change, the kernel tests and the lab have the same against the live kernel.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LinkSpec, VfLinkSpec } from '../../../src/engine/attachments/model.ts';
import { toBerthError } from '../../../src/engine/errors.ts';
import type { IpamSpec } from '../../../src/engine/ipam/model.ts';
import {
  createPodNode,
  hostDevice,
  ipvlan,
  macvlan,
  macvtap,
  type PodNode,
  vf,
  vlan,
} from '../../standins/attachment-node.ts';
import type { WorldLink, WorldVf } from '../../standins/fake-world.ts';

const test = suite('CHECK');

interface Scene {
  readonly node: PodNode;
  readonly link: WorldLink;
}
type Act = (scene: Scene) => unknown;
type Change = readonly [what: string, change: Act, says: RegExp];

const onLink =
  (fields: Partial<WorldLink>): Act =>
  ({ link }) =>
    Object.assign(link, fields);
const withAddresses =
  (change: (all: WorldLink['addresses']) => WorldLink['addresses']): Act =>
  ({ link }) =>
    Object.assign(link, { addresses: change(link.addresses) });
const onVf =
  (fields: Partial<WorldVf>): Act =>
  ({ node }) =>
    Object.assign(node.device(0), fields);
const onSettings =
  (fields: WorldVf['settings']): Act =>
  ({ node }) =>
    Object.assign(node.device(0).settings ?? {}, fields);

const ROUTE = {
  dst: '198.51.100.0/24',
  gateway: '10.1.0.1',
  mtu: 1300,
  advmss: 1200,
  priority: 7,
  table: 100,
  scope: 0,
};
const IPAM: IpamSpec = {
  type: 'host-local',
  rangeSets: [[{ subnet: '10.1.0.0/24' }], [{ subnet: 'fd01::/64' }]],
  routes: [ROUTE, { dst: 'fd99::/64', gateway: 'fd01::1' }],
  dataDir: '/var/lib/cni/networks',
  requested: [],
  dns: {},
};

const changedRoute =
  (changed: Partial<typeof ROUTE>) =>
  ({ link }: Scene): void => {
    link.routes = link.routes.map((route) => (route.dst === ROUTE.dst ? { ...route, ...changed } : route));
  };

/** Of every kind that has an interface in the sandbox. */
const OF_ALL: readonly Change[] = [
  ['it is down', onLink({ up: false }), /net1 is down/],
  ['another MAC', onLink({ mac: '02:00:00:00:00:99' as never }), /has hardware address 02:00:00:00:00:99, not /],
  ['another MTU', onLink({ mtu: 1280 }), /has MTU 1280, not 1500/],
  ['another name', onLink({ name: 'other' as never }), /net1 is gone from the sandbox/],
  [
    'an address less',
    withAddresses((all) => all.filter(({ family }) => family === 6)),
    /lacks the address 10\.1\.0\.2\/24/,
  ],
  [
    'an IPv6 address less',
    withAddresses((all) => all.filter(({ family }) => family === 4)),
    /lacks the address fd01::2\/64/,
  ],
  [
    'a neighbour has the address too',
    withAddresses((all) => all.map((entry) => ({ ...entry, dadFailed: entry.family === 6 }))),
    /fd01::2\/64 on net1 is also used by a neighbour/,
  ],
  ['no routes', onLink({ routes: [] }), /lacks the route 198\.51\.100\.0\/24.*lacks the route fd99::\/64/],
  [
    'the gateway of a route',
    changedRoute({ gateway: '10.1.0.9' }),
    /lacks the route 198\.51\.100\.0\/24 via 10\.1\.0\.1/,
  ],
  ['the MTU of a route', changedRoute({ mtu: 1400 }), /lacks the route .* mtu 1300/],
  ['the segment size of a route', changedRoute({ advmss: 1000 }), /lacks the route .* advmss 1200/],
  ['the priority of a route', changedRoute({ priority: 8 }), /lacks the route .* priority 7/],
  ['the table of a route', changedRoute({ table: 254 }), /lacks the route .* table 100/],
  ['the scope of a route', changedRoute({ scope: 200 }), /lacks the route .* scope 0/],
  ['arp_notify', onLink({ arpNotify: false }), /arp_notify is 0, not 1/],
  [
    'a reservation',
    ({ node }) => node.reservations.folder('/var/lib/cni/networks/net-a').files.delete('10.1.0.2'),
    /10\.1\.0\.2 is not reserved for it any more/,
  ],
];

const kind = (other: string): Change => [
  'a link of another kind',
  onLink({ kind: other }),
  new RegExp(`net1 is a ${other}, not `),
];
const uplink: Change = ['another uplink', onLink({ parentIndex: 1 }), /net1 is on link 1, not on eth1/];

const KINDS: readonly (readonly [string, LinkSpec, readonly Change[]])[] = [
  [
    'macvlan',
    macvlan({ bcQueueLength: 500 }),
    [
      ...[kind('ipvlan'), uplink],
      ['another mode', onLink({ macvlan: { mode: 'vepa', bcQueueLength: 500 } }), /in mode vepa, not bridge/],
      ['another queue', onLink({ macvlan: { mode: 'bridge', bcQueueLength: 9 } }), /bcqueuelen 9, not 500/],
    ],
  ],
  [
    'ipvlan',
    ipvlan(),
    [
      ...[kind('macvlan'), uplink],
      ['another mode', onLink({ ipvlan: { mode: 'l3', flag: 'bridge' } }), /in mode l3 bridge, not l2 bridge/],
      ['another flag', onLink({ ipvlan: { mode: 'l2', flag: 'vepa' } }), /in mode l2 vepa, not l2 bridge/],
    ],
  ],
  [
    'macvtap',
    macvtap({ slot: 'eth1-3', promiscuous: true }),
    [
      ...[kind('macvlan'), uplink],
      ['another mode', onLink({ macvlan: { mode: 'vepa' } }), /in mode vepa, not bridge/],
      ['another owner', onLink({ tapOwner: '0:0' }), /tap\d+ is owned by 0:0, not 107:107/],
      ['it takes its own packets only', onLink({ promiscuous: false }), /net1 is not promiscuous/],
      ['no device', onLink({ tapGone: true }), /tap\d+, the device of net1, is gone/],
    ],
  ],
  [
    'vlan',
    vlan({ vlanId: 7 }),
    [
      ...[kind('macvlan'), uplink],
      ['another VLAN', onLink({ vlan: { id: 8, protocol: '802.1q' } }), /is VLAN 8, not 7/],
    ],
  ],
];

async function sceneOf(spec: LinkSpec, ipam: IpamSpec = IPAM): Promise<Scene & { check(): Promise<string> }> {
  const node = createPodNode();
  const result = await node.attach('c1', spec, { ipam });
  const inside = node.world.paths.get('/run/netns/c1');
  assert.ok(inside);
  const link = node.world.byName(inside, 'net1');
  assert.ok(link);
  const [attached] = node.engine.list();
  assert.ok(attached);
  const { containerId, ifname } = attached;
  const check = async (): Promise<string> => {
    const sandbox = node.openSandbox('c1');
    try {
      await node.engine.check(
        { key: { containerId, ifname }, sandbox, link: spec, expected: result },
        { requestId: 'check', signal: new AbortController().signal },
      );
      return '';
    } catch (error) {
      return toBerthError(error).message;
    } finally {
      sandbox.close();
    }
  };
  return { node, link, check };
}

for (const [name, spec, own] of KINDS) {
  test(`${name}: nothing is said of what ADD made`, async () => {
    assert.is(await (await sceneOf(spec)).check(), '');
  });

  for (const [what, change, says] of [...OF_ALL, ...own]) {
    test(`${name}: ${what}`, async () => {
      const scene = await sceneOf(spec);
      change(scene);
      assert.match(await scene.check(), says);
    });
  }
}

test('a sandbox of the same container that is not the one', async () => {
  const { node } = await sceneOf(macvlan());
  await node.attach('c2', macvlan());
  const [attached] = node.engine.list();
  assert.ok(attached);
  const { containerId, ifname } = attached;
  const sandbox = node.openSandbox('c2');
  const expected = { addresses: [], routes: [] };
  const checked = node.engine.check(
    { key: { containerId, ifname }, sandbox, link: macvlan(), expected },
    { requestId: 'check', signal: new AbortController().signal },
  );
  const error = toBerthError(await checked.catch((thrown: unknown) => thrown));
  sandbox.close();
  assert.match(error.message, /it was made in namespace \S+, and this is namespace /);
});

const VF_CHANGES: readonly Change[] = [
  ['another VLAN', onSettings({ vlan: 13 }), /vlan is 13, not 12/],
  ['another priority', onSettings({ vlanQos: 1 }), /vlanQos is 1, not 3/],
  ['another protocol', onSettings({ vlanProto: '802.1q' }), /vlanProto is 802\.1q, not 802\.1ad/],
  ['another least rate', onSettings({ minTxRateMbps: 5 }), /minTxRateMbps is 5, not 10/],
  ['another rate', onSettings({ maxTxRateMbps: 5 }), /maxTxRateMbps is 5, not 100/],
  ['no spoof check', onSettings({ spoofCheck: false }), /spoofCheck is false, not true/],
  ['no trust', onSettings({ trust: false }), /trust is false, not true/],
  ['another link state', onSettings({ linkState: 'auto' }), /linkState is auto, not enable/],
  [
    'another MAC on the PF',
    onSettings({ mac: '02:00:00:00:00:99' as never }),
    /mac is 02:00:00:00:00:99, not 02:00:00:00:00:01/,
  ],
  ['another driver', onVf({ driver: 'vfio-pci' }), /is on driver vfio-pci, not /],
  ['a VF that was made anew', onVf({ incarnation: 'later' }), /is gone or was made anew/],
  [
    'the interface of another VF',
    ({ node, link }) => Object.assign(link, { pci: node.device(1).address }),
    /net1 is device 0000:41:\S+, not 0000:41/,
  ],
];

const EVERY_SETTING: Partial<VfLinkSpec> = {
  mac: '02:00:00:00:00:01' as never,
  vlan: 12,
  vlanQos: 3,
  vlanProto: '802.1ad',
  minTxRateMbps: 10,
  maxTxRateMbps: 100,
  spoofCheck: true,
  trust: true,
  linkState: 'enable',
};

for (const [what, change, says] of [['nothing', () => undefined, /^$/] as const, ...OF_ALL, ...VF_CHANGES]) {
  test(`vf: ${what}`, async () => {
    const device = createPodNode().device(0);
    const scene = await sceneOf(vf(device, EVERY_SETTING));
    change(scene);
    assert.match(await scene.check(), says);
  });
}

for (const [what, change, says] of [['nothing', () => undefined, /^$/] as const, ...OF_ALL]) {
  test(`host-device: ${what}`, async () => {
    const scene = await sceneOf(hostDevice({ by: 'name', name: 'eth1' }));
    change(scene);
    assert.match(await scene.check(), says);
  });
}

test('host-device: another driver of a device that is called by its PCI address', async () => {
  const { address } = createPodNode().device(0);
  const { node, check } = await sceneOf(hostDevice({ by: 'pci', address }));
  assert.is(await check(), '');
  node.device(0).driver = 'vfio-pci';
  assert.match(await check(), /is on driver vfio-pci, not /);
  node.device(0).incarnation = 'later';
  assert.match(await check(), /is gone or was made anew/);
});

test('of very many differences not all are told', async () => {
  const routes = Array.from({ length: 100 }, (_none, at) => ({ dst: `10.100.${at}.0/24` }));
  const { link, check } = await sceneOf(macvlan(), { ...IPAM, routes } as IpamSpec);
  assert.is(await check(), '');
  link.routes = [];
  const said = await check();
  assert.is(said.split('lacks the route').length - 1, 20);
  assert.match(said, /; and 80 more$/);
});

test.run();
