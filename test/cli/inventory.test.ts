import assert from 'node:assert/strict';
import { test } from 'uvu';
import { parse } from 'yaml';
import { captureCommand, inventoryCommand } from '../../src/cli/inventory.ts';
import { type InventoryDocument, inventoryDocument } from '../../src/cli/inventory-document.ts';
import { renderCounters, renderInventory, renderUnread } from '../../src/cli/inventory-output.ts';
import type { ProgramDeps } from '../../src/cli/port.ts';
import { printable } from '../../src/cli/table.ts';
import { BerthError } from '../../src/engine/errors.ts';
import { parseIfName, parseMacAddress, parsePciAddress } from '../../src/engine/values.ts';
import type { InventoryView } from '../../src/engine/view.ts';
import { inventory, netdev, nic, vf, virtualLink } from '../engine/inventory/fixtures.ts';
import { notAsked } from './no-installer.ts';
import { noTerminal } from './no-terminal.ts';

const HELD = parsePciAddress('0000:10:02.0');
const MAC = parseMacAddress('02:00:00:00:00:fd');
const NOW = new Date('2026-01-03T04:00:00Z');

function view(more: Partial<InventoryView> = {}): InventoryView {
  return {
    inventory: inventory(),
    pools: { [HELD]: 'berth.dev/vf' },
    owners: {
      [HELD]: { pod: 'default/web-0', containerId: 'c'.repeat(64), ifname: 'net1', since: '2026-01-01T00:00:00Z' },
    },
    ...more,
  };
}

test('accelerators have a table of their own, and a list in JSON', () => {
  const fpga = { ...nic('0000:3b:00.0', netdev('eth9', 9)), class: '120000', driver: 'vfio-pci' };
  const { ifname: _ifname, netdev: _netdev, ...accelerator } = { ...fpga, vfs: [vf('0000:3b:00.0', 0)] };
  const shown = view({ inventory: inventory({ accelerators: [accelerator] }) });
  const text = renderInventory(shown, 'table', false, NOW);
  assert.match(text, /\nACCELERATOR +IFNAME .*\n0000:3b:00\.0 +- +vfio-pci .*\n {2}0000:3b:02\.0 /);
  assert.deepEqual(
    inventoryDocument(shown).accelerators?.map(({ address, vfs }) => [address, vfs.length]),
    [['0000:3b:00.0', 1]],
  );
  assert.ok(!('accelerators' in inventoryDocument(view())));
});

test('the table shows NICs with their VFs, who has them, and virtual links', () => {
  assert.equal(
    renderInventory(view(), 'table', false, NOW),
    [
      'ADDRESS          IFNAME   DRIVER     STATE   NUMA   VFS   POOL           OWNER',
      '0000:10:00.0     eth0     i40e       up      -      2/8   -              -',
      '  0000:10:02.0   eth0v0   iavf       up      -      #0    berth.dev/vf   default/web-0 net1',
      '  0000:10:02.1   -        vfio-pci   -       -      #1    -              -',
      '0000:11:00.0     eth1     i40e       up      -      0/8   -              -',
      '',
      'VIRTUAL   KIND     STATE   ON     MASTER   ADDRESSES',
      'br0       bridge   up      eth1   -        -',
      '',
    ].join('\n'),
  );
});

test('a table fits 100 columns, at the cost of the middle of long names', () => {
  const owners = {
    [HELD]: { pod: 'default/web-frontend-7d9f8b6c5-x2x7z', containerId: 'c', ifname: 'net1', since: '' },
  };
  const wide = nic('0000:10:00.0', netdev('enp16s0f0np0', 2, { speedMbps: 100_000 }), [vf('0000:10:00.0', 0)], {
    driver: 'mlx5_core',
    numaNode: 1,
  });
  const text = renderInventory(view({ inventory: inventory({ nics: [wide] }), owners }), 'table', false, NOW);
  for (const line of text.split('\n')) assert.ok(line.length <= 100, `${line.length}: ${line}`);
  assert.match(text, /default\/.*….*x7z net1/);
});

test('without pools and owners there are no columns for them', () => {
  assert.equal(renderInventory(view({ pools: {}, owners: {} }), 'table', false, NOW).includes('OWNER'), false);
});

