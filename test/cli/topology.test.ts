import assert from 'node:assert/strict';
import { test } from 'uvu';
import { topologyOf } from '../../src/cli/topology/model.ts';
import { renderTopologySvg } from '../../src/cli/topology/svg.ts';
import { renderTopologyText } from '../../src/cli/topology/text.ts';
import { parseIfName, parsePciAddress } from '../../src/engine/values.ts';
import type { InventoryView } from '../../src/engine/view.ts';
import { inventory, netdev, nic, vf, virtualLink } from '../engine/inventory/fixtures.ts';

const PF = '0000:10:00.0';
const HELD = parsePciAddress('0000:10:02.2');
const SICK = parsePciAddress('0000:10:02.4');

function view(): InventoryView {
  const vfs = [0, 1, 2, 3, 4, 5].map((index) => vf(PF, index));
  const eth0 = nic(PF, netdev('eth0', 2, { carrier: true, speedMbps: 25_000 }), vfs, {
    numaNode: 0,
    pcieRoot: 'pci0000:10',
    pcieNow: { gtps: 8, width: 4 },
    pcieBest: { gtps: 8, width: 8 },
    deviceName: 'X710 <SFP+>',
  });
  const eth1 = nic('0000:90:00.0', netdev('eth1', 3, { adminUp: false }), [], { numaNode: 1, pcieRoot: 'pci0000:90' });
  const { sriov: _, ...odd } = nic('0000:a0:00.0', netdev('eth2', 4));
  const pools = Object.fromEntries(vfs.slice(0, 5).map(({ address }) => [address, 'berth.dev/vf']));
  return {
    inventory: inventory({
      node: { name: 'worker-7', machine: 'Example Server' },
      nics: [eth0, eth1, odd],
      virtual: [virtualLink('bond0', 9, 'bond', { lowers: ['eth0', 'eth1'] }), virtualLink('lo', 1, 'loopback')],
    }),
    pools,
    owners: { [HELD]: { pod: 'default/web-0', containerId: 'c', ifname: 'net1', since: '' } },
    unhealthy: { [SICK]: 'driver changed' },
  };
}

test('the text is a tree of what is on what, with runs of VFs', () => {
  assert.equal(
    renderTopologyText(topologyOf(view())),
    [
      'worker-7: Example Server',
      '├─ NUMA node 0',
      '│  └─ pci0000:10',
      '│     └─ eth0 0000:10:00.0  X710 <SFP+> · i40e · up 25G · 6 of 8 VFs · PCIe 8GT x4 of 8GT x8',
      '│        ├─ VFs 0-1  free in berth.dev/vf',
      '│        ├─ VF 2  taken by default/web-0 as net1',
      '│        ├─ VF 3  free in berth.dev/vf',
      '│        ├─ VF 4  broken in berth.dev/vf: driver changed',
      '│        └─ VF 5  unused (iavf)',
      '├─ NUMA node 1',
      '│  └─ pci0000:90',
      '│     └─ eth1 0000:90:00.0  8086:1572 · i40e · down · 0 of 8 VFs',
      '├─ no NUMA node',
      '│  └─ no PCIe root',
      '│     └─ eth2 0000:a0:00.0  8086:1572 · i40e · up',
      '└─ bond0 (bond) on eth0, eth1',
      '',
    ].join('\n'),
  );
});

