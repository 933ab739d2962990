/** Part of `hack/bench kubelet`: planning a configuration of 100 pools on a node with 2,048 VFs. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseConfig } from '../../src/config/index.ts';
import { evaluate } from '../../src/engine/pools/evaluate.ts';
import { createNodeReader } from '../../src/linux/node-reader.ts';
import { generateTree } from '../../test/trees/generate.ts';
import { type Bench, BenchError } from './bench.ts';
import { type Measurement, measurement } from './measurement.ts';
import { WORK_DIR } from './private-node.ts';

const POOLS = 100;
const PFS = 16;
const VFS_OF_EACH = 128;
const TREE = `${WORK_DIR}/tree-plan`;
const CONFIG = `${WORK_DIR}/pools.json`;

/** The whole command with its start and its reading of the tree, and the evaluation of the pools alone. */
export async function planRows(bench: Bench): Promise<Measurement[]> {
  mkdirSync(TREE);
  generateTree(TREE, { numaNodes: 2, pfs: Array.from({ length: PFS }, () => ({ vfs: VFS_OF_EACH })) });
  const text = configuration();
  writeFileSync(CONFIG, text);
  const runs = Math.max(3, Math.ceil(bench.runs / 8));
  bench.say(`kubelet: ${runs} plans of ${POOLS} pools on ${PFS * VFS_OF_EACH} VFs`);
  const command: number[] = [];
  const bare: number[] = [];
  for (let run = 0; run < runs; run++) {
    const planned = await bench.spawner.run([{ argv: [bench.programs.berth, 'plan', '-f', CONFIG, '--root', TREE] }]);
    const [job] = planned.jobs;
    if (job?.exit !== 0) throw new BenchError(`berth plan failed: ${job?.stderr}`);
    command.push(planned.elapsedUs / 1000);
    bare.push((await bench.spawner.run([{ argv: [process.execPath, '--eval', '0'] }])).elapsedUs / 1000);
  }
  return [
    measurement('kubelet.plan', 'ms', { berth: command, limit: bare }),
    measurement('kubelet.plan.evaluate', 'ms', { berth: await evaluations(text, bench.runs) }),
  ];
}

/** What the running agent does for each change. */
async function evaluations(text: string, runs: number): Promise<number[]> {
  const { config, problems } = parseConfig(text, CONFIG);
  if (config === undefined) throw new BenchError(`the configuration is refused: ${problems[0]?.message}`);
  const inventory = await createNodeReader({ root: TREE }).read();
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    const plan = evaluate(config.pools, { inventory, heldDevices: new Map(), uplinkUse: new Map() });
    times.push(performance.now() - start);
    const devices = plan.pools.reduce((sum, pool) => sum + pool.devices.length, 0);
    if (devices !== PFS * VFS_OF_EACH) throw new BenchError(`the plan has ${devices} devices`);
  }
  return times;
}

/** Pool after pool takes some VFs of every PF; the last one takes the rest. */
function configuration(): string {
  const pools = Array.from({ length: POOLS }, (_, at) => {
    const pfNames = Array.from({ length: PFS }, (_pf, pf) => `eth${pf}#${at}`);
    return { name: `pool-${at}`, kind: 'vf', selectors: at < POOLS - 1 ? [{ vendors: ['8086'], pfNames }] : [{}] };
  });
  return JSON.stringify({ pools });
}
