/**
 * `hack/bench cycles`: 10,000 ADDs and DELs, 64 at a time, through the shim, and what the agent has
 * then that it had not before: memory, descriptors, files. All of it has to be flat. And how long the
 * attachment engine itself holds the event loop while 64 attachments are deleted, beside a Node.js
 * that does nothing: starting processes delays both, so the clock would tell little.
 *
 * Without a limit and a peer, which is no agent; `--runs` changes nothing.
 */
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { createAttachments } from '../../src/engine/attachments/index.ts';
import { systemClock } from '../../src/engine/clock.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { parseContainerId, parseIfName, parseNetworkName } from '../../src/engine/values.ts';
import { createOwnedAddresses } from '../../src/linux/files/owned-addresses.ts';
import { createRecordStore } from '../../src/linux/files/record-store.ts';
import { createReservationStore } from '../../src/linux/files/reservation-store.ts';
import { createKernel } from '../../src/linux/kernel.ts';
import { type Agent, untilServing, withAgent } from './agent-process.ts';
import { type Bench, BenchError } from './bench.ts';
import { cniJob } from './cni-sides.ts';
import { type Measurement, measurement } from './measurement.ts';
import { UPLINK, WORK_DIR } from './private-node.ts';
import { longestTurnMs } from './turn-watch.ts';

const CYCLES = 10_000;
/** Until here the runtime still grows: compiled code, pools, the heap's and the allocator's own measure. */
const WARM_UP_CYCLES = 10_000;
/** What the garbage collector and late closing of descriptors need to come to rest. */
const REST_MS = 3_000;
const HOLD_ROUNDS = 10;
/** Where the agent and host-local keep their files; the private node has its own. */
const STATE_FOLDERS = ['/run/berth', '/var/lib/berth', '/var/lib/cni'];

interface Held {
  readonly rssMiB: number;
  readonly descriptors: number;
  readonly files: number;
}

export async function benchCycles(bench: Bench): Promise<Measurement[]> {
  const rows = await withAgent(bench, {}, async (agent) => {
    await untilServing(bench);
    bench.say(`cycles: ${WARM_UP_CYCLES} ADDs and DELs that are not counted`);
    await cycle(bench, WARM_UP_CYCLES);
    const begin = await held(agent);
    bench.say(`cycles: ${CYCLES} ADDs and DELs`);
    const startedMs = performance.now();
    await cycle(bench, CYCLES);
    const eachMs = (performance.now() - startedMs) / CYCLES;
    const end = await held(agent);
    return [
      measurement('cycles.each', 'ms', { berth: [eachMs] }),
      measurement('cycles.rss.begin', 'MiB', { berth: [begin.rssMiB] }),
      measurement('cycles.rss.end', 'MiB', { berth: [end.rssMiB] }),
      measurement('cycles.descriptors.begin', 'count', { berth: [begin.descriptors] }),
      measurement('cycles.descriptors.end', 'count', { berth: [end.descriptors] }),
      measurement('cycles.files.begin', 'count', { berth: [begin.files] }),
      measurement('cycles.files.end', 'count', { berth: [end.files] }),
    ];
  });
  return [...rows, await holdRow(bench)];
}

async function cycle(bench: Bench, count: number): Promise<void> {
  for (let done = 0; done < count; done += bench.sandboxes.length) {
    const sandboxes = Array.from({ length: Math.min(bench.sandboxes.length, count - done) }, (_, i) => i);
    for (const command of ['ADD', 'DEL'] as const) {
      const batch = await bench.spawner.run(sandboxes.map((sandbox) => cniJob(bench, 'berth', command, { sandbox })));
      const failed = batch.jobs.find((job) => job.exit !== 0);
      if (failed !== undefined) throw new BenchError(`${command} failed with status ${failed.exit}: ${failed.stdout}`);
    }
  }
}

async function held({ pid }: Agent): Promise<Held> {
  await setTimeout(REST_MS);
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return {
    rssMiB: Number(kib) / 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    files: STATE_FOLDERS.reduce((sum, folder) => sum + filesBelow(folder), 0),
  };
}

function filesBelow(folder: string): number {
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .reduce((sum, path) => sum + (statSync(path).isDirectory() ? filesBelow(path) : 1), 0);
}

/** The engine in this process, where a turn of the loop can be seen, on the same node. */
async function holdRow(bench: Bench): Promise<Measurement> {
  bench.say(`cycles: the longest turn of the event loop while ${bench.sandboxes.length} attachments are deleted`);
  const folder = `${WORK_DIR}/hold`;
  mkdirSync(folder);
  const kernel = createKernel({ pciFunction: () => Promise.resolve(undefined) });
  const engine = createAttachments({
    kernel,
    records: createRecordStore(`${folder}/attachments`),
    reservations: createReservationStore(systemClock),
    ownedAddresses: createOwnedAddresses(`${folder}/addresses`),
    clock: systemClock,
    log: silentLogger,
    bootId: 'bench',
  });
  const operation = { requestId: 'bench', signal: new AbortController().signal };
  const keyOf = (index: number) => ({ containerId: parseContainerId(`hold-${index}`), ifname: parseIfName('net1') });
  const attach = async (path: string, index: number): Promise<void> => {
    const sandbox = await kernel.open(path);
    if (sandbox === undefined) throw new BenchError(`${path} cannot be opened`);
    try {
      await engine.attach(
        {
          key: keyOf(index),
          network: parseNetworkName('hold'),
          sandbox,
          sandboxPath: path,
          link: { kind: 'macvlan', uplink: UPLINK, mode: 'bridge' },
          ipam: {
            type: 'host-local',
            rangeSets: [[{ subnet: '10.94.0.0/16' }]],
            routes: [],
            dataDir: `${folder}/networks`,
            requested: [],
            dns: {},
          },
        },
        operation,
      );
    } finally {
      sandbox.close();
    }
  };
  const berth: number[] = [];
  const idle: number[] = [];
  for (let round = 0; round < HOLD_ROUNDS; round += 1) {
    await Promise.all(bench.sandboxes.map(attach));
    const startedMs = performance.now();
    const deleted = bench.sandboxes.map((_path, index) => index);
    berth.push(
      await longestTurnMs(async () => {
        await Promise.all(deleted.map((index) => engine.detach(keyOf(index), undefined, operation)));
      }),
    );
    const tookMs = performance.now() - startedMs;
    idle.push(await longestTurnMs(() => setTimeout(tookMs)));
  }
  await engine.stop();
  kernel.close();
  return measurement('cycles.hold64', 'ms', { berth, limit: idle });
}
