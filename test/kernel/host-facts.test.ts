/** What the live kernel tells of links, against what the test made. */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { parseIfName, parsePciAddress } from '../../src/engine/values.ts';
import { createHostFacts } from '../../src/linux/netlink/host-facts.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { ip, ipBatch, leaveMachine } from './own-namespace.ts';

if (
  requireFeature('root', isRoot()) &&
  requireFeature('veth', hasLinkKind('veth')) &&
  requireFeature('bridge', hasLinkKind('bridge'))
) {
  leaveMachine();
  ip('link', 'add', 'br0', 'type', 'bridge');
  ip('link', 'set', 'up1', 'master', 'br0');
  ip('link', 'property', 'add', 'dev', 'up0', 'altname', 'uplink-of-the-test');
  ip('addr', 'add', '10.9.0.2/24', 'dev', 'up0');
  ip('addr', 'add', 'fd00:9::2/64', 'dev', 'up0', 'nodad');
  ip('route', 'add', 'default', 'via', '10.9.0.1');
  const facts = createHostFacts();

  test('links are listed with kind, master and names', async () => {
    const links = await facts.links();
    const byName = new Map(links.map((link) => [String(link.name), link]));
    assert.deepEqual([...byName.keys()].sort(), ['br0', 'lo', 'up0', 'up1']);
    assert.equal(byName.get('br0')?.kind, 'bridge');
    assert.equal(byName.get('up1')?.masterIndex, byName.get('br0')?.index);
    assert.equal(byName.get('up1')?.slaveKind, 'bridge');
    assert.deepEqual(byName.get('up0')?.altnames, ['uplink-of-the-test']);
    assert.equal(byName.get('up0')?.adminUp, true);
    assert.equal(byName.get('lo')?.hardwareType, 772);
    assert.equal(byName.get('lo')?.kind, undefined);
  });

  test('addresses and interfaces with a default route are listed', async () => {
    const up0 = (await facts.links()).find((link) => link.name === 'up0')?.index;
    const addresses = (await facts.addresses()).filter((address) => address.ifindex === up0);
    assert.ok(addresses.some(({ address, scope }) => address === '10.9.0.2/24' && scope === 'global'));
    assert.ok(addresses.some(({ address, family }) => address === 'fd00:9::2/64' && family === 6));
    assert.deepEqual([...(await facts.defaultRouteInterfaces())], [up0]);
  });

  test('a driver tells its name; an interface that is gone tells nothing', async () => {
    assert.equal((await facts.driverInfo(parseIfName('up0')))?.driver, 'veth');
    assert.equal(await facts.driverInfo(parseIfName('nobody')), undefined);
  });

  test('queues and offloads of an interface are told; what its driver does not offer is absent', async () => {
    const links = new Map((await facts.links()).map((link) => [String(link.name), link.index]));
    const told = await facts.ethtool(links.get('up0') ?? 0);
    assert.ok((told.queues?.combined ?? told.queues?.rx ?? 0) >= 1, JSON.stringify(told.queues));
    assert.ok((told.queues?.combinedMax ?? told.queues?.rxMax ?? 0) >= 1);
    assert.ok(told.offloads?.includes('tx-checksum-ip-generic'), told.offloads?.join());
    assert.equal((await facts.ethtool(links.get('br0') ?? 0)).queues, undefined);
    assert.deepEqual(await facts.ethtool(987_654), {});
  });

  test('queues of all interfaces are told at once, the same as of each', async () => {
    const links = new Map((await facts.links()).map((link) => [String(link.name), link.index]));
    const up0 = links.get('up0') ?? 0;
    const all = await facts.queues();
    assert.ok((all.get(up0)?.queues?.combined ?? all.get(up0)?.queues?.rx ?? 0) >= 1, JSON.stringify([...all]));
    assert.deepEqual(all.get(up0)?.queues, (await facts.ethtool(up0)).queues);
    assert.equal(all.has(links.get('br0') ?? 0), false);
  });

  test('a link without VFs and a device without devlink tell nothing', async () => {
    const up0 = (await facts.links()).find((link) => link.name === 'up0')?.index ?? 0;
    assert.equal(await facts.vfList(up0), undefined);
    assert.equal(await facts.vfList(987_654), undefined);
    assert.equal(await facts.vfCounters(up0), undefined);
    assert.equal(await facts.eswitchMode(parsePciAddress('ffff:ff:1f.7')), undefined);
    assert.equal(await facts.devlinkInfo(parsePciAddress('ffff:ff:1f.7')), undefined);
  });

  test('300 links are listed, each once', async () => {
    ipBatch(Array.from({ length: 150 }, (_, i) => `link add many${i} type veth peer name other${i}`));
    const listed = (await facts.links()).map((link) => link.name).filter((name) => /^(many|other)/.test(name));
    assert.equal(listed.length, 300);
    assert.equal(new Set(listed).size, 300);
  });

  test.after(() => facts.close());
}

test.run();
