/** A device of the node that one sandbox gets whole: every way to name it, and the way back from everywhere. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { HostDeviceName } from '../../../src/engine/attachments/model.ts';
import { toBerthError } from '../../../src/engine/errors.ts';
import type { MacAddress, PciAddress } from '../../../src/engine/values.ts';
import { createPodNode, hostDevice, macvlan, type PodNode, vf } from '../../standins/attachment-node.ts';
import { linkOf, type WorldLink } from '../../standins/fake-world.ts';

const test = suite('host devices');

const PATH = '/sys/devices/platform/nic';
const PCI = '0000:51:00.0' as PciAddress;
const MAC = '02:aa:00:00:00:51' as MacAddress;

/** `nic0`, with everything that a node may have configured on a device. */
function withDevice(node: PodNode, fields: Partial<WorldLink> = {}): WorldLink {
  const link = node.world.addLink(node.world.host, {
    name: 'nic0',
    altnames: ['storage'],
    mac: MAC,
    permanentMac: MAC,
    mtu: 9000,
    up: true,
    carrier: true,
    alias: 'rack 7',
    addresses: [{ address: '198.51.100.7/24', family: 4, scope: 'global', tentative: false, dadFailed: false }],
    routes: [{ dst: '203.0.113.0/24', gateway: '198.51.100.1' }],
    ...fields,
  });
  node.world.devicePaths.set(PATH, link);
  node.world.devicePaths.set('/sys/bus/auxiliary/devices/mlx5_core.sf.2', link);
  return link;
}

const names: readonly (readonly [string, HostDeviceName, Partial<WorldLink>])[] = [
  ['its name', { by: 'name', name: 'nic0' }, {}],
  ['an alternative name', { by: 'name', name: 'storage' }, {}],
  ['its hardware address', { by: 'hwaddr', mac: MAC }, {}],
  ['its path', { by: 'kernelpath', path: PATH }, {}],
  ['its auxiliary device', { by: 'auxiliary', id: 'mlx5_core.sf.2' }, {}],
  ['its PCI address', { by: 'pci', address: PCI }, { pci: PCI }],
  ['its name, on PCI', { by: 'name', name: 'nic0' }, { pci: PCI }],
];

for (const [what, name, fields] of names) {
  test(`named by ${what}: it goes into the sandbox, and comes back as it was`, async () => {
    const node = createPodNode();
    const link = withDevice(node, fields);
    const before = node.snapshot();
    const result = await node.attach('c1', hostDevice(name));
    assert.is(node.world.namespaceOf(link), node.world.paths.get('/run/netns/c1'));
    assert.equal([link.name, link.up, result.mac, result.pci], ['net1', true, MAC, fields.pci]);
    await node.detach('c1');
    assert.equal(link.routes, [{ dst: '203.0.113.0/24', gateway: '198.51.100.1' }]);
    node.world.destroySandbox('/run/netns/c1');
    assert.is(node.snapshot(), before);
  });

  test(`named by ${what}: a new sandbox of the same pod gets it from the old one`, async () => {
    const node = createPodNode();
    const link = withDevice(node, fields);
    const pod = { namespace: 'a', name: 'p' };
    await node.attach('c1', hostDevice(name), { pod });
    await node.attach('c2', hostDevice(name), { pod });
    assert.is(node.world.namespaceOf(link), node.world.paths.get('/run/netns/c2'));
    await node.detach('c1');
    assert.is(link.name, 'net1');
  });

  test(`named by ${what}: another pod is refused while it is held`, async () => {
    const node = createPodNode();
    withDevice(node, fields);
    await node.attach('c1', hostDevice(name), { pod: { namespace: 'a', name: 'p' } });
    const failure = toBerthError(
      await node.attach('c2', hostDevice(name), { pod: { namespace: 'a', name: 'q' } }).catch((e: unknown) => e),
    );
    assert.is(failure.reason, 'device-held');
  });
}

test('it comes home from a sandbox that died, under whatever name, and is restored', async () => {
  for (const fields of [{}, { pci: PCI }]) {
    const node = createPodNode();
    withDevice(node, fields);
    const before = node.snapshot();
    await node.attach('c1', hostDevice());
    const nsid = node.world.destroySandbox('/run/netns/c1');
    await node.engine.onNamespaceGone(nsid as number);
    assert.is(node.snapshot(), before);
  }
});