test('the wide table leaves nothing out', () => {
  const facts = nic(
    '0000:10:00.0',
    netdev('eth0', 2, { altnames: ['alt0'], permanentMac: parseMacAddress('02:00:00:00:00:ff') }),
    [
      vf('0000:10:00.0', 0, {
        settings: {
          vlan: 7,
          vlanQos: 2,
          maxTxRateMbps: 100,
          spoofCheck: false,
          trust: true,
          adminMac: parseMacAddress('02:00:00:00:00:fe'),
          linkState: 'enable',
        },
        deviceNodes: { vfio: '/dev/vfio/12' },
      }),
      vf('0000:10:00.0', 1, { settings: { vlan: 0, spoofCheck: true, trust: false, linkState: 'auto' } }),
    ],
    {
      iommuGroup: 12,
      serial: 'S-1',
      firmware: '9.1',
      driverVersion: '6.18',
      deviceName: 'X710',
      pcieNow: { gtps: 8, width: 4 },
      pcieBest: { gtps: 16 },
      pcieSlot: { gtps: 8, width: 16 },
      pcieErrors: { correctable: 2, nonfatal: 0, fatal: 1 },
      queues: { combined: 8, combinedMax: 64 },
      rings: { rx: 512, rxMax: 4096, tx: 256 },
      offloads: ['rx-gro', 'tx-checksum-ipv4'],
      ptpClock: '/dev/ptp3',
      eswitchMode: 'switchdev',
      firmwareStored: 'fw 9.3',
      partNumber: 'P-77',
    },
  );
  const text = renderInventory(view({ inventory: inventory({ nics: [facts] }) }), 'wide', false, NOW);
  for (const shown of [
    'alt0',
    '02:00:00:00:00:ff',
    'mac 02:00:00:00:00:fe, vlan 7 qos 2, max 100M, spoofchk off, trust on, link enable',
    'default ',
    '/dev/vfio/12',
    'S-1',
    '9.1',
    '6.18',
    'X710',
    '8GT x4/16GT x?',
    '8086:1572',
    '8GT x16 ',
    '1 fatal, 0 non-fatal, 2 corrected',
    '8/64',
    'rx 512/4096 tx 256/?',
    '/dev/ptp3',
    'switchdev',
    'fw 9.3',
    'P-77',
  ]) {
    assert.ok(text.includes(shown), shown);
  }
});

test('the wide table tells how each device stands, and since when a pod has it', () => {
  const text = renderInventory(view(), 'wide', false, NOW);
  assert.match(text, /taken +berth\.dev\/vf +default\/web-0 net1 +- +cccccccccccc +2d +-\n/);
  assert.match(text, /0000:10:02\.1.* unused +-/);
});

test('what kubelet gave to a pod is taken, attached or not', () => {
  const [given] = inventory().nics[0]?.vfs.slice(1) ?? [];
  assert.ok(given);
  const allocations = {
    [HELD]: { pod: 'default/web-0', container: 'web' },
    [given.address]: { pod: 'dpdk/router-0', container: 'router' },
  };
  const shown = view({ allocations });
  const text = renderInventory(shown, 'wide', false, NOW);
  assert.match(text, /taken +berth\.dev\/vf +default\/web-0 net1 +web +cccccccccccc +2d/);
  assert.match(text, /taken +- +dpdk\/router-0 +router +- +- +-\n/);
  const [first, second] = inventoryDocument(shown).nics[0]?.vfs ?? [];
  assert.deepEqual([first?.state, first?.allocation?.container], ['taken', 'web']);
  assert.deepEqual(
    [second?.state, second?.allocation, second?.owner],
    ['taken', { pod: 'dpdk/router-0', container: 'router' }, undefined],
  );
});

