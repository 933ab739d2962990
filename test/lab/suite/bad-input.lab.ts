/**
 * Bad input for VFs, ipvlans and VLANs, through the shim and a running agent to real drivers: what is
 * wrong is said, and VFs, uplinks and sandboxes are as they were. `test/agent/bad-input.test.ts` has
 * what needs no lab.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ip } from '../../kernel/own-namespace.ts';
import { hasSriov, requireFeature } from '../../runner/features.ts';
import { type AgentNode, createAgentNode } from '../../standins/agent-node.ts';
import { executePlugin, inSandbox, type Json, linkNames, PluginFailure } from '../../standins/plugin-chain.ts';
import { createLabNode, type LabNode } from './vf-node.ts';

const PF = 'eth0';
const UPLINK = 'eth1';

const test = suite<{ lab: LabNode; node: AgentNode }>('bad input in the lab');

type Case = readonly [what: string, config: Json, code: number, says: RegExp];

/** Put over `{ type: 'sriov', deviceID: <the first VF> }`. */
const VF: readonly Case[] = [
  ['a VLAN beyond the last', { vlan: 4095 }, 7, /vlan: .*4095/],
  ['a VLAN that is a word', { vlan: '100' }, 7, /vlan: .*"100"/],
  ['a priority without a VLAN', { vlanQoS: 3 }, 7, /vlanQoS: 3 needs a vlan/],
  ['802.1ad without a VLAN', { vlanProto: '802.1AD' }, 7, /vlanProto: 802\.1ad needs a vlan/],
  ['802.1ad, which igb does not have', { vlan: 5, vlanProto: '802.1ad' }, 102, /refused VLAN .*802\.1ad/],
  ['a least rate above the rate', { min_tx_rate: 100, max_tx_rate: 50 }, 7, /min_tx_rate: 100 is above max_tx_rate 50/],
  ['a rate beyond the link', { max_tx_rate: 4_000_000_000 }, 7, /max_tx_rate 4000000000 is not in/],
  ['trust in capitals', { trust: 'ON' }, 7, /trust: .*"ON"/],
  ['a link state that is none', { link_state: 'up' }, 7, /link_state: .*"up"/],
  ['a group address', { mac: '01:00:5e:00:00:01' }, 7, /mac: .*group address/],
  ['an MTU that igbvf does not take', { mtu: 60_000 }, 7, /cannot have mtu 60000/],
  ['a limit for what a pod receives', { runtimeConfig: { bandwidth: { ingressRate: 1_000_000 } } }, 2, /ingressRate/],
  ['a limit below a megabit', { runtimeConfig: { bandwidth: { egressRate: 5 } } }, 7, /below 1 Mbit\/s/],
  ['a GUID for an Ethernet VF', { runtimeConfig: { infinibandGUID: '02:00:00:00:00:00:00:0a' } }, 102, /GUID/],
  ['isolation without an RDMA device', { rdmaIsolation: true }, 102, /RDMA/],
  ['a PF', { deviceID: 'PF' }, 7, /is not an SR-IOV virtual function/],
  ['a VF that is not there', { deviceID: '0000:ff:10.0' }, 101, /no PCI device/],
  ['half an address', { deviceID: '41:10.0' }, 7, /is not the PCI address of a VF/],
  [
    'a gateway that nobody reaches, when all else is done',
    {
      vlan: 12,
      ipam: { type: 'static', addresses: [{ address: '10.1.0.2/24' }], routes: [{ dst: '0.0.0.0/0', gw: '10.2.0.1' }] },
    },
    7,
    /ENETUNREACH/,
  ],
];

