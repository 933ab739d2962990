/** Pools on real VFs, as the running kernel tells of them: by place, by share, kept back, and what stands on the node's links. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import { parseConfig } from '../../../src/config/index.ts';
import type { Inventory, Nic } from '../../../src/engine/inventory/model.ts';
import { evaluate } from '../../../src/engine/pools/evaluate.ts';
import type { Plan } from '../../../src/engine/pools/model.ts';
import { liveFacts } from '../../../src/linux/facts/live.ts';
import { createHostFacts } from '../../../src/linux/netlink/host-facts.ts';
import { createNodeReader } from '../../../src/linux/node-reader.ts';

const test = suite('pools in the lab');
const host = createHostFacts();
const reader = createNodeReader({ root: '/', facts: liveFacts(host) });
let node: Inventory;

test.before(async () => {
  setVfs('eth0', 4);
  setVfs('eth1', 2);
  node = await reader.read();
});

test.after(() => {
  host.close();
  for (const pf of ['eth0', 'eth1']) setVfs(pf, 0);
});

function setVfs(pf: string, count: number): void {
  writeFileSync(`/sys/class/net/${pf}/device/sriov_numvfs`, '0\n');
  if (count > 0) writeFileSync(`/sys/class/net/${pf}/device/sriov_numvfs`, `${count}\n`);
}

function pf(ifname: string): Nic {
  const found = node.nics.find((nic) => nic.ifname === ifname);
  assert.ok(found, `${ifname} is not in the inventory`);
  return found;
}

function vfsOf(ifname: string, ...indexes: number[]): readonly string[] {
  const { vfs } = pf(ifname);
  return (indexes.length === 0 ? vfs.map(({ index }) => index) : indexes).map((index) => vfs[index]?.address ?? 'none');
}

function planOf(document: object): Plan {
  const { config, problems } = parseConfig(JSON.stringify(document), 'f');
  assert.deepEqual(problems, []);
  assert.ok(config);
  return evaluate(config.pools, { inventory: node, heldDevices: new Map(), uplinkUse: new Map() });
}

function devicesOf(document: object): readonly (readonly string[])[] {
  return planOf(document).pools.map(({ devices }) => devices.map(({ id }) => id));
}

test('the VFs of each PF are where the PF is plugged in', () => {
  for (const ifname of ['eth0', 'eth1']) {
    const { numaNode, pcieRoot, vfs } = pf(ifname);
    assert.match(pcieRoot ?? '', /^pci[0-9a-f]{4}:[0-9a-f]{2}$/);
    assert.ok(vfs.every((vf) => vf.pcieRoot === pcieRoot && vf.numaNode === numaNode));
  }
});

test('pools by NUMA node and PCIe root take the VFs that are there', () => {
  const { numaNode, pcieRoot } = pf('eth1');
  const there = (nic: Nic): boolean => nic.pcieRoot === pcieRoot && nic.numaNode === numaNode;
  const expected = ['eth0', 'eth1'].filter((name) => there(pf(name))).flatMap((name) => vfsOf(name));
  const selector = { pcieRoots: [pcieRoot], ...(numaNode === undefined ? {} : { numaNodes: [numaNode] }) };
  assert.deepEqual(devicesOf({ pools: [{ name: 'p', kind: 'vf', selectors: [selector] }] }), [expected]);
});

test('a share of each PF, VFs kept back, and a pattern', () => {
  const document = {
    keepBack: ['eth0#3'],
    pools: [
      { name: 'half', kind: 'vf', selectors: [{ pfNames: ['eth?'] }], perPf: { limit: '50%' } },
      { name: 'rest', kind: 'vf' },
    ],
  };
  assert.deepEqual(devicesOf(document), [
    [...vfsOf('eth0', 0, 1), ...vfsOf('eth1', 0)],
    [...vfsOf('eth0', 2), ...vfsOf('eth1', 1)],
  ]);
});

test('a range beyond the VFs that there are is a note with the card’s own limit', () => {
  const { pools } = planOf({ pools: [{ name: 'p', kind: 'vf', selectors: [{ pfNames: ['eth1#0-99'] }] }] });
  const most = pf('eth1').sriov?.totalVfs;
  assert.deepEqual(pools[0]?.notes, [`pfNames: eth1#0-99 goes up to VF 99, and eth1 has 2 VFs, and ${most} at most`]);
});

test('a group by subnet has the PF with an address in it, and its VFs', async () => {
  execFileSync('ip', ['address', 'add', '198.18.7.1/24', 'dev', 'eth1']);
  try {
    node = await reader.read();
    const uplinkGroups = { storage: [{ subnets: ['198.18.0.0/15'] }] };
    const pools = [
      { name: 'v', kind: 'vf', selectors: [{ pfGroups: ['storage'] }] },
      { name: 'm', kind: 'macvlan', capacity: 1, uplinks: [{ groups: ['storage'] }] },
    ];
    assert.deepEqual(devicesOf({ uplinkGroups, pools }), [vfsOf('eth1'), ['eth1-0']]);
  } finally {
    execFileSync('ip', ['address', 'del', '198.18.7.1/24', 'dev', 'eth1']);
  }
});

test('{uplink} is a resource on each PF, and none on VFs', () => {
  const { pools } = planOf({
    pools: [{ name: '{uplink}-nic', kind: 'uplink', capacity: 1, uplinks: [{ names: ['eth*'] }] }],
  });
  const resources = pools.map(({ spec }) => spec.resource);
  assert.ok(resources.includes('berth.dev/eth0-nic') && resources.includes('berth.dev/eth1-nic'));
  const vfNames = node.nics.flatMap(({ vfs }) => vfs.map(({ ifname }) => `berth.dev/${ifname}-nic`));
  assert.deepEqual(
    resources.filter((resource) => vfNames.includes(resource)),
    [],
  );
});

test.run();
