/** What each kind refuses before anything changes, with the reason that names it; and what it sends when it does not. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LinkSpec } from '../../../src/engine/attachments/model.ts';
import { toBerthError } from '../../../src/engine/errors.ts';
import type { IfName, MacAddress, PciAddress } from '../../../src/engine/values.ts';
import { createPodNode, ipvlan, macvlan, type PodNode, vf } from '../../standins/attachment-node.ts';
import { linkOf, settingsOf } from '../../standins/fake-world.ts';

const test = suite('refusals');

const MULTICAST = '01:00:5e:00:00:01' as MacAddress;
const MAC = '02:aa:00:00:00:01' as MacAddress;

interface Refusal {
  readonly name: string;
  readonly ready?: (node: PodNode) => void;
  readonly link: (node: PodNode) => LinkSpec;
  readonly reason: string;
  readonly code: string;
  readonly says?: string;
}

const refusals: readonly Refusal[] = [
  {
    name: 'an uplink that is not there',
    link: () => macvlan({ uplink: 'eth9' }),
    reason: 'uplink-missing',
    code: 'NotFound',
    says: 'eth9',
  },
  {
    name: 'no uplink and no default route',
    ready: (node) => node.world.byName(node.world.host, 'eth0')?.routes.splice(0),
    link: () => ({ kind: 'macvlan', mode: 'bridge' }),
    reason: 'no-default-route',
    code: 'NotFound',
  },
  {
    name: 'a master that contradicts the slot',
    link: () => macvlan({ uplink: 'eth0', slot: 'eth1-3' }),
    reason: 'uplink-contradicts-slot',
    code: 'Invalid',
    says: 'eth1-3',
  },
  {
    name: 'a slot that is none',
    link: () => ({ kind: 'ipvlan', mode: 'l2', flag: 'bridge', slot: 'eth1' }),
    reason: 'slot-invalid',
    code: 'Invalid',
  },
  {
    name: "an MTU above the uplink's",
    link: () => macvlan({ mtu: 9000 }),
    reason: 'mtu-too-large',
    code: 'Invalid',
    says: '1500',
  },
  { name: "an MTU below IPv4's least", link: () => ipvlan({ mtu: 10 }), reason: 'mtu-invalid', code: 'Invalid' },
  { name: 'a multicast MAC', link: () => macvlan({ mac: MULTICAST }), reason: 'mac-not-unicast', code: 'Invalid' },
  {
    name: 'passthru on the uplink that carries the node',
    link: () => macvlan({ uplink: 'eth0', mode: 'passthru' }),
    reason: 'passthru-on-node-uplink',
    code: 'Denied',
    says: '192.0.2.10/24',
  },
  {
    name: "macvlan beside a node's ipvlan",
    ready: (node) =>
      node.world.addLink(node.world.host, {
        name: 'ipv0',
        kind: 'ipvlan',
        ...onEth1(node),
        ipvlan: { mode: 'l2', flag: 'bridge' },
      }),
    link: () => macvlan(),
    reason: 'uplink-in-use',
    code: 'Busy',
    says: 'ipvlan ipv0',
  },
  {
    name: "ipvlan beside a node's macvlan",
    ready: (node) =>
      node.world.addLink(node.world.host, {
        name: 'mv0',
        kind: 'macvlan',
        ...onEth1(node),
        macvlan: { mode: 'bridge' },
      }),
    link: () => ipvlan(),
    reason: 'uplink-in-use',
    code: 'Busy',
    says: 'macvlan mv0',
  },
  ...['ipvlan', 'unknown'].map((kind) => ({
    name: `another ipvlan mode than a link of the node, of kind ${kind} to the inventory,`,
    ready: (node: PodNode) => {
      node.world.addLink(node.world.host, {
        name: 'ipv0',
        kind: 'ipvlan',
        ...onEth1(node),
        ipvlan: { mode: 'l3', flag: 'bridge' },
      });
      knowVirtual(node, kind);
    },
    link: () => ipvlan(),
    reason: 'ipvlan-mode-differs',
    code: 'Busy',
    says: 'link ipv0 of the node',
  })),
  {
    name: 'a device that is gone',
    link: () => ({ kind: 'vf', device: '0000:99:00.0' as PciAddress }),
    reason: 'device-gone',
    code: 'NotFound',
  },
  {
    name: 'a PF',
    link: () => ({ kind: 'vf', device: '0000:41:00.0' as PciAddress }),
    reason: 'device-not-a-vf',
    code: 'Invalid',
  },
  {
    name: 'a VF that something else moved away',
    ready: (node) => node.world.host.links.delete(linkOf(node.device(0)).index),
    link: (node) => vf(node.device(0)),
    reason: 'device-not-home',
    code: 'Busy',
  },
  {
    name: 'a VF that the node uses',
    ready: (node) =>
      Object.assign(linkOf(node.device(0)), {
        up: true,
        addresses: [{ address: '10.0.0.1/24', family: 4, scope: 'global', tentative: false, dadFailed: false }],
      }),
    link: (node) => vf(node.device(0)),
    reason: 'device-in-use',
    code: 'Busy',
    says: '10.0.0.1/24',
  },
  {
    name: 'a VF in a bond',
    ready: (node) => Object.assign(linkOf(node.device(0)), { masterIndex: 2 }),
    link: (node) => vf(node.device(0)),
    reason: 'device-in-use',
    code: 'Busy',
    says: 'enslaved',
  },
  {
    name: 'a VF whose PF is in another namespace',
    ready: (node) => node.world.host.links.delete(node.device(0).pf.index),
    link: (node) => vf(node.device(0)),
    reason: 'pf-missing',
    code: 'NotFound',
  },
  {
    name: 'a VLAN that there is not',
    link: (node) => vf(node.device(0), { vlan: 4095 }),
    reason: 'vf-settings-invalid',
    code: 'Invalid',
    says: '4095',
  },
  {
    name: 'a priority without a VLAN',
    link: (node) => vf(node.device(0), { vlanQos: 3 }),
    reason: 'vf-settings-invalid',
    code: 'Invalid',
  },
  {
    name: 'a minimum rate above the maximum',
    link: (node) => vf(node.device(0), { minTxRateMbps: 20, maxTxRateMbps: 10 }),
    reason: 'vf-settings-invalid',
    code: 'Invalid',
  },
  {
    name: 'a setting that the driver refuses',
    ready: (node) => node.world.refusedSettings.add('linkState'),
    link: (node) => vf(node.device(0), { vlan: 5, linkState: 'enable' }),
    reason: 'vf-setting-refused',
    code: 'Unsupported',
    says: 'driver does not support linkState',
  },
  {
    name: 'a setting that the driver takes and ignores',
    ready: (node) => node.world.ignoredSettings.add('trust'),
    link: (node) => vf(node.device(0), { trust: true }),
    reason: 'vf-setting-ignored',
    code: 'Unsupported',
    says: 'trust is false, not true',
  },
];

function onEth1(node: PodNode): { parentIndex: number; parent: NonNullable<ReturnType<PodNode['world']['byName']>> } {
  const parent = node.world.byName(node.world.host, 'eth1');
  if (parent === undefined) throw new Error('there is no eth1');
  return { parent, parentIndex: parent.index };
}

function knowVirtual(node: PodNode, kind: string): void {
  const link = {
    ifname: 'v0' as IfName,
    ifindex: 90,
    altnames: [],
    uppers: [],
    lowers: [],
    addresses: [],
    defaultRoute: false,
  };
  node.inventory = { node: { name: 'n' }, nics: [], virtual: [{ ...link, kind }], findings: [], unread: [] };
}

for (const { name, ready, link, reason, code, says } of refusals) {
  test(`${name} is refused as ${reason}, and nothing changes`, async () => {
    const node = createPodNode();
    node.world.addSandbox('/run/netns/c1');
    ready?.(node);
    const before = node.snapshot();
    const failure = toBerthError(await node.attach('c1', link(node)).catch((error: unknown) => error));
    assert.is(failure.reason, reason, failure.message);
    assert.is(failure.code, code);
    assert.ok(failure.remedy, 'it says what to do');
    if (says !== undefined) assert.ok(failure.message.includes(says), failure.message);
    assert.is(node.snapshot(), before);
    await node.detach('c1');
    assert.is(node.snapshot(), before);
  });
}

test("an uplink is found by its alternative name, and without a name as the default route's", async () => {
  for (const link of [macvlan({ uplink: 'lan' }), { kind: 'macvlan', mode: 'bridge' } as const]) {
    const node = createPodNode();
    await node.attach('c1', link);
    assert.is(node.engine.list()[0]?.device, 'eth0');
  }
});

test("the node's links are listed for an ipvlan only when the inventory has one", async () => {
  for (const [kind, lists] of [
    ['bridge', 0],
    ['ipvlan', 1],
  ] as const) {
    const node = createPodNode();
    knowVirtual(node, kind);
    let listed = 0;
    node.kernel.intercept((step) => {
      if (step.what === 'links' && step.when === 'before') listed += 1;
    });
    await node.attach('c1', ipvlan());
    assert.is(listed, lists, kind);
  }
});

test('a slot names its uplink, split at the last hyphen', async () => {
  const node = createPodNode();
  node.world.addLink(node.world.host, { name: 'en-0', up: true });
  await node.attach('c1', { kind: 'macvlan', mode: 'bridge', slot: 'en-0-12' });
  const row = node.engine.list()[0];
  assert.equal([row?.device, row?.slot], ['en-0', 'en-0-12']);
});

test('settings that nobody asked for are not sent', async () => {
  const node = createPodNode();
  const sent: string[] = [];
  node.kernel.intercept((step) => {
    if (step.what === 'vf.set' && step.when === 'before') sent.push(step.what);
  });
  await node.attach('c1', vf(node.device(0)));
  assert.equal(sent, []);
});

test('a NIC without PF-side settings serves plain VFs and a MAC, and refuses what it cannot do', async () => {
  const node = createPodNode({ withSettings: false });
  const before = node.snapshot();
  const failure = toBerthError(
    await node.attach('c1', vf(node.device(0), { vlan: 5 })).catch((error: unknown) => error),
  );
  assert.is(failure.reason, 'vf-settings-unsupported');
  const result = await node.attach('c1', vf(node.device(0), { mac: MAC }));
  assert.is(result.mac, MAC);
  await node.detach('c1');
  node.world.destroySandbox('/run/netns/c1');
  assert.is(node.snapshot(), before);
});

test('a used VF whose PF had set a MAC gets a new one', async () => {
  const node = createPodNode();
  const device = node.device(0);
  Object.assign(device, { used: true, macLocked: true });
  settingsOf(device).mac = '02:00:00:00:99:99' as MacAddress;
  await node.attach('c1', vf(device, { mac: MAC }));
  assert.equal([linkOf(device).mac, settingsOf(device).mac], [MAC, MAC]);
  await node.detach('c1');
  assert.is(settingsOf(device).mac, '02:00:00:00:99:99');
});

test('an address that a neighbour has fails the ADD and leaves nothing', async () => {
  const node = createPodNode();
  node.world.addSandbox('/run/netns/c1');
  const before = node.snapshot();
  node.world.neighbours.add('fd00::2/64');
  const failure = toBerthError(
    await node
      .attach('c1', macvlan(), {
        ipam: { type: 'static', addresses: [{ address: 'fd00::2/64' }], routes: [], dns: {} },
      })
      .catch((error: unknown) => error),
  );
  assert.is(failure.reason, 'address-duplicate');
  assert.is(node.snapshot(), before);
});

test('a macvlan ADD with host-local asks the kernel no more than eight times', async () => {
  const node = createPodNode();
  node.world.addSandbox('/run/netns/c1');
  let calls = 0;
  let operations = 0;
  node.kernel.intercept((step) => {
    if (step.when === 'before') calls += 1;
    if (step.when === 'before' && /^(link\.set|address|route)/.test(step.what)) operations += 1;
  });
  await node.attach('c1', macvlan());
  // The operations of one apply travel together.
  assert.ok(calls - operations + 1 <= 8, `${calls - operations + 1} calls`);
});

test.run();
