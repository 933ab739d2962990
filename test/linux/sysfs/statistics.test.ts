/** What interfaces counted, as the reader gives it. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import { captureTree } from '../../../src/linux/capture.ts';
import { createNodeReader } from '../../../src/linux/node-reader.ts';
import { withTree } from '../../trees/temporary.ts';

const LINK = { ifname: 'eth0', ifindex: 2 };
const FILES = [
  'rx_bytes',
  'rx_packets',
  'rx_errors',
  'rx_dropped',
  'tx_bytes',
  'tx_packets',
  'tx_errors',
  'tx_dropped',
];
const EXPECTED = {
  rxBytes: 12_345_678_901_234,
  rxPackets: 1,
  rxErrors: 2,
  rxDropped: 3,
  txBytes: 4,
  txPackets: 5,
  txErrors: 6,
  txDropped: 7,
};

async function withStatistics(body: (dir: string, folder: string) => Promise<void>): Promise<void> {
  await withTree({ pfs: [{}] }, async ({ dir }) => {
    const folder = join(dir, 'sys/class/net/eth0/statistics');
    mkdirSync(folder);
    for (const [index, name] of FILES.entries())
      writeFileSync(join(folder, name), `${index === 0 ? '12345678901234' : index}\n`);
    await body(dir, folder);
  });
}

test('an interface tells what it counted, beyond 32 bits', async () => {
  await withStatistics(async (dir) => {
    const counted = await createNodeReader({ root: dir }).linkCounters?.([LINK]);
    assert.deepEqual(counted, new Map([['eth0', EXPECTED]]));
  });
});

test("an interface that is gone, or whose name is another's by now, tells nothing", async () => {
  await withStatistics(async (dir) => {
    const links = [
      { ifname: 'eth7', ifindex: 7 },
      { ifname: 'eth0', ifindex: 77 },
    ];
    assert.deepEqual(await createNodeReader({ root: dir }).linkCounters?.(links), new Map());
  });
});

test('half an answer is none', async () => {
  await withStatistics(async (dir, folder) => {
    rmSync(join(folder, 'tx_errors'));
    assert.deepEqual(await createNodeReader({ root: dir }).linkCounters?.([LINK]), new Map());
    writeFileSync(join(folder, 'tx_errors'), 'many\n');
    assert.deepEqual(await createNodeReader({ root: dir }).linkCounters?.([LINK]), new Map());
  });
});

test('a capture has them', async () => {
  await withStatistics(async (dir) => {
    await captureTree(dir, join(dir, 'copy'));
    const counted = await createNodeReader({ root: join(dir, 'copy') }).linkCounters?.([LINK]);
    assert.deepEqual(counted?.get('eth0'), EXPECTED);
  });
});

test.run();
