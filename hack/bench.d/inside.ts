/**
 * The inner half of `hack/bench`: the first process of a private node. Furnishes it, runs one
 * benchmark and prints the measurements as JSON. Everything it leaves ends with the node.
 *
 * It is started by main.ts with its options as one JSON argument, which is ours and not checked.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import type { Bench, Benchmark, Programs } from './bench.ts';
import type { Measurement, Side } from './measurement.ts';
import type { BenchmarkName } from './names.ts';
import { furnishNode } from './private-node.ts';
import { Spawner } from './spawner.ts';

export interface InsideOptions {
  readonly name: BenchmarkName;
  readonly runs: number;
  readonly sides: readonly Side[];
  readonly programs: Programs;
  /** It runs in the lab's machine: its first NIC has VFs, and ipvlan is there. */
  readonly lab: boolean;
}

const SANDBOXES = 64;
/** Where `ip netns` has them, so that `ip -n 3` finds the fourth. */
const SANDBOX_DIR = '/run/netns';

/** Loaded when they are run, so that no benchmark carries another's modules. */
const BENCHMARKS: Record<BenchmarkName, () => Promise<Benchmark>> = {
  cni: async () => (await import('./cni.ts')).benchCni,
  shim: async () => (await import('./shim.ts')).benchShim,
  discovery: async () => (await import('./discovery.ts')).benchDiscovery,
  agent: async () => (await import('./agent.ts')).benchAgent,
  events: async () => (await import('./events.ts')).benchEvents,
  cycles: async () => (await import('./cycles.ts')).benchCycles,
  page: async () => (await import('./page.ts')).benchPage,
  rest: async () => (await import('./rest.ts')).benchRest,
  kubelet: async () => (await import('./kubelet.ts')).benchKubelet,
};

/** The same names' other parts, for the lab. */
const LAB_BENCHMARKS: Partial<Record<BenchmarkName, () => Promise<Benchmark>>> = {
  cni: async () => (await import('./cni-lab.ts')).benchCniLab,
};

async function main(options: InsideOptions): Promise<Measurement[]> {
  furnishNode({ hasOwnSysfs: options.lab });
  mkdirSync(SANDBOX_DIR);
  execFileSync(options.programs.sandboxes, [SANDBOX_DIR, String(SANDBOXES)]);
  const spawner = new Spawner(options.programs.spawn);
  const bench: Bench = {
    spawner,
    runs: options.runs,
    sides: options.sides,
    programs: options.programs,
    sandboxes: Array.from({ length: SANDBOXES }, (_, i) => `${SANDBOX_DIR}/${i}`),
    say: (line) => process.stderr.write(`${line}\n`),
  };
  try {
    const load = options.lab ? LAB_BENCHMARKS[options.name] : BENCHMARKS[options.name];
    if (load === undefined) throw new Error(`${options.name} has no part for the lab`);
    const run = await load();
    return await run(bench);
  } finally {
    await spawner.close();
  }
}

try {
  const measurements = await main(JSON.parse(process.argv[2] ?? '') as InsideOptions);
  process.stdout.write(JSON.stringify(measurements));
} catch (error) {
  process.stderr.write(`hack/bench: ${error instanceof Error ? error.message : String(error)}\n`);
  // What a failed benchmark still waits for would keep the node alive.
  process.exit(1);
}
