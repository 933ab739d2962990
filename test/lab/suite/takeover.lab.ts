/**
 * Pods that sriov-cni, ipvlan and vlan of the Go plugins attached before the switch, on real VFs and
 * links; and what is left of attachments when a PF's driver is loaded anew.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type PciAddress, parseContainerId, parseIfName, parseNetworkName } from '../../../src/engine/values.ts';
import { ip } from '../../kernel/own-namespace.ts';
import { hasSriov, requireFeature } from '../../runner/features.ts';
import { sriovCniCache } from '../../standins/sriov-cni.ts';
import { createLabNode, type LabNode } from './vf-node.ts';

const PF = 'eth1';
const MAC = '02:00:00:00:be:71';
const PEERS = '/usr/lib/cni';
const test = suite<{ node: LabNode }>('takeover in the lab', undefined as never);
const never = new AbortController().signal;

const keyOf = (container: string) => ({ containerId: parseContainerId(container), ifname: parseIfName('net1') });

/** What sriov-cni's ADD does to VF 0, in its order, and what it writes. */
function addedBySriovCni(node: LabNode, container: string): void {
  const device = node.vfs[0] as PciAddress;
  const [name = ''] = readdirSync(`/sys/bus/pci/devices/${device}/net`);
  const path = node.sandboxPath(container);
  const admin = node.link(PF).vfinfo_list?.[0]?.address ?? '';
  const original = { HostIFName: name, EffectiveMAC: node.link(name).address, AdminMAC: admin };
  ip('link', 'set', name, 'address', MAC);
  ip('link', 'set', PF, 'vf', '0', 'vlan', '55');
  ip('link', 'set', PF, 'vf', '0', 'trust', 'on');
  ip('link', 'set', name, 'netns', path.split('/').at(-1) ?? '');
  ip('-n', path.split('/').at(-1) ?? '', 'link', 'set', name, 'name', 'net1');
  ip('-n', path.split('/').at(-1) ?? '', 'link', 'set', 'net1', 'up');
  mkdirSync(join(node.sriovFolder, 'pci'), { recursive: true });
  const content = sriovCniCache(device, original, { vlan: 55, trust: 'on', ipam: {} });
  writeFileSync(join(node.sriovFolder, `${container}-net1`), JSON.stringify(content));
  writeFileSync(join(node.sriovFolder, 'pci', device), path);
}

function filesOf(node: LabNode): readonly string[] {
  return [...readdirSync(node.sriovFolder), ...readdirSync(join(node.sriovFolder, 'pci'))].filter(
    (name) => name !== 'pci',
  );
}

async function used(node: LabNode): Promise<string> {
  // From its first use on igb lists a VF's own MAC: the baseline is that of a used one.
  await node.attach('first', { kind: 'vf', device: node.vfs[0] as PciAddress });
  await node.detach('first');
  return node.baseline();
}

