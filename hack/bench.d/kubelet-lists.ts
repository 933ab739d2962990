/**
 * Part of `hack/bench kubelet`: the longest list that kubelet takes, 4 MiB, and one slot more on
 * each uplink, which must be refused with its size. The configuration is swapped under the running
 * agent each time.
 */
import { execFileSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import type { StandInKubelet } from '../../test/standins/kubelet/index.ts';
import { withAgent } from './agent-process.ts';
import { type Bench, BenchError } from './bench.ts';
import { type Measurement, measurement } from './measurement.ts';
import { WORK_DIR } from './private-node.ts';

const RESOURCE = 'berth.dev/large';
const CONFIG = `${WORK_DIR}/large.json`;
const LIMIT_BYTES = 4 * 1024 * 1024;
const UPLINKS = Array.from({ length: 20 }, (_, at) => `bench-wire-${at + 10}`);
const SWAPS = 3;
const SWAP_LIMIT_MS = 60_000;

export async function listRows(bench: Bench, kubelet: StandInKubelet): Promise<Measurement[]> {
  for (const [at, name] of UPLINKS.entries()) {
    execFileSync('ip', ['link', 'add', name, 'up', 'type', 'veth', 'peer', 'name', `wire${at}-peer`]);
    execFileSync('ip', ['link', 'set', `wire${at}-peer`, 'up']);
  }
  const most = mostSlots();
  bench.say(`kubelet: lists of ${most * UPLINKS.length} and ${(most + 1) * UPLINKS.length} devices`);
  configure(1);
  return await withAgent(bench, { options: ['--config', CONFIG] }, async () => {
    await kubelet.until(() => listed(kubelet) === UPLINKS.length, 'the first list', SWAP_LIMIT_MS);
    const times: number[] = [];
    for (let swap = 0; swap < SWAPS; swap++) {
      times.push(await swapped(kubelet, most, most * UPLINKS.length));
      await swapped(kubelet, most + 1, 0);
      await requireRefusal(bench, (most + 1) * UPLINKS.length);
    }
    return [measurement('kubelet.list4mib', 'ms', { berth: times })];
  });
}

/** Slots on each uplink that still fit: tags, lengths and `Healthy` take 13 bytes beside an id. */
function mostSlots(): number {
  let bytes = 0;
  for (let slots = 0; ; slots++) {
    for (const name of UPLINKS) bytes += 13 + name.length + 1 + String(slots).length;
    if (bytes > LIMIT_BYTES) return slots;
  }
}

/** Milliseconds from the new file until kubelet counts that many devices. */
async function swapped(kubelet: StandInKubelet, capacity: number, devices: number): Promise<number> {
  const start = performance.now();
  configure(capacity);
  await kubelet.until(() => listed(kubelet) === devices, `${devices} devices`, SWAP_LIMIT_MS);
  return performance.now() - start;
}

function configure(capacity: number): void {
  const pool = { name: 'large', kind: 'macvlan', uplinks: [{ names: UPLINKS }], capacity, excludeTopology: true };
  writeFileSync(`${CONFIG}.new`, JSON.stringify({ pools: [pool] }));
  renameSync(`${CONFIG}.new`, CONFIG);
}

function listed(kubelet: StandInKubelet): number | undefined {
  return kubelet.node().allocatable[RESOURCE];
}

async function requireRefusal(bench: Bench, devices: number): Promise<void> {
  const status = await bench.spawner.run([{ argv: [bench.programs.berth, 'status', '-o', 'json'] }]);
  const said = status.jobs[0]?.stdout ?? '';
  if (!said.includes(`has ${devices} devices and `))
    throw new BenchError(`status does not tell of ${devices}: ${said}`);
}
