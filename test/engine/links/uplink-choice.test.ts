/** Which link a virtual one stands on: in the sandbox, or chosen by what it is. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toBerthError } from '../../../src/engine/errors.ts';
import type { Inventory, Netdev } from '../../../src/engine/inventory/model.ts';
import type { IfName, PciAddress } from '../../../src/engine/values.ts';
import { createPodNode, ipvlan, macvlan, type PodNode, vlan } from '../../standins/attachment-node.ts';
import type { WorldLink } from '../../standins/fake-world.ts';

const test = suite('uplinks');

function netdev(ifname: string, fields: Partial<Netdev> = {}): Netdev {
  return {
    ifname: ifname as IfName,
    ifindex: 1,
    altnames: [],
    uppers: [],
    lowers: [],
    addresses: [],
    defaultRoute: false,
    ...fields,
  };
}

const nic = (address: string, driver: string, link: Netdev) => ({
  address: address as PciAddress,
  vendor: '8086',
  device: '1593',
  class: '020000',
  driver,
  deviceNodes: {},
  ifname: link.ifname,
  netdev: link,
  vfs: [],
});

const INVENTORY: Inventory = {
  node: { name: 'n' },
  nics: [
    nic('0000:01:00.0', 'ice', netdev('eth0', { altnames: ['lan'], addresses: ['192.0.2.10/24'] })),
    nic('0000:02:00.0', 'igb', netdev('eth1')),
    nic('0000:03:00.0', 'ice', netdev('eth2')),
  ],
  virtual: [],
  findings: [],
  unread: [],
};

function ready(): PodNode {
  const node = createPodNode();
  node.world.addLink(node.world.host, { name: 'eth2', up: true });
  node.inventory = INVENTORY;
  return node;
}

const choices = [
  { by: 'driver', selector: { drivers: ['igb'] }, uplink: 'eth1' },
  { by: 'alternative name', selector: { altnames: ['lan'] }, uplink: 'eth0' },
  { by: 'PCI address', selector: { pciAddresses: ['0000:03:00.0' as PciAddress] }, uplink: 'eth2' },
  { by: 'subnet', selector: { subnets: ['192.0.2.0/24'] }, uplink: 'eth0' },
  { by: 'driver and slot', selector: { drivers: ['ice'] }, slot: 'eth2-3', uplink: 'eth2' },
];

for (const { by, selector, slot, uplink } of choices) {
  test(`chosen by ${by}`, async () => {
    const node = ready();
    await node.attach('c1', {
      kind: 'macvlan',
      mode: 'bridge',
      uplinkSelectors: [selector],
      ...(slot === undefined ? {} : { slot }),
    });
    assert.is(node.engine.list()[0]?.device, uplink);
  });
}

const refusals = [
  { what: 'two that match', selector: { drivers: ['ice'] }, reason: 'uplink-ambiguous', says: /eth0, eth2/ },
  { what: 'none that matches', selector: { drivers: ['mlx5_core'] }, reason: 'uplink-not-selected', says: /eth1: dri/ },
  {
    what: 'a slot of another uplink',
    selector: { drivers: ['ice'] },
    slot: 'eth1-1',
    reason: 'uplink-not-selected',
    says: /the slot eth1-1 is on none/,
  },
];

for (const { what, selector, slot, reason, says } of refusals) {
  test(`refused: ${what}`, async () => {
    const node = ready();
    const link = { kind: 'macvlan', mode: 'bridge', uplinkSelectors: [selector] } as const;
    const failure = toBerthError(
      await node.attach('c1', slot === undefined ? link : { ...link, slot }).catch((error: unknown) => error),
    );
    assert.is(failure.reason, reason);
    assert.match(failure.message, says);
  });
}

/** A pod that has had net1 from another network. */
function withInner(node: PodNode): WorldLink {
  return node.world.addLink(node.world.addSandbox('/run/netns/c1'), { name: 'inner', up: true, carrier: true });
}

for (const [name, link] of [
  ['macvlan', macvlan({ uplink: 'inner', uplinkInSandbox: true })],
  ['ipvlan', ipvlan({ uplink: 'inner', uplinkInSandbox: true })],
  ['vlan', vlan({ uplink: 'inner', uplinkInSandbox: true })],
] as const) {
  test(`a ${name} stands on a link of the sandbox, and leaves it there`, async () => {
    const node = createPodNode();
    const inner = withInner(node);
    const before = node.snapshot();
    await node.attach('c1', link);
    const made = node.world.byName(node.world.paths.get('/run/netns/c1') as never, 'net1');
    assert.is(made?.parent, inner);
    assert.is(node.engine.list()[0]?.device, 'inner@sandbox');
    await node.detach('c1');
    assert.is(node.snapshot(), before);
  });
}

test('without a master it is the one of the default route of the sandbox', async () => {
  const node = createPodNode();
  withInner(node).routes.push({ dst: '0.0.0.0/0', gateway: '10.0.0.1' });
  await node.attach('c1', { kind: 'macvlan', mode: 'bridge', uplinkInSandbox: true });
  assert.is(node.engine.list()[0]?.device, 'inner@sandbox');
});

test('links in sandboxes do not exclude each other, and passthru takes nothing from the node there', async () => {
  const node = createPodNode();
  withInner(node);
  await node.attach('c1', macvlan({ uplink: 'inner', uplinkInSandbox: true, mode: 'passthru' }));
  node.world.addLink(node.world.addSandbox('/run/netns/c2'), { name: 'inner', up: true });
  await node.attach('c2', ipvlan({ uplink: 'inner', uplinkInSandbox: true }));
  await node.attach('c3', ipvlan({ mode: 'l3' }));
  assert.is(node.engine.list().length, 3);
});

test('a VLAN that another pod has is refused, and its holder named', async () => {
  const node = createPodNode();
  await node.attach('c1', vlan());
  const failure = toBerthError(await node.attach('c2', vlan()).catch((error: unknown) => error));
  assert.equal([failure.reason, failure.code], ['vlan-in-use', 'Busy']);
  assert.match(failure.message, /VLAN 7 of eth1 is held by container c1 net1/);
  await node.detach('c1');
  await node.attach('c2', vlan());
});

test("a VLAN that the node has is refused, and the node's link stays", async () => {
  const node = createPodNode();
  const parent = node.world.byName(node.world.host, 'eth1') as WorldLink;
  node.world.addLink(node.world.host, {
    name: 'eth1.7',
    kind: 'vlan',
    parent,
    parentIndex: parent.index,
    vlan: { id: 7, protocol: '802.1q' },
  });
  const before = node.snapshot();
  const failure = toBerthError(await node.attach('c2', vlan()).catch((error: unknown) => error));
  assert.is(failure.reason, 'vlan-in-use');
  assert.match(failure.message, /link eth1\.7 of the node/);
  node.world.destroySandbox('/run/netns/c2');
  assert.is(node.snapshot(), before);
});

test.run();
