/**
 * `hack/bench cni`: macvlan with host-local, process start to exit. One ADD and one DEL at a time,
 * then 64 of each at once. The sides take turns in every round, in a random order, so that whatever
 * disturbs the machine disturbs all of them.
 */
import { untilServing, withAgent } from './agent-process.ts';
import { type Bench, BenchError } from './bench.ts';
import { type CniCommand, cniJob } from './cni-sides.ts';
import { type Measurement, measurement, medianAndTail, type Side } from './measurement.ts';
import { benchShim } from './shim.ts';
import { shuffled } from './shuffled.ts';
import type { BatchResult } from './spawner.ts';

/** As many pods as a node starts when it comes back from a drain. */
const AT_ONCE = 64;
/**
 * Rounds that are not counted. The first calls meet cold caches and an agent whose code is not
 * compiled yet: that is a node's first pod, which `.first` shows, and not its usual one.
 */
const WARM_UP_ROUNDS = { one: 20, atOnce: 2 } as const;

export async function benchCni(bench: Bench): Promise<Measurement[]> {
  if (!bench.sides.includes('berth')) return await macvlanRows(bench);
  const rows = await withAgent(bench, {}, async () => {
    await untilServing(bench);
    return await macvlanRows(bench);
  });
  return [...rows, ...(await benchShim(bench))];
}

async function macvlanRows(bench: Bench): Promise<Measurement[]> {
  bench.say(`cni: ${bench.runs} ADDs and DELs of each side, one at a time`);
  const one = await rounds(bench, bench.runs, 1, WARM_UP_ROUNDS.one);
  const roundsAtOnce = Math.max(3, Math.ceil(bench.runs / 4));
  bench.say(`cni: ${AT_ONCE} ADDs and ${AT_ONCE} DELs of each side at once, ${roundsAtOnce} times`);
  const many = await rounds(bench, roundsAtOnce, AT_ONCE, WARM_UP_ROUNDS.atOnce);
  return [
    ...medianAndTail('cni.macvlan.add', 'ms', one.add),
    measurement('cni.macvlan.add.first', 'ms', one.firstAdd),
    ...medianAndTail('cni.macvlan.del', 'ms', one.del),
    measurement('cni.macvlan.del.settled', 'ms', one.settled),
    ...medianAndTail(`cni.macvlan.add${AT_ONCE}`, 'ms', many.add),
    ...medianAndTail(`cni.macvlan.del${AT_ONCE}`, 'ms', many.del),
    measurement(`cni.macvlan.del${AT_ONCE}.settled`, 'ms', many.settled),
  ];
}

type SideSamples = Record<Side, number[]>;

/** Milliseconds of each round, by side. */
interface Rounds {
  readonly add: SideSamples;
  readonly del: SideSamples;
  readonly settled: SideSamples;
  /** Of each side's very first ADD. */
  readonly firstAdd: SideSamples;
}

async function rounds(bench: Bench, count: number, atOnce: number, warmUp: number): Promise<Rounds> {
  const none = (): SideSamples => ({ berth: [], peer: [], limit: [] });
  const taken: Rounds = { add: none(), del: none(), settled: none(), firstAdd: none() };
  for (let round = -warmUp; round < count; round++) {
    for (const side of shuffled(bench.sides)) {
      const sandboxes = Array.from({ length: atOnce }, (_, i) => (i + Math.max(round, 0)) % bench.sandboxes.length);
      const added = await command(bench, side, 'ADD', sandboxes);
      const results = added.jobs.map((job) => (side === 'limit' ? {} : { addResult: job.stdout }));
      const deleted = await command(bench, side, 'DEL', sandboxes, results);
      if (round === -warmUp) taken.firstAdd[side].push(added.elapsedUs / 1000);
      if (round < 0) continue;
      taken.add[side].push(added.elapsedUs / 1000);
      taken.del[side].push(deleted.elapsedUs / 1000);
      taken.settled[side].push(deleted.settledUs / 1000);
    }
  }
  return taken;
}

async function command(
  bench: Bench,
  side: Side,
  name: CniCommand,
  sandboxes: readonly number[],
  results: readonly { readonly addResult?: string }[] = [],
): Promise<BatchResult> {
  const batch = await bench.spawner.run(
    sandboxes.map((sandbox, i) => cniJob(bench, side, name, { sandbox, ...results[i] })),
  );
  const problem = firstProblem(batch);
  if (problem !== undefined) throw new BenchError(`${side}: ${name} ${problem}`);
  return batch;
}

function firstProblem(batch: BatchResult): string | undefined {
  if (batch.timedOut) return 'did not end within its deadline';
  const failed = batch.jobs.find((job) => job.exit !== 0);
  if (failed !== undefined) return `failed with status ${failed.exit}: ${failed.stdout}${failed.stderr}`;
  return batch.jobs.some((job) => job.present) ? 'answered before the link was gone' : undefined;
}
