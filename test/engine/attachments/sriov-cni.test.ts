/** VFs that sriov-cni gave to pods before the switch: taken over, checked, deleted, collected; and what is not its own. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AttachmentKey } from '../../../src/engine/attachments/model.ts';
import { toBerthError } from '../../../src/engine/errors.ts';
import { type MacAddress, parseContainerId, parseIfName, parseNetworkName } from '../../../src/engine/values.ts';
import { createPodNode, DATA_DIR, type PodNode, vf } from '../../standins/attachment-node.ts';
import { linkOf, settingsOf, type WorldVf } from '../../standins/fake-world.ts';
import { sriovCniCache } from '../../standins/sriov-cni.ts';

const test = suite('VFs of sriov-cni');
const never = new AbortController().signal;
const MAC = '02:aa:bb:cc:dd:01' as MacAddress;
const predecessor = {
  network: parseNetworkName('net-a'),
  kind: 'vf',
  addresses: { type: 'host-local', dataDir: DATA_DIR },
} as const;

function keyOf(container: string): AttachmentKey {
  return { containerId: parseContainerId(container), ifname: parseIfName('net1') };
}

/** What the plugin's ADD leaves: settings, the VF in the sandbox, an address, its files. */
function addedByPlugin(node: PodNode, container: string, device: WorldVf, writtenAtMs = 1000): void {
  const path = `/run/netns/${container}`;
  const link = linkOf(device);
  const original = {
    HostIFName: link.name,
    EffectiveMAC: link.mac ?? '',
    AdminMAC: settingsOf(device).mac ?? '',
  };
  Object.assign(settingsOf(device), { vlan: 100, trust: true, mac: MAC });
  const sandbox = node.world.paths.get(path) ?? node.world.addSandbox(path);
  node.world.host.links.delete(link.index);
  sandbox.links.set(link.index, link);
  Object.assign(link, { name: 'net1', mac: MAC, up: true, arpNotify: true, alias: undefined });
  node.reservations.folder(`${DATA_DIR}/net-a`).reserve('10.1.0.9', `${container}\r\nnet1`);
  link.addresses.push({ address: '10.1.0.9/24', family: 4, scope: 'global', tentative: false, dadFailed: false });
  node.sriovCni.write(
    keyOf(container),
    sriovCniCache(device.address, original, { vlan: 100, trust: 'on' }),
    writtenAtMs,
  );
  node.sriovCni.claims.set(device.address, path);
}

/** The node apart from sandboxes, whose own links are not of interest here. */
function nodeOnly(node: PodNode): string {
  return node
    .snapshot()
    .split('\n')
    .filter((line) => !line.startsWith('/run/netns') && !line.startsWith('records'))
    .join('\n');
}

function detach(node: PodNode, container: string): Promise<void> {
  return node.detach(container, { predecessor });
}

test('at its start the agent knows them, and DEL brings back what was before', async () => {
  const node = createPodNode();
  const before = nodeOnly(node);
  addedByPlugin(node, 'c1', node.device(1));
  const report = await node.restart().recover();
  assert.equal(report.adopted, ['c1@net1']);
  assert.equal(report.kept, ['c1@net1']);
  const [row] = node.engine.list();
  assert.equal([row?.device, row?.state, row?.addresses], [node.device(1).address, 'attached', ['10.1.0.9/24']]);
  await node.detach('c1');
  assert.is(nodeOnly(node), before);
  assert.equal([node.sriovCni.files.size, node.sriovCni.claims.size], [0, 0]);
  assert.is(node.kernel.openHandles, 0);
});

test('one that was added while the agent ran is known when its DEL comes', async () => {
  const node = createPodNode();
  const before = nodeOnly(node);
  addedByPlugin(node, 'c1', node.device(1));
  await detach(node, 'c1');
  assert.is(nodeOnly(node), before);
  assert.is(node.sriovCni.files.size, 0);
  await detach(node, 'c1');
  assert.is(nodeOnly(node), before);
});