if (requireFeature('SR-IOV and containernetworking-plugins', hasSriov() && existsSync(`${PEERS}/ipvlan`))) {
  test.before.each(async (context) => {
    context.node = await createLabNode(PF, 2);
  });
  test.after.each((context) => context.node.remove());

  test("sriov-cni's VF: known at the start, and DEL brings back what its cache says", async ({ node }) => {
    const before = await used(node);
    addedBySriovCni(node, 'a');
    const report = await node.restart().recover();
    assert.equal([report.adopted, report.kept], [['a@net1'], ['a@net1']]);
    await node.detach('a');
    assert.is(node.baseline(), before);
    assert.equal(filesOf(node), []);
  });

  test("sriov-cni's VF whose sandbox died without DEL is restored, and a late DEL leaves its next owner alone", async ({
    node,
  }) => {
    const before = await used(node);
    addedBySriovCni(node, 'a');
    await node.endSandbox('a');
    const device = node.vfs[0] as PciAddress;
    while ((await node.kernel.pciFunction(device))?.ifname === undefined) await delay(20);
    const report = await node.restart().recover();
    assert.equal([report.adopted, report.restored], [['a@net1'], ['a@net1']]);
    assert.is(node.baseline(), before);
    await node.attach('b', { kind: 'vf', device, vlan: 7 });
    const predecessor = { network: parseNetworkName('net-a'), kind: 'vf' } as const;
    await node.engine.detach(keyOf('a'), undefined, { requestId: 'r', signal: never, predecessor });
    assert.equal(node.linkNames('b').includes('net1'), true);
    assert.is(node.link(PF).vfinfo_list?.[0]?.vlan_list?.[0]?.vlan, 7);
    await node.detach('b');
    assert.is(node.baseline(), before);
  });

  for (const [type, config] of [
    ['ipvlan', { master: PF, mode: 'l2' }],
    ['vlan', { master: PF, vlanId: 77 }],
  ] as const) {
    test(`${type}: what the Go plugin added is checked and deleted`, async ({ node }) => {
      const path = node.sandboxPath('a');
      const ipam = {
        type: 'host-local',
        dataDir: join(node.sriovFolder, '..', 'networks'),
        ranges: [[{ subnet: '10.88.0.0/24' }]],
      };
      const stdin = JSON.stringify({ cniVersion: '1.0.0', name: 'lan', type, ...config, ipam });
      const env = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'a', CNI_NETNS: path, CNI_IFNAME: 'net1', CNI_PATH: PEERS };
      const answer = JSON.parse(execFileSync(`${PEERS}/${type}`, { env, input: stdin, encoding: 'utf8' })) as {
        interfaces: readonly { mac: string; sandbox?: string }[];
        ips: readonly { address: string }[];
      };
      const predecessor = {
        network: parseNetworkName('lan'),
        kind: type,
        addresses: { type: 'host-local', dataDir: ipam.dataDir },
        mac: answer.interfaces.find((entry) => (entry.sandbox ?? '') !== '')?.mac,
      } as never;
      const sandbox = await node.kernel.open(path);
      assert.ok(sandbox);
      const context = { requestId: 'r', signal: never, predecessor };
      const link = { kind: type, uplink: PF } as never;
      const expected = { addresses: answer.ips.map(({ address }) => ({ address })), routes: [] };
      await node.engine.check({ key: keyOf('a'), sandbox, link, expected }, context);
      await node.engine.detach(keyOf('a'), sandbox, context);
      sandbox.close();
      assert.equal(node.linkNames('a'), ['lo']);
      assert.equal(
        readdirSync(join(ipam.dataDir, 'lan')).filter((name) => name.startsWith('10.')),
        [],
      );
    });
  }

  test("a PF's driver that is loaded anew while VFs are in pods: their records end, and the new VFs are usable", async ({
    node,
  }) => {
    await node.attach('a', { kind: 'vf', device: node.vfs[0] as PciAddress, vlan: 9 });
    await node.attach('b', { kind: 'vf', device: node.vfs[1] as PciAddress, trust: true });
    const pf = ip('-j', '-d', 'link', 'show', PF);
    const address = (JSON.parse(pf) as readonly { parentdev: string }[])[0]?.parentdev ?? '';
    const device = `/sys/bus/pci/devices/${address}`;
    writeFileSync(`${device}/driver/unbind`, address);
    writeFileSync('/sys/bus/pci/drivers/igb/bind', address);
    while (!existsSync(`/sys/class/net/${PF}/device/sriov_numvfs`)) await delay(50);
    // Kubelet ends one pod; of the other nothing is heard any more.
    await node.detach('a');
    await node.endSandbox('b');
    const report = await node.restart().recover();
    assert.equal(report.stuck, []);
    assert.equal(node.engine.list(), []);
    ip('link', 'set', PF, 'up');
    writeFileSync(`${device}/sriov_numvfs`, '0');
    writeFileSync(`${device}/sriov_numvfs`, '2');
    const again = node.vfs[0] as PciAddress;
    while ((await node.kernel.pciFunction(again))?.ifname === undefined) await delay(50);
    const before = node.link(PF).vfinfo_list?.[0]?.vlan_list?.[0]?.vlan;
    await node.attach('c', { kind: 'vf', device: again, vlan: 5 });
    await node.detach('c');
    assert.is(node.link(PF).vfinfo_list?.[0]?.vlan_list?.[0]?.vlan, before);
  });
}

test.run();