const ON_UPLINK: readonly Case[] = [
  ['a mode that ipvlan does not have', { type: 'ipvlan', mode: 'bridge' }, 7, /mode: "bridge" is none of l2, l3, l3s/],
  ['a flag that ipvlan does not have', { type: 'ipvlan', flag: 'l3' }, 7, /flag: "l3" is none of/],
  ['a MAC for an ipvlan', { type: 'ipvlan', mac: '02:00:00:00:00:01' }, 2, /share the hardware address/],
  ['an MTU above that of the uplink', { type: 'ipvlan', mtu: 9000 }, 7, /more than the 1500 of eth1/],
  [
    'an ipvlan on a master of the pod that is not there',
    { type: 'ipvlan', linkInContainer: true },
    101,
    /sandbox has no interface/,
  ],
  ['a VLAN without a number', { type: 'vlan' }, 7, /vlanId: it is missing/],
  ['a VLAN beyond the last, under another spelling', { type: 'vlan', vlanID: 4095 }, 7, /vlanId: .*4095/],
  [
    'a VLAN with an MTU above that of the uplink',
    { type: 'vlan', vlanId: 5, mtu: 9000 },
    7,
    /more than the 1500 of eth1/,
  ],
  [
    'a VLAN with a gateway that nobody reaches',
    {
      type: 'vlan',
      vlanId: 5,
      ipam: { type: 'static', addresses: [{ address: '10.1.0.2/24' }], routes: [{ dst: '0.0.0.0/0', gw: '10.2.0.1' }] },
    },
    7,
    /ENETUNREACH/,
  ],
  [
    'a shared VLAN with a gateway that nobody reaches',
    {
      type: 'macvlan',
      vlan: 6,
      ipam: { type: 'static', addresses: [{ address: '10.1.0.2/24' }], routes: [{ dst: '0.0.0.0/0', gw: '10.2.0.1' }] },
    },
    7,
    /ENETUNREACH/,
  ],
  [
    'a selector that two uplinks match',
    { type: 'macvlan', master: undefined, masterSelector: { drivers: ['igb'] } },
    7,
    /eth0.*eth1|eth1.*eth0/,
  ],
  [
    'a selector that none matches',
    { type: 'macvlan', master: undefined, masterSelector: { serials: ['none'] } },
    101,
    /no uplink|matches/,
  ],
];

if (requireFeature('SR-IOV', hasSriov())) {
  test.before(async (context) => {
    context.lab = await createLabNode(PF, 2);
    ip('link', 'set', UPLINK, 'up');
    context.node = await createAgentNode('pools: []\n', { onMachine: true });
    await context.node.startAgent();
    // From its first use on igb lists a VF's own MAC: the baseline is that of a used one.
    await inSandbox('first', async (sandbox) => {
      const config = { cniVersion: '1.0.0', name: 'net', type: 'sriov', deviceID: context.lab.vfs[0] };
      await executePlugin(context.node, context.node.shimPath, 'ADD', config, sandbox);
      await executePlugin(context.node, context.node.shimPath, 'DEL', config, sandbox);
    });
  });
  test.after(async ({ lab, node }) => {
    await node.remove();
    await lab.remove();
    ip('link', 'set', UPLINK, 'down');
  });

  const refuse = async (node: AgentNode, config: Json, code: number, says: RegExp): Promise<void> => {
    await inSandbox('c1', async (sandbox) => {
      const failure = await executePlugin(node, node.shimPath, 'ADD', config, sandbox).then(
        () => undefined,
        (error: unknown) => error,
      );
      assert.instance(failure, PluginFailure);
      const { message } = failure as PluginFailure;
      const answer = JSON.parse(message.slice(message.indexOf('{'))) as Json;
      assert.is(answer.code, code, message);
      assert.match(`${answer.msg} ${answer.details}`, says);
      assert.equal(linkNames(sandbox), ['lo']);
    });
    const records = join(node.folder, 'run', 'attachments');
    assert.equal(existsSync(records) ? readdirSync(records) : [], []);
  };

  for (const [what, fields, code, says] of VF) {
    test(`a VF with ${what}: code ${code}, and it is as it was`, async ({ lab, node }) => {
      const before = lab.baseline();
      const pf = (await lab.kernel.host.link({ name: PF as never }))?.pci;
      const config = { cniVersion: '1.0.0', name: 'net', type: 'sriov', deviceID: lab.vfs[0], ...fields };
      await refuse(node, config.deviceID === ('PF' as never) ? { ...config, deviceID: pf } : config, code, says);
      assert.is(lab.baseline(), before);
    });
  }

  for (const [what, fields, code, says] of ON_UPLINK) {
    test(`${what}: code ${code}, and nothing is left`, async ({ lab, node }) => {
      const links = (): readonly unknown[] => lab.show(['link', 'show']).map(({ ifname }) => ifname);
      const before = links();
      await refuse(node, { cniVersion: '1.0.0', name: 'net', master: UPLINK, ...fields }, code, says);
      assert.equal(links(), before);
    });
  }
}

test.run();
