/**
 * The shim's own share: what its process costs with an agent that answers at once (responder.c),
 * against the least that a process can cost, and (`cni.shim.static`) against an ordinary static
 * program that does nothing. Also VERSION, which it answers by itself, against the reference
 * plugin's.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Bench, BenchError } from './bench.ts';
import { cniJob } from './cni-sides.ts';
import { type Measurement, measurement, medianAndTail } from './measurement.ts';
import { WORK_DIR } from './private-node.ts';
import { shuffled } from './shuffled.ts';
import type { Job } from './spawner.ts';

const SOCKET = `${WORK_DIR}/responder.sock`;
/** They take a millisecond each: many of them cost nothing and quieten the median. */
const RUNS_FACTOR = 5;
const WARM_UP_ROUNDS = 5;

/** `hack/bench shim`; its rows are the last of `hack/bench cni` too. */
export async function benchShim(bench: Bench): Promise<Measurement[]> {
  const runs = bench.runs * RUNS_FACTOR;
  bench.say(`shim: ${runs} starts of each program`);
  const responder = spawn(bench.programs.responder, [SOCKET], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(responder, 'exit');
  try {
    const ready = await Promise.race([once(responder.stdout, 'data'), ended.then(() => undefined)]);
    if (ready === undefined) throw new BenchError('the responder ended before it listened');
    return await rows(bench, runs);
  } finally {
    responder.kill();
    await ended;
  }
}

async function rows(bench: Bench, runs: number): Promise<Measurement[]> {
  const add = cniJob(bench, 'berth', 'ADD', { sandbox: 0 });
  const version = { env: { CNI_COMMAND: 'VERSION', CNI_PATH: bench.programs.peer }, stdin: '{"cniVersion":"1.0.0"}' };
  const jobs = {
    bare: { argv: [bench.programs.bare] },
    empty: { argv: [bench.programs.empty] },
    request: { ...add, env: { ...add.env, BERTH_CNI_SOCKET: SOCKET } },
    version: { argv: [bench.programs.shim], ...version },
    peerVersion: { argv: [`${bench.programs.peer}/macvlan`], ...version },
  } satisfies Record<string, Job>;
  const taken: Record<keyof typeof jobs, number[]> = { bare: [], empty: [], request: [], version: [], peerVersion: [] };
  for (let round = -WARM_UP_ROUNDS; round < runs; round++) {
    for (const [name, job] of shuffled(Object.entries(jobs) as [keyof typeof jobs, Job][])) {
      const { jobs: results } = await bench.spawner.run([job]);
      const result = results[0];
      if (result === undefined || result.exit !== 0) throw new BenchError(`${name} failed: ${JSON.stringify(result)}`);
      if (round >= 0) taken[name].push(result.us);
    }
  }
  return [
    ...medianAndTail('cni.shim', 'us', { berth: taken.request, limit: taken.bare }),
    measurement('cni.shim.static', 'us', { berth: taken.request, limit: taken.empty }),
    ...medianAndTail('cni.shim.version', 'us', { berth: taken.version, peer: taken.peerVersion, limit: taken.bare }),
  ];
}