test('CHECK compares it like one of our own', async () => {
  const node = createPodNode();
  addedByPlugin(node, 'c1', node.device(1));
  const sandbox = node.openSandbox('c1');
  const request = {
    key: keyOf('c1'),
    sandbox,
    link: vf(node.device(1)),
    expected: { mac: MAC, addresses: [{ address: '10.1.0.9/24' }], routes: [] },
  };
  const check = () => node.engine.check(request, { requestId: 'r', signal: never, predecessor });
  await check();
  settingsOf(node.device(1)).vlan = 5;
  const error = toBerthError(await check().catch((thrown: unknown) => thrown));
  sandbox.close();
  assert.is(error.reason, 'attachment-changed');
  assert.match(error.message, 'vlan');
});

test('a sandbox that died before the switch: the VF came home under its pod name and is restored', async () => {
  const node = createPodNode();
  const before = nodeOnly(node);
  addedByPlugin(node, 'c1', node.device(1));
  node.world.destroySandbox('/run/netns/c1');
  assert.is(linkOf(node.device(1)).name, 'net1');
  const report = await node.restart().recover();
  assert.equal([report.adopted, report.restored], [['c1@net1'], ['c1@net1']]);
  assert.is(nodeOnly(node), before);
  assert.equal([node.sriovCni.files.size, node.sriovCni.claims.size], [0, 0]);
});

test('a sandbox that dies after the switch without DEL is collected', async () => {
  const node = createPodNode();
  const before = nodeOnly(node);
  addedByPlugin(node, 'c1', node.device(1));
  await node.restart().recover();
  node.world.destroySandbox('/run/netns/c1');
  await node.engine.onDeviceHome(node.device(1).address);
  assert.is(nodeOnly(node), before);
  assert.equal(node.engine.list(), []);
});

test('a late DEL of an earlier owner whose cache stayed does not touch the VF of the present one', async () => {
  const node = createPodNode();
  addedByPlugin(node, 'c2', node.device(1), 2000);
  node.sriovCni.write(
    keyOf('c1'),
    sriovCniCache(node.device(1).address, { HostIFName: 'old', EffectiveMAC: '', AdminMAC: '' }),
    1000,
  );
  const running = node.snapshot();
  for (const adoptFirst of [false, true]) {
    if (adoptFirst) assert.equal((await node.restart().recover()).adopted, ['c2@net1']);
    const now = node.snapshot();
    await detach(node, 'c1');
    assert.is(node.snapshot(), now);
  }
  assert.is(node.snapshot().replace(/^records.*$/m, ''), running.replace(/^records.*$/m, ''));
  assert.equal([...node.sriovCni.files.keys()], ['c2-net1']);
});

test('a late DEL of sriov-cni’s pod whose VF Berth has given to another pod touches nothing', async () => {
  const node = createPodNode();
  addedByPlugin(node, 'c1', node.device(1));
  node.world.destroySandbox('/run/netns/c1');
  await node.restart().recover();
  await node.attach('c2', vf(node.device(1)));
  const running = node.snapshot();
  await detach(node, 'c1');
  assert.is(node.snapshot(), running);
});

test('a VF that is home under its own name, and caches that are none, are left alone', async () => {
  const node = createPodNode();
  const device = node.device(1);
  node.sriovCni.write(
    keyOf('c1'),
    sriovCniCache(device.address, { HostIFName: linkOf(device).name, EffectiveMAC: MAC, AdminMAC: MAC }),
    1,
  );
  for (const [container, json] of [
    ['c2', undefined],
    ['c3', { deviceID: '../../etc' }],
    ['c4', { deviceID: '0000:99:10.0', OrigVfState: { HostIFName: 'x' } }],
    ['c5', []],
  ] as const)
    node.sriovCni.write(keyOf(container), json, 2);
  const before = node.snapshot();
  assert.equal((await node.restart().recover()).adopted, []);
  for (const container of ['c1', 'c2', 'c3', 'c4', 'c5']) await detach(node, container);
  assert.is(node.snapshot(), before);
  assert.is(node.sriovCni.files.size, 5);
});

test('a VF of sriov-cni in a living pod is not given to another', async () => {
  const node = createPodNode();
  addedByPlugin(node, 'c1', node.device(1));
  await node.restart().recover();
  const error = toBerthError(await node.attach('c2', vf(node.device(1))).catch((thrown: unknown) => thrown));
  assert.is(error.reason, 'device-held');
});

test.run();