test('one that came home without DEL is seen by a collection, and restored', async () => {
  const node = createPodNode();
  const link = withDevice(node, { pci: PCI });
  const before = node.snapshot();
  await node.attach('c1', hostDevice());
  // What a program with the right to do so in the pod can do as well.
  node.world.paths.get('/run/netns/c1')?.links.delete(link.index);
  node.world.host.links.set(link.index, link);
  Object.assign(link, { up: false, addresses: [], routes: [] });
  const report = await node.engine.collectGarbage(false);
  assert.match(JSON.stringify(report), /has come home without DEL/);
  node.world.destroySandbox('/run/netns/c1');
  assert.is(node.snapshot(), before);
});

test('a link that software made dies with its sandbox, and nothing is waited for', async () => {
  const node = createPodNode();
  withDevice(node, { kind: 'veth' });
  await node.attach('c1', hostDevice());
  const nsid = node.world.destroySandbox('/run/netns/c1');
  await node.engine.onNamespaceGone(nsid as number);
  assert.equal(node.engine.list(), []);
});

test('a foreign device with its old name is left alone; ours comes home under another', async () => {
  const node = createPodNode();
  const link = withDevice(node);
  await node.attach('c1', hostDevice());
  const foreign = node.world.addLink(node.world.host, { name: 'nic0', alias: 'rack 7', mtu: 1400 });
  await node.detach('c1');
  assert.equal([foreign.name, foreign.mtu, foreign.alias], ['nic0', 1400, 'rack 7']);
  assert.equal([link.name, link.mtu, node.engine.list()], ['nic1', 9000, []]);
});

test('on a userspace driver nothing is moved, and addresses are reserved', async () => {
  const node = createPodNode();
  const device = node.device(1);
  device.driver = 'vfio-pci';
  node.world.host.links.delete(linkOf(device).index);
  delete device.link;
  const before = node.snapshot();
  const result = await node.attach('c1', hostDevice({ by: 'pci', address: device.address }));
  assert.equal([result.hasNetdev, result.pci, result.addresses.length], [false, device.address, 1]);
  await node.detach('c1');
  node.world.destroySandbox('/run/netns/c1');
  assert.is(node.snapshot(), before);
});

test('a VF that one pod has as a VF is not given to another as a host device', async () => {
  const node = createPodNode();
  const device = node.device(1);
  await node.attach('c1', vf(device));
  const failure = toBerthError(
    await node.attach('c2', hostDevice({ by: 'pci', address: device.address })).catch((e: unknown) => e),
  );
  assert.is(failure.reason, 'device-held');
});

const refusals: readonly (readonly [string, (node: PodNode) => HostDeviceName, string])[] = [
  ['a name that nothing has', () => ({ by: 'name', name: 'eth9' }), 'device-not-on-node'],
  ['a PCI address that nothing has', () => ({ by: 'pci', address: '0000:99:00.0' as PciAddress }), 'device-gone'],
  ['the device of the default route', () => ({ by: 'name', name: 'eth0' }), 'device-in-use'],
  [
    'a device that is enslaved',
    (node) => {
      withDevice(node).masterIndex = 2;
      return { by: 'name', name: 'nic0' };
    },
    'device-in-use',
  ],
];

for (const [what, name, reason] of refusals) {
  test(`refused before anything changes: ${what}`, async () => {
    const node = createPodNode();
    const device = name(node);
    node.world.addSandbox('/run/netns/c1');
    const before = node.snapshot();
    const failure = toBerthError(await node.attach('c1', hostDevice(device)).catch((e: unknown) => e));
    assert.is(failure.reason, reason);
    assert.is(node.snapshot(), before);
  });
}

test('CHECK sees that the interface is another one', async () => {
  const node = createPodNode();
  const link = withDevice(node);
  const result = await node.attach('c1', hostDevice());
  const key = node.engine.list()[0];
  const sandbox = node.openSandbox('c1');
  assert.ok(key);
  const check = () =>
    node.engine.check(
      { key, sandbox, link: hostDevice(), expected: result } as never,
      { requestId: 'r', signal: new AbortController().signal } as never,
    );
  await check();
  link.name = 'gone' as never;
  node.world.addLink(sandbox.state, { name: 'net1', kind: 'veth' });
  const failure = toBerthError(await check().catch((e: unknown) => e));
  assert.match(failure.message, /net1 is a veth, not a physical link/);
  sandbox.close();
});

test('macvlan pods and a host device do not meet', async () => {
  const node = createPodNode();
  withDevice(node);
  await node.attach('c1', macvlan());
  await node.attach('c2', hostDevice());
  assert.is(node.engine.list().length, 2);
});

test.run();