test('scalable functions are drawn below their NIC, in the text and in the picture', () => {
  const parent = parsePciAddress(PF);
  const scalable = [
    { name: 'mlx5_core.sf.2', sfnum: 88, parent, driver: 'mlx5_core.sf' },
    { name: 'mlx5_core.sf.3', sfnum: 89, parent },
  ];
  const drawn = topologyOf({
    inventory: inventory({ nics: [nic(PF, netdev('eth0', 2), [vf(PF, 0)], { scalable })], virtual: [] }),
    pools: { 'mlx5_core.sf.2': 'berth.dev/sf' },
    owners: { 'mlx5_core.sf.2': { pod: 'default/web-1', containerId: 'c', ifname: 'net1', since: '' } },
  });
  const text = renderTopologyText(drawn);
  assert.match(text, / · 2 SFs\n/);
  assert.match(text, /├─ VF 0 .*\n.*├─ SF 88 mlx5_core\.sf\.2 {2}taken by default\/web-1 as net1\n/);
  assert.match(text, /└─ SF 89 mlx5_core\.sf\.3 {2}unused \(no driver\)\n$/);
  const svg = renderTopologySvg(drawn);
  assert.equal((svg.match(/<rect class="place (free|taken|broken|unused)"[^>]*><title>/g) ?? []).length, 3);
  assert.match(svg, /<text [^>]*>SF 88 mlx5_core\.sf\.2 taken by default\/web-1 as net1<\/text>/);
  assert.match(svg, /<desc id="description">[^<]*SF 89 mlx5_core\.sf\.3 unused/);
});

test('VFs that kubelet gave to pods on a userspace driver are taken, each by its pod', () => {
  const vfs = [0, 1, 2].map((index) => vf(PF, index, { driver: 'vfio-pci' }));
  const given = (index: number) => vfs[index]?.address ?? '';
  const drawn = topologyOf({
    inventory: inventory({ nics: [nic(PF, netdev('eth0', 2), vfs)], virtual: [] }),
    pools: {},
    owners: {},
    allocations: {
      [given(0)]: { pod: 'dpdk/router-0', container: 'router' },
      [given(1)]: { pod: 'dpdk/router-1', container: 'router' },
    },
  });
  const text = renderTopologyText(drawn);
  assert.match(text, /VF 0 {2}taken by dpdk\/router-0 \(vfio-pci\)\n.*VF 1 {2}taken by dpdk\/router-1 \(vfio-pci\)\n/);
  assert.match(text, /VF 2 {2}unused \(vfio-pci\)\n$/);
});

test('the picture needs nothing else, and says what it shows', () => {
  const svg = renderTopologySvg(topologyOf(view()));
  assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  assert.equal((svg.match(/<rect class="place (free|taken|broken|unused)"[^>]*><title>/g) ?? []).length, 6);
  assert.match(svg, /role="img" aria-labelledby="title description"/);
  assert.match(svg, /<desc id="description">[^<]*VF 2 taken by default\/web-0 as net1/);
  assert.match(svg, /@media \(prefers-color-scheme: dark\)/);
  assert.equal(/href|url\(|<script|<image/.test(svg), false);
});

test('names that would be markup are text', () => {
  const evil = view();
  const svg = renderTopologySvg(
    topologyOf({
      ...evil,
      owners: { [HELD]: { pod: '<script>"&\u0000\u001b', containerId: 'c', ifname: 'net1', since: '' } },
    }),
  );
  assert.ok(svg.includes('&lt;script&gt;&quot;&amp;??'));
  assert.equal(svg.includes('<script'), false);
});

test('a node without NICs has a picture too', () => {
  const empty = { inventory: inventory({ nics: [], virtual: [] }), pools: {}, owners: {} };
  assert.equal(renderTopologyText(topologyOf(empty)), 'node-1\n└─ No PCI network functions.\n');
  assert.match(renderTopologySvg(topologyOf(empty)), /<text [^>]*>No PCI network functions\.<\/text>/);
});

test('a run ends where an index is missing', () => {
  const vfs = [vf(PF, 0), vf(PF, 2, { ifname: parseIfName('x') })];
  const nics = [nic(PF, netdev('eth0', 2), vfs)];
  const text = renderTopologyText(topologyOf({ inventory: inventory({ nics, virtual: [] }), pools: {}, owners: {} }));
  assert.match(text, /VF 0 {2}unused.*\n.*VF 2 {2}unused/);
});

test.run();
