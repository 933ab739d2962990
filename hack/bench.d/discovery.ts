/**
 * `hack/bench discovery`: a node with 2,048 VFs. Reading all of it, and reading again after one
 * change. The node is a generated tree of files on a tmpfs, read by the code that reads /sys.
 */
import { mkdirSync } from 'node:fs';
import type { Inventory, Vf } from '../../src/engine/inventory/model.ts';
import type { ChangeHint, NodeReader } from '../../src/engine/inventory/port.ts';
import { createNodeReader } from '../../src/linux/node-reader.ts';
import { changeTree, generateTree } from '../../test/trees/generate.ts';
import { type Bench, BenchError } from './bench.ts';
import { type Measurement, measurement, medianAndTail } from './measurement.ts';
import { WORK_DIR } from './private-node.ts';
import { longestTurnMs } from './turn-watch.ts';

const PFS = 16;
const VFS_OF_EACH = 128;
const TREE = `${WORK_DIR}/tree-2048`;
/** Each run changes two VFs that no earlier one has touched. */
const MOST_CHANGES = (PFS * VFS_OF_EACH) / 2;
/** Until the engine has compiled what it will compile. */
const WARM_UP_READS = 2;

export async function benchDiscovery(bench: Bench): Promise<Measurement[]> {
  mkdirSync(TREE);
  generateTree(TREE, { numaNodes: 2, pfs: Array.from({ length: PFS }, () => ({ vfs: VFS_OF_EACH })) });
  const reader = createNodeReader({ root: TREE });
  const fullRuns = Math.max(3, Math.ceil(bench.runs / 4));
  bench.say(`discovery: ${fullRuns} full reads of ${PFS * VFS_OF_EACH} VFs, ${bench.runs} re-reads after a change`);

  const { ms: firstMs } = await timed(() => createNodeReader({ root: TREE }).read());
  const full: number[] = [];
  const turns: number[] = [];
  let inventory = await reader.read();
  for (let run = -WARM_UP_READS; run < fullRuns; run++) {
    let ms = 0;
    const turn = await longestTurnMs(async () => {
      ({ ms, result: inventory } = await timed(() => reader.read()));
    });
    if (count(inventory) !== PFS * VFS_OF_EACH) throw new BenchError(`a read found ${count(inventory)} VFs`);
    if (run < 0) continue;
    full.push(ms);
    turns.push(turn);
  }
  return [
    measurement('discovery.full', 'ms', { berth: full }),
    measurement('discovery.full.first', 'ms', { berth: [firstMs] }),
    measurement('discovery.full.turn', 'ms', { berth: turns }),
    measurement('discovery.full.turn.max', 'ms', { berth: turns }, { share: 1 }),
    ...(await changes(bench, reader, inventory)),
  ];
}

async function changes(bench: Bench, reader: NodeReader, before: Inventory): Promise<Measurement[]> {
  let inventory = before;
  const rebound: number[] = [];
  const relinked: number[] = [];
  const turns: number[] = [];
  const reread = async (hints: readonly ChangeHint[], into: number[]): Promise<void> => {
    const turn = await longestTurnMs(async () => {
      const { ms, result } = await timed(() => reader.reread(inventory, hints));
      into.push(ms);
      inventory = result;
    });
    turns.push(turn);
  };
  for (let run = 0; run < Math.min(bench.runs, MOST_CHANGES); run++) {
    const { address } = vfAt(inventory, run, 0);
    changeTree.rebind(TREE, address, 'vfio-pci');
    await reread([{ kind: 'pci', address, action: 'bind' }], rebound);
    const bound = vfAt(inventory, run, 0);
    if (bound.driver !== 'vfio-pci') throw new BenchError(`${address} is on ${bound.driver} after it was rebound`);

    const { netdev } = vfAt(inventory, run, 1);
    if (netdev === undefined) throw new BenchError('a VF without a netdev in the generated tree');
    changeTree.setNetdev(TREE, netdev.ifname, 'mtu', String(1600 + run));
    const hint = { kind: 'link', ifindex: netdev.ifindex, ifname: netdev.ifname, action: 'new' } as const;
    await reread([hint], relinked);
    const mtu = vfAt(inventory, run, 1).netdev?.mtuBytes;
    if (mtu !== 1600 + run) throw new BenchError(`${netdev.ifname} has MTU ${mtu} after it was set to ${1600 + run}`);
  }
  return [
    ...medianAndTail('discovery.change', 'ms', { berth: rebound }),
    ...medianAndTail('discovery.change.link', 'ms', { berth: relinked }),
    measurement('discovery.change.turn.max', 'ms', { berth: turns }, { share: 1 }),
  ];
}

/** Two VFs for each run, spread over the PFs: one is rebound, one has its link changed. */
function vfAt(inventory: Inventory, run: number, which: 0 | 1): Vf {
  const vfs = inventory.nics[run % PFS]?.vfs ?? [];
  const vf = vfs[(2 * Math.floor(run / PFS) + which) % VFS_OF_EACH];
  if (vf === undefined) throw new BenchError(`the inventory has no VF for run ${run}`);
  return vf;
}

function count(inventory: Inventory): number {
  return inventory.nics.reduce((sum, nic) => sum + nic.vfs.length, 0);
}

async function timed<T>(work: () => Promise<T>): Promise<{ readonly ms: number; readonly result: T }> {
  const start = performance.now();
  const result = await work();
  return { ms: performance.now() - start, result };
}