test('scalable functions stand below their NIC, and who offers and has them', () => {
  const parent = parsePciAddress('0000:10:00.0');
  const scalable = [
    { name: 'mlx5_core.sf.2', sfnum: 88, parent, driver: 'mlx5_core.sf', ifname: parseIfName('enp1s88') },
    { name: 'mlx5_core.sf.3', sfnum: 89, parent },
  ];
  const eth0 = nic(parent, netdev('eth0', 2), [], { scalable });
  const owner = { pod: 'default/web-1', containerId: 'd', ifname: 'net1', since: '2026-01-03T03:00:00Z' };
  const shown = view({
    inventory: inventory({ nics: [eth0], virtual: [virtualLink('enp1s88', 9, 'sf', { mac: MAC })] }),
    pools: { 'mlx5_core.sf.2': 'berth.dev/sf', 'mlx5_core.sf.3': 'berth.dev/sf' },
    owners: { 'mlx5_core.sf.2': owner },
    unhealthy: { 'mlx5_core.sf.3': 'it has no driver' },
  });
  const text = renderInventory(shown, 'wide', false, NOW);
  assert.match(text, /\n {2}mlx5_core\.sf\.2 +enp1s88 +mlx5_core\.sf +up +- +sf 88 +- +02:00:00:00:00:fd .* 1h +-\n/);
  assert.match(text, /\n {2}mlx5_core\.sf\.3 .* broken +berth\.dev\/sf +- +- +- +- +it has no driver\n/);
  assert.deepEqual(
    inventoryDocument(shown).nics[0]?.scalable?.map(({ name, state, pool, owner: who, problem }) => [
      name,
      state,
      pool,
      who?.pod,
      problem,
    ]),
    [
      ['mlx5_core.sf.2', 'taken', 'berth.dev/sf', 'default/web-1', undefined],
      ['mlx5_core.sf.3', 'broken', 'berth.dev/sf', undefined, 'it has no driver'],
    ],
  );
});

test('who shares an IOMMU group is in the wide table and in the document', () => {
  const mates = ['0000:00:1f.3', '0000:00:1f.4', '0000:00:1f.5'].map((address) => ({
    address: parsePciAddress(address),
    class: '040300',
    iommuGroup: 7,
  }));
  const eth0 = nic('0000:10:00.0', netdev('eth0', 2), [], { iommuGroup: 7 });
  const eth1 = nic('0000:11:00.0', netdev('eth1', 3), [], { iommuGroup: 8 });
  const shown = view({ inventory: inventory({ nics: [eth0, eth1], groupmates: mates }) });
  const text = renderInventory(shown, 'wide', false, NOW);
  assert.match(text, /0000:10:00\.0 .* 7 +0000:00:1f\.3, 0000:00:1f\.4, 1 more /);
  assert.match(text, /0000:11:00\.0 .* 8 +- /);
  assert.deepEqual(inventoryDocument(shown).groupmates, mates);
});

test('findings stand below the tables, each with what to do', () => {
  const finding = {
    id: 'pf-down',
    severity: 'warning',
    subject: 'x',
    evidence: 'eth0\u001b is down',
    remedy: 'Set it up.',
    reference: 'docs/inventory.md#pf-down',
  } as const;
  const found = view({ inventory: inventory({ findings: [finding] }) });
  const text = renderInventory(found, 'table', false, NOW);
  assert.ok(
    text.endsWith('\nFINDINGS (1)\nwarning pf-down: eth0? is down\n  Set it up. (docs/inventory.md#pf-down)\n'),
    text,
  );
  assert.ok(renderInventory(found, 'table', true, NOW).includes('\u001b[33mwarning\u001b[0m pf-down'));
});

