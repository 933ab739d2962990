/** The attachment engine with real virtual functions (igb, igbvf), read back with iproute2. */
import { existsSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { VfLinkSpec } from '../../../src/engine/attachments/model.ts';
import type { MacAddress, PciAddress } from '../../../src/engine/values.ts';
import { ip } from '../../kernel/own-namespace.ts';
import { hasSriov, requireFeature } from '../../runner/features.ts';
import { createLabNode, type LabNode, type ShownVf } from './vf-node.ts';

const PF = 'eth1';
const MAC = '02:00:00:00:be:11' as MacAddress;

const test = suite<{ node: LabNode }>('VFs on igb', { node: undefined as never });

function vf(node: LabNode, index: number, spec: Partial<VfLinkSpec> = {}): VfLinkSpec {
  return { kind: 'vf', device: node.vfs[index] as PciAddress, ...spec };
}

function settingsOf(node: LabNode, index: number): ShownVf {
  const found = node.link(PF).vfinfo_list?.find((entry) => entry.vf === index);
  assert.ok(found);
  return found;
}

if (requireFeature('SR-IOV', hasSriov())) {
  test.before.each(async (context) => {
    context.node = await createLabNode(PF, 3);
  });
  test.after.each((context) => context.node.remove());

  test('ADD applies every setting that igb has and moves the VF; DEL brings back the baseline', async ({ node }) => {
    const before = node.baseline();
    const result = await node.attach(
      'a',
      vf(node, 0, { vlan: 100, vlanQos: 3, spoofCheck: false, trust: true, mac: MAC, mtu: 1400 }),
      {
        type: 'static',
        addresses: [{ address: '10.9.0.2/24', gateway: '10.9.0.1' }],
        routes: [{ dst: '0.0.0.0/0' }],
        dns: {},
      },
    );
    assert.equal([result.mac, result.mtu, result.pci, result.hasNetdev], [MAC, 1400, node.vfs[0], true]);
    const settings = settingsOf(node, 0);
    assert.equal(
      [
        settings.address,
        settings.spoofchk,
        settings.trust,
        settings.vlan_list?.[0]?.vlan,
        settings.vlan_list?.[0]?.qos,
      ],
      [MAC, false, true, 100, 3],
    );
    const link = node.link('net1', 'a');
    assert.equal([link.address, link.mtu], [MAC, 1400]);
    assert.ok(link.addr_info?.some((entry) => entry.local === '10.9.0.2'));
    assert.ok(node.show(['route', 'show'], 'a').some((route) => route.dst === 'default'));
    await node.detach('a');
    assert.is(node.baseline(), before);
    assert.equal(node.linkNames('a'), ['lo']);
    await node.detach('a');
    assert.is(node.baseline(), before);
  });

  test('a used VF takes another MAC, again and again', async ({ node }) => {
    const before = node.baseline();
    for (const last of ['21', '22', '23']) {
      const mac = `02:00:00:00:be:${last}` as MacAddress;
      const result = await node.attach('a', vf(node, 0, { mac }));
      assert.is(result.mac, mac);
      assert.is(settingsOf(node, 0).address, mac);
      assert.is(node.link('net1', 'a').address, mac);
      await node.detach('a');
    }
    // From the first use on igb lists the VF's own MAC where it listed none: the rest is the baseline.
    assert.is(withoutListedMac(node.baseline()), withoutListedMac(before));
  });

  test('what a pod switched on to hear everything ends with it: by DEL, without one, and for the next pod', async ({
    node,
  }) => {
    const before = node.baseline();
    const modes = (name: string, ...sandbox: string[]) =>
      node.link(name, ...sandbox).flags.filter((flag) => flag === 'PROMISC' || flag === 'ALLMULTI');
    const listen = (...at: string[]) => ip(...at, 'promisc', 'on', 'allmulticast', 'on');
    await node.attach('a', vf(node, 0));
    listen('-n', basename(node.sandboxPath('a')), 'link', 'set', 'net1');
    assert.equal(modes('net1', 'a'), ['ALLMULTI', 'PROMISC']);
    await node.detach('a');
    assert.is(node.baseline(), before);

    await node.attach('b', vf(node, 0));
    listen('-n', basename(node.sandboxPath('b')), 'link', 'set', 'net1');
    await node.endSandbox('b');
    const address = node.vfs[0] as PciAddress;
    while ((await node.kernel.pciFunction(address))?.ifname === undefined) await delay(20);
    await node.engine.onDeviceHome(address);
    assert.is(node.baseline(), before);

    const home = (await node.kernel.pciFunction(address))?.ifname ?? '';
    listen('link', 'set', home);
    assert.equal(modes(home), ['ALLMULTI', 'PROMISC']);
    await node.attach('c', vf(node, 0));
    assert.equal(modes('net1', 'c'), []);
    await node.detach('c');
    assert.is(node.baseline(), before);
  });

  test('a VF whose alternative name is that of its pod, or its own, gets it all the same', async ({ node }) => {
    const before = node.baseline();
    const address = node.vfs[0] as PciAddress;
    const home = (await node.kernel.pciFunction(address))?.ifname ?? '';
    ip('link', 'property', 'add', 'dev', home, 'altname', 'net1', 'altname', 'enp0s9f7');
    await node.attach('a', vf(node, 0));
    assert.equal(node.link('net1', 'a').altnames, ['enp0s9f7']);
    ip('-n', basename(node.sandboxPath('a')), 'link', 'property', 'add', 'dev', 'net1', 'altname', home);
    await node.detach('a');
    assert.is(node.baseline(), before);

    await node.attach('b', vf(node, 0));
    ip('-n', basename(node.sandboxPath('b')), 'link', 'property', 'add', 'dev', 'net1', 'altname', home);
    await node.endSandbox('b');
    while ((await node.kernel.pciFunction(address))?.ifname === undefined) await delay(20);
    await node.engine.onDeviceHome(address);
    assert.is(node.baseline(), before);
    ip('link', 'property', 'del', 'dev', home, 'altname', 'enp0s9f7');
  });

  const refused: readonly [string, Partial<VfLinkSpec>][] = [
    ['VLAN protocol 802.1ad', { vlan: 5, vlanProto: '802.1ad' }],
    ['a minimum rate', { minTxRateMbps: 10 }],
    ['a link state', { linkState: 'enable' }],
  ];
  for (const [what, spec] of refused) {
    test(`${what}, which igb refuses, is an error with the driver's words, and leaves the baseline`, async ({
      node,
    }) => {
      const before = node.baseline();
      const failure = await node.refusal('a', vf(node, 1, { vlan: 7, mac: MAC, trust: true, ...spec }));
      assert.is(failure.reason, 'vf-setting-refused');
      assert.match(failure.message, /eth1 refused .* for VF 0000:/);
      assert.is(node.baseline(), before);
      assert.equal(node.engine.list(), []);
    });
  }

  test("a sandbox that dies without DEL: both VFs come home under their pods' name and are restored", async ({
    node,
  }) => {
    const before = node.baseline();
    await node.attach('a', vf(node, 0, { vlan: 9, mac: MAC }));
    await node.attach('b', vf(node, 1, { vlan: 10 }));
    await node.endSandbox('a');
    await node.endSandbox('b');
    // The kernel frees the nsid first and hands the devices back a moment later; the agent is told then.
    for (const address of node.vfs.slice(0, 2)) {
      while ((await node.kernel.pciFunction(address))?.ifname === undefined) await delay(20);
      await node.engine.onDeviceHome(address);
    }
    assert.equal(node.engine.list(), []);
    assert.is(node.baseline(), before);
  });

  test('a successor restores a VF whose sandbox died while no agent ran', async ({ node }) => {
    const before = node.baseline();
    await node.attach('a', vf(node, 2, { vlan: 9, mac: MAC, mtu: 1300 }));
    await node.endSandbox('a');
    const report = await node.restart().recover();
    assert.equal(report.restored, ['a@net1']);
    assert.is(node.baseline(), before);
  });

  test('a VF on vfio-pci gets its PF-side settings and no interface', async ({ node }) => {
    const address = node.vfs[2] as PciAddress;
    await bind(address, 'vfio-pci');
    const before = JSON.stringify(settingsOf(node, 2));
    const result = await node.attach('a', vf(node, 2, { vlan: 33, mac: MAC, trust: true }));
    assert.is(result.hasNetdev, false);
    assert.equal([settingsOf(node, 2).address, settingsOf(node, 2).vlan_list?.[0]?.vlan], [MAC, 33]);
    await node.detach('a');
    assert.is(JSON.stringify(settingsOf(node, 2)), before);
  });

  test('two sandboxes reach each other through their VFs', async ({ node }) => {
    const addressing = (address: string) =>
      ({ type: 'static', addresses: [{ address }], routes: [], dns: {} }) as const;
    await node.attach('a', vf(node, 0, { mac: MAC }), addressing('10.9.0.2/24'));
    await node.attach('b', vf(node, 1), addressing('10.9.0.3/24'));
    // NTF_USE makes the kernel resolve the neighbour: an ARP answer proves both ways. Until the VFs
    // have carrier, which takes seconds, there is none.
    const until = Date.now() + 30_000;
    while (!answered(node, '10.9.0.3')) {
      assert.ok(Date.now() < until, 'no answer through the VFs');
      node.show(['neigh', 'replace', '10.9.0.3', 'dev', 'net1', 'use'], 'a');
      await delay(200);
    }
  });
}

function answered(node: LabNode, neighbour: string): boolean {
  const known = node.show(['neigh', 'show', 'dev', 'net1'], 'a').find((entry) => entry.dst === neighbour);
  return known?.lladdr !== undefined;
}

function withoutListedMac(baseline: string): string {
  const parsed = JSON.parse(baseline) as { settings: Record<string, unknown>[]; homes: unknown };
  return JSON.stringify({ ...parsed, settings: parsed.settings.map(({ address: _address, ...rest }) => rest) });
}

async function bind(address: PciAddress, driver: string): Promise<void> {
  const device = `/sys/bus/pci/devices/${address}`;
  writeFileSync(`${device}/driver_override`, driver);
  writeFileSync(`${device}/driver/unbind`, address);
  writeFileSync('/sys/bus/pci/drivers_probe', address);
  while (!existsSync(`/sys/bus/pci/drivers/${driver}/${address}`)) await delay(50);
}

test.run();
