/**
 * `hack/bench agent`: from the agent's start until kubelet has every resource, and the memory it
 * takes, idle and with a thousand attachments.
 *
 * Kubelet is the strict stand-in of the tests. The node to start on is a generated tree, two NICs
 * with 7 VFs each; the node to attach on is the bench's private one.
 */
import { mkdirSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { createKubelet, type StandInKubelet } from '../../test/standins/kubelet/index.ts';
import { generateTree } from '../../test/trees/generate.ts';
import { KUBELET_DIR, residentMiB, untilServing, withAgent } from './agent-process.ts';
import { type Bench, BenchError } from './bench.ts';
import { cniJob } from './cni-sides.ts';
import { type Measurement, measurement } from './measurement.ts';
import { WORK_DIR } from './private-node.ts';
import { withSlots } from './slots.ts';

const TREE = `${WORK_DIR}/tree-14`;
/** What zero configuration offers on that tree. */
const RESOURCES = ['berth.dev/vf', 'berth.dev/macvlan', 'berth.dev/ipvlan'];
const ATTACHMENTS = 1000;
/** What the garbage collector and late start-up work need to come to rest. */
const REST_MS = 5000;

export async function benchAgent(bench: Bench): Promise<Measurement[]> {
  mkdirSync(TREE);
  generateTree(TREE, { numaNodes: 2, pfs: [0, 1].map(() => ({ totalVfs: 7, vfs: 7 })) });
  const kubelet = await createKubelet({ dir: KUBELET_DIR });
  try {
    return [...(await startRows(bench, kubelet)), ...(await attachedRows(bench, kubelet))];
  } finally {
    await kubelet.stop();
  }
}

async function startRows(bench: Bench, kubelet: StandInKubelet): Promise<Measurement[]> {
  const starts = Math.max(3, Math.ceil(bench.runs / 8));
  bench.say(`agent: ${starts} starts, and ${REST_MS / 1000} s of rest after each`);
  const registered: number[] = [];
  const idle: number[] = [];
  const bare: number[] = [];
  for (let run = 0; run < starts; run++) {
    await withAgent(bench, { tree: TREE }, async (agent) => {
      await kubelet.until(() => RESOURCES.every((name) => kubelet.isRegistered(name)), 'registration', 60_000);
      registered.push(performance.now() - agent.startedAtMs);
      await setTimeout(REST_MS);
      idle.push(residentMiB(agent));
    });
    await kubelet.until(() => !RESOURCES.some((name) => kubelet.isRegistered(name)), 'the end of registration');
    const empty = await bench.spawner.run([{ argv: [process.execPath, '--eval', '0'] }]);
    bare.push(empty.elapsedUs / 1000);
  }
  return [
    measurement('agent.start', 'ms', { berth: registered, limit: bare }),
    measurement('agent.rss', 'MiB', { berth: idle }),
  ];
}

/** On the private node itself: a thousand links that are really there. */
async function attachedRows(bench: Bench, kubelet: StandInKubelet): Promise<Measurement[]> {
  bench.say(`agent: ${ATTACHMENTS} attachments`);
  return await withSlots(bench, kubelet, async (agent) => {
    await untilServing(bench);
    await attachMany(bench);
    await setTimeout(REST_MS);
    return [measurement(`agent.rss.${ATTACHMENTS}`, 'MiB', { berth: [residentMiB(agent)] })];
  });
}

async function attachMany(bench: Bench): Promise<void> {
  for (let first = 0; first < ATTACHMENTS; first += bench.sandboxes.length) {
    const count = Math.min(bench.sandboxes.length, ATTACHMENTS - first);
    const ifname = `net${first / bench.sandboxes.length}`;
    const jobs = Array.from({ length: count }, (_, sandbox) =>
      cniJob(bench, 'berth', 'ADD', { sandbox, ifname, defaultRoute: first === 0 }),
    );
    const batch = await bench.spawner.run(jobs);
    const failed = batch.jobs.find((job) => job.exit !== 0);
    if (failed !== undefined) throw new BenchError(`ADD failed with status ${failed.exit}: ${failed.stdout}`);
  }
}