test('counters stand in a table of their own and in the document, for VFs that have some', () => {
  const told = {
    rxBytes: 10,
    txBytes: 20,
    rxPackets: 1,
    txPackets: 2,
    broadcast: 0,
    multicast: 0,
    rxDropped: 3,
    txDropped: 4,
  };
  const table = renderCounters(view(), { byPf: { [HELD]: told }, own: new Map() });
  assert.match(table, /0000:10:02\.0 +#0 of eth0 +10 +1 +3 +20 +2 +4\n$/);
  assert.equal(renderCounters(view(), { byPf: {}, own: new Map() }), 'No PF told counters of its VFs.\n');
  const [first, second] = inventoryDocument(view(), { byPf: { [HELD]: told }, own: new Map() }).nics[0]?.vfs ?? [];
  assert.deepEqual(first?.counters, told);
  assert.equal(second !== undefined && 'counters' in second, false);
  assert.equal(first?.state, 'taken');
});

test('what interfaces counted themselves stands apart from what the PF counted', () => {
  const link = (first: number) => ({
    rxBytes: first,
    rxPackets: 2,
    rxErrors: 3,
    rxDropped: 4,
    txBytes: 5,
    txPackets: 6,
    txErrors: 7,
    txDropped: 8,
  });
  const nics = [
    nic('0000:10:00.0', netdev('eth0', 2), [
      vf('0000:10:00.0', 0, { ifname: parseIfName('eth0v0'), netdev: netdev('eth0v0', 3) }),
      vf('0000:10:00.0', 1),
    ]),
  ];
  const own = new Map([
    ['eth0', link(100)],
    ['eth0v0', link(200)],
  ]);
  const shown = view({ inventory: inventory({ nics }) });
  const text = renderCounters(shown, { byPf: {}, own });
  assert.match(text, /^No PF told.*\n\nINTERFACE +ADDRESS +RX BYTES .* TX ERRORS\n/);
  assert.match(text, /\neth0 +0000:10:00\.0 +100 +2 +4 +5 +6 +8 +3 +7\neth0v0 +0000:10:02\.0 +200 .*\n$/);
  const document = inventoryDocument(shown, { byPf: {}, own });
  assert.deepEqual(document.nics[0]?.ownCounters, link(100));
  assert.deepEqual(
    document.nics[0]?.vfs.map(({ ownCounters }) => ownCounters?.rxBytes),
    [200, undefined],
  );
});

for (const [name, device, state] of [
  ['down', { adminUp: false, carrier: true }, 'down'],
  ['up without carrier', { adminUp: true, carrier: false }, 'no carrier'],
  ['up at 2.5 Gbit/s', { adminUp: true, carrier: true, speedMbps: 2500 }, 'up 2.5G'],
  ['up at 100 Mbit/s', { adminUp: true, speedMbps: 100 }, 'up 100M'],
] as const) {
  test(`a link that is ${name} reads ${JSON.stringify(state)}`, () => {
    const text = renderInventory(
      view({ inventory: inventory({ nics: [nic('0000:10:00.0', netdev('eth0', 2, device))] }) }),
      'table',
      false,
      NOW,
    );
    assert.ok(text.includes(` ${state} `), text);
  });
}

test('colour marks the header and devices in pods, and is off unless asked for', () => {
  const plain = renderInventory(view(), 'table', false, NOW);
  const colored = renderInventory(view(), 'table', true, NOW);
  assert.equal(plain.includes('\u001b'), false);
  assert.ok(colored.includes('\u001b[36m  0000:10:02.0'));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape sequences are what is taken out
  assert.equal(colored.replace(/\u001b\[[0-9]+m/g, ''), plain);
});

test('of very many warnings the first are printed, and how many there are', () => {
  const unread = Array.from({ length: 2048 }, (_, index) => ({ source: `sys/${index}`, reason: 'EIO' }));
  const lines = renderUnread(unread).split('\n');
  assert.equal(lines[0], 'warning: sys/0: EIO');
  assert.equal(lines.at(-2), 'warning: and 2028 more, in `unread` of -o json');
  assert.equal(lines.length, 22);
  assert.equal(renderUnread(unread.slice(0, 20)).includes('more'), false);
});

for (const [what, text, shown] of [
  ['escape sequences', 'a\u001b[31mb', 'a?[31mb'],
  ['C1 controls', 'a\u009b31mb', 'a?31mb'],
  ['a direction override', 'a\u202egnp', 'a?gnp'],
  ['characters without width', 'a\u200bb\ufeff', 'a?b?'],
  ['line separators', 'a\u2028b\u2029', 'a?b?'],
  ['half a character', 'a\ud800b', 'a?b'],
  ['words of any language', 'größe 网卡 😀', 'größe 网卡 😀'],
] as const) {
  test(`printed text: ${what}`, () => {
    assert.equal(printable(text), shown);
  });
}

test('control characters of names do not reach the terminal', () => {
  const evil = inventory({
    virtual: [],
    nics: [nic('0000:10:00.0', netdev('eth0', 2, {}), [], { driver: '\u001b[2J\nx' })],
  });
  const text = renderInventory(view({ inventory: evil }), 'wide', false, NOW);
  assert.ok(text.includes('?[2J?x'));
});

test('the document has the stable shape, with pool and owner where they are known', () => {
  const document = inventoryDocument(view());
  assert.deepEqual(Object.keys(document), ['node', 'nics', 'virtual', 'findings', 'unread']);
  assert.deepEqual(document.nics[0]?.vfs[0]?.owner?.pod, 'default/web-0');
  assert.deepEqual(document.nics[0]?.vfs[0]?.pool, 'berth.dev/vf');
  assert.equal('pool' in (document.nics[0]?.vfs[1] ?? {}), false);
  assert.equal(document.nics[0]?.vfs[1]?.index, 1);
});

const ALLOCATIONS = [
  { device: HELD, resource: 'berth.dev/vf', pod: { namespace: 'default', name: 'web-0' }, container: 'web' },
];

function commands(agent: InventoryView | BerthError): { deps: ProgramDeps; out: string[]; err: string[] } {
  const out: string[] = [];
  const err: string[] = [];
  const unread = [{ source: 'sys/x\u001b', reason: 'EIO' }];
  const node = {
    inventory: async (root: string) =>
      view({ inventory: inventory({ node: { name: root }, unread }), pools: {}, owners: {} }),
    capture: async (_: string, directory: string) => ({
      files: 3,
      bytes: 5,
      notes: ['sys/x: EIO'],
      readAs: directory === '-' ? 'captured' : directory,
    }),
  };
  const deps = {
    version: '0',
    output: {
      out: (text: string) => out.push(text),
      err: (text: string) => err.push(text),
      color: false,
      now: () => new Date(0),
    },
    node: node as unknown as ProgramDeps['node'],
    agent: async (_runDir: string, path: string) => {
      if (agent instanceof BerthError) throw agent;
      return path === '/v1/allocations' ? ALLOCATIONS : agent;
    },
    follow: async () => undefined,
    terminal: noTerminal,
    installer: notAsked,
    runDashboard: async () => 0,
    troubleshooting: () => undefined,
    runAgent: async () => 0,
  } as ProgramDeps;
  return { deps, out, err };
}

const AWAY = new BerthError({ code: 'NotFound', reason: 'agent-away', message: 'no agent' });

test('the running agent is asked first', async () => {
  const { deps, out } = commands(view());
  assert.equal(await inventoryCommand(deps)({ output: 'json', root: '/', runDir: '/run/x' }), 0);
  const document = JSON.parse(out.join('')) as InventoryDocument;
  assert.equal(document.node.name, 'node-1');
  assert.deepEqual(document.nics[0]?.vfs[0]?.allocation, { pod: 'default/web-0', container: 'web' });
});

test('of some devices only these are printed', async () => {
  const text = commands(view());
  await inventoryCommand(text.deps, ['eth1', 'br0'])({ output: 'table', root: '/', runDir: '/run/x' });
  assert.match(text.out.join(''), /^ADDRESS.*\n0000:11:00\.0 .*\n\nVIRTUAL.*\nbr0 .*\n$/);
  const link = commands(view());
  await inventoryCommand(link.deps, ['br0'])({ output: 'table', root: '/', runDir: '/run/x' });
  assert.match(link.out.join(''), /^VIRTUAL.*\nbr0 .*\n$/);
  const json = commands(view());
  await inventoryCommand(json.deps, ['eth0#1'])({ output: 'json', root: '/', runDir: '/run/x' });
  const document = JSON.parse(json.out.join('')) as InventoryDocument;
  assert.deepEqual(
    document.nics.map(({ vfs }) => vfs.map(({ index }) => index)),
    [[1]],
  );
  await assert.rejects(inventoryCommand(json.deps, ['eth9'])({ output: 'json', root: '/', runDir: '/run/x' }), {
    reason: 'device-unknown',
  });
});

test('without an agent the node is read, and what could not be read is a warning on stderr', async () => {
  const { deps, out, err } = commands(AWAY);
  assert.equal(await inventoryCommand(deps)({ output: 'table', root: '/', runDir: '/run/x' }), 0);
  assert.match(out.join(''), /^ADDRESS/);
  assert.match(err.join(''), /warning: sys\/x\?: EIO\n/);
});

test('a tree is read directly, and printed as YAML that says the same as JSON', async () => {
  const json = commands(view());
  const yaml = commands(view());
  await inventoryCommand(json.deps)({ output: 'json', root: '/tree', runDir: '/run/x' });
  await inventoryCommand(yaml.deps)({ output: 'yaml', root: '/tree', runDir: '/run/x' });
  assert.equal(JSON.parse(json.out.join('')).node.name, '/tree');
  assert.deepEqual(parse(yaml.out.join('')), JSON.parse(json.out.join('')));
});

test('capture tells what it wrote on stderr, and nothing on stdout', async () => {
  const { deps, out, err } = commands(AWAY);
  assert.equal(await captureCommand(deps)('/tmp/tree', { root: '/' }), 0);
  assert.deepEqual(out, []);
  assert.match(err.join(''), /warning: sys\/x: EIO\n3 files, 5 bytes in \/tmp\/tree/);
});

test('capture of an archive tells which folder is in it', async () => {
  const { deps, err } = commands(AWAY);
  assert.equal(await captureCommand(deps)('-', { root: '/' }), 0);
  assert.match(err.join(''), /in folder captured of the archive; read it with: berth inventory --root captured\n$/);
});

test.run();
