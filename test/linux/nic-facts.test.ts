/** Facts of a NIC besides its VFs, from files and from a capture's record, and what a capture keeps of them. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import type { Nic } from '../../src/engine/inventory/model.ts';
import { captureTree } from '../../src/linux/capture.ts';
import { type FactSource, noFacts } from '../../src/linux/facts/source.ts';
import { createNodeReader } from '../../src/linux/node-reader.ts';
import type { PfSpec, TreeSpec } from '../trees/generate.ts';
import { withTree } from '../trees/temporary.ts';

async function nicOf(pf: PfSpec, more: Partial<TreeSpec> = {}): Promise<Nic> {
  let found: Nic | undefined;
  await withTree({ pfs: [pf], ...more }, async ({ dir }) => {
    [found] = (await createNodeReader({ root: dir }).read()).nics;
  });
  assert.ok(found);
  return found;
}

test('the slot is what the bridge above can do at best', async () => {
  const nic = await nicOf({ pcie: { now: [8, 4], best: [16, 16], slot: [8, 8] } });
  assert.deepEqual(
    [nic.pcieNow, nic.pcieBest, nic.pcieSlot],
    [
      { gtps: 8, width: 4 },
      { gtps: 16, width: 16 },
      { gtps: 8, width: 8 },
    ],
  );
  assert.equal('pcieSlot' in (await nicOf({})), false);
});

test('errors of the link are totals, and unknown where the kernel counts none', async () => {
  const errors = { correctable: 4, nonfatal: 1, fatal: 0 };
  assert.deepEqual((await nicOf({ pcieErrors: errors })).pcieErrors, errors);
  assert.equal('pcieErrors' in (await nicOf({})), false);
});

test('a PTP clock is named by its device', async () => {
  assert.equal((await nicOf({ ptp: 3 })).ptpClock, '/dev/ptp3');
  assert.equal('ptpClock' in (await nicOf({})), false);
});

const TOLD = {
  driverVersion: '6.18',
  firmware: '9.1',
  firmwareStored: 'fw.mgmt 9.3',
  eswitchMode: 'switchdev',
  queues: { combined: 8, combinedMax: 64 },
  rings: { rx: 512, rxMax: 4096, tx: 512, txMax: 4096 },
  offloads: ['tx-checksum-ipv4', 'rx-gro'],
} as const;
const PORT = { physPortId: 'a0b1', physPortName: 'p0', physSwitchId: '00ff' };
const LINK = { ifindex: 2, altnames: [], addresses: [], defaultRoute: false, ...PORT };

test('what only netlink tells comes from the record of the tree', async () => {
  const nic = await nicOf({}, { facts: { schema: 1, links: [LINK], functions: { '0000:10:00.0': TOLD } } });
  for (const [name, value] of Object.entries(TOLD)) assert.deepEqual(nic[name as keyof Nic], value, name);
  for (const [name, value] of Object.entries(PORT)) assert.equal(nic.netdev?.[name as 'physPortId'], value, name);
});

for (const wrong of [
  { queues: { combined: -1 } },
  { offloads: [7] },
  { eswitchMode: 'other' },
  { rings: { rx: 1, depth: 2 } },
  { firmwareStored: 'x'.repeat(300) },
]) {
  test(`a record is not believed when it says ${JSON.stringify(wrong).slice(0, 40)}`, async () => {
    const facts = { schema: 1, links: [LINK], functions: { '0000:10:00.0': wrong } };
    await withTree({ pfs: [{}], facts }, async ({ dir }) => {
      const { nics, unread } = await createNodeReader({ root: dir }).read();
      assert.equal(nics[0]?.queues, undefined);
      assert.ok(unread.length > 0);
    });
  });
}

test('functions that share a group with a NIC are listed, bridges and those elsewhere are not', async () => {
  await withTree({ pfs: [{ vfs: 1 }] }, async ({ dir }) => {
    const other = (address: string, pciClass: string, group: number): void => {
      const home = join(dir, 'sys/devices/pci0000:00', address);
      mkdirSync(home, { recursive: true });
      mkdirSync(join(dir, `sys/kernel/iommu_groups/${group}`), { recursive: true });
      for (const [name, value] of [
        ['class', pciClass],
        ['vendor', '0x8086'],
        ['device', '0x0001'],
      ] as const)
        writeFileSync(join(home, name), `${value}\n`);
      symlinkSync(join(dir, `sys/kernel/iommu_groups/${group}`).replace(dir, '../../../..'), join(home, 'iommu_group'));
      symlinkSync(`../../../devices/pci0000:00/${address}`, join(dir, 'sys/bus/pci/devices', address));
    };
    const [nic] = (await createNodeReader({ root: dir }).read()).nics;
    const group = nic?.iommuGroup ?? 0;
    other('0000:00:1f.3', '0x040300', group);
    other('0000:00:1c.0', '0x060400', group);
    other('0000:00:1f.4', '0x0c0500', 77);
    const { groupmates } = await createNodeReader({ root: dir }).read();
    assert.deepEqual(groupmates, [{ address: '0000:00:1f.3', class: '040300', iommuGroup: group }]);
  });
});

const COUNTED = {
  rxBytes: 1,
  txBytes: 2 ** 40,
  rxPackets: 3,
  txPackets: 4,
  broadcast: 5,
  multicast: 6,
  rxDropped: 7,
  txDropped: 8,
};

test('VFs have the queues and rings of their interface; a capture keeps them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-capture-'));
  const told = { queues: { combined: 4, combinedMax: 16 }, rings: { rx: 512, rxMax: 4096 } };
  const source: FactSource = {
    ...noFacts,
    // eth0 is 2, eth0v0 3; VF 1 has no interface here.
    links: async () => new Map([2, 3].map((ifindex) => [ifindex, { ifindex, altnames: [], addresses: [] }])),
    queues: async () => new Map([[3, told]]),
  };
  try {
    await withTree({ pfs: [{ vfs: 2, vfDrivers: { 1: 'vfio-pci' } }] }, async ({ dir }) => {
      const [nic] = (await createNodeReader({ root: dir, facts: source }).read()).nics;
      assert.deepEqual([nic?.vfs[0]?.queues, nic?.vfs[0]?.rings], [told.queues, told.rings]);
      assert.equal(nic?.vfs[1] !== undefined && 'queues' in nic.vfs[1], false);
      await captureTree(dir, folder, source);
    });
    const { nics, unread } = await createNodeReader({ root: folder }).read();
    assert.deepEqual(unread, []);
    assert.deepEqual(nics[0]?.vfs[0]?.queues, told.queues);
    assert.equal(nics[0]?.vfs[1]?.queues, undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('nobody is asked about queues on a node without VFs', async () => {
  const fails = async (): Promise<never> => Promise.reject(new Error('asked'));
  await withTree({ pfs: [{}] }, async ({ dir }) => {
    const { unread } = await createNodeReader({ root: dir, facts: { ...noFacts, queues: fails } }).read();
    assert.deepEqual(unread, []);
  });
});

test('a capture keeps the counters of VFs, and a read does not ask for them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-capture-'));
  let asked = 0;
  const source: FactSource = {
    ...noFacts,
    links: async () => new Map([[2, { ifindex: 2, altnames: [], addresses: [], ...PORT }]]),
    driver: async () => TOLD,
    vfCounters: async () => {
      asked += 1;
      return new Map([[1, COUNTED]]);
    },
  };
  try {
    await withTree({ pfs: [{ vfs: 2 }] }, async ({ dir }) => {
      await createNodeReader({ root: dir, facts: source }).read();
      assert.equal(asked, 0);
      await captureTree(dir, folder, source);
      assert.equal(asked, 1);
    });
    const reader = createNodeReader({ root: folder });
    const [nic] = (await reader.read()).nics;
    assert.ok(nic?.netdev);
    assert.deepEqual(nic.queues, TOLD.queues);
    assert.equal(nic.netdev.physSwitchId, '00ff');
    assert.deepEqual(await reader.vfCounters?.(nic.netdev), new Map([[1, COUNTED]]));
    assert.ok(readFileSync(join(folder, 'berth/facts.json'), 'utf8').includes('"vfCounters"'));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a capture without counters is a capture with a note', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-capture-'));
  const source: FactSource = {
    ...noFacts,
    vfCounters: async () => Promise.reject(Object.assign(new Error('no buffer'), { code: 'ENOBUFS' })),
  };
  try {
    await withTree({ pfs: [{ vfs: 1 }] }, async ({ dir }) => {
      const { notes } = await captureTree(dir, folder, source);
      assert.deepEqual(notes, ['netlink IFLA_VF_STATS eth0: ENOBUFS']);
    });
    assert.equal((await createNodeReader({ root: folder }).read()).nics[0]?.vfs.length, 1);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
