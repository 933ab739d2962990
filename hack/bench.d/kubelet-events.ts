/**
 * Part of `hack/bench kubelet`: from a change in the kernel until kubelet has the list that says so,
 * while 200 other changes arrive in every second. The change is the carrier of the private node's
 * uplink; the others are another link that goes up and down. Kubelet must not get a message for each
 * of them.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import type { StandInKubelet } from '../../test/standins/kubelet/index.ts';
import { type Bench, BenchError } from './bench.ts';
import { type Measurement, measurement } from './measurement.ts';
import { UPLINK } from './private-node.ts';
import { healthySlots, SLOTS, withSlots } from './slots.ts';

const NOISE = 'noise0';
const NOISE_MS = 5;
/** Two messages tell of one run: the carrier is gone, and it is back. */
const MESSAGES_OF_EACH = 2;

export async function eventRows(bench: Bench, kubelet: StandInKubelet): Promise<Measurement[]> {
  execFileSync('ip', ['link', 'add', NOISE, 'type', 'veth', 'peer', 'name', `${NOISE}-peer`]);
  return await withSlots(bench, kubelet, async () => {
    bench.say(
      `kubelet: ${bench.runs} times the uplink loses its carrier, with ${1000 / NOISE_MS} other events a second`,
    );
    const before = messages(kubelet);
    const { events, times } = await underNoise(() => carrierTimes(bench, kubelet));
    const sent = messages(kubelet) - before;
    if (sent > MESSAGES_OF_EACH * bench.runs)
      throw new BenchError(`${sent} messages for ${bench.runs} runs: not coalesced`);
    bench.say(`kubelet: ${events} other events, ${sent} messages`);
    return [
      measurement('kubelet.event', 'ms', { berth: times }),
      measurement('kubelet.event.p99', 'ms', { berth: times }, { share: 0.99 }),
      measurement('kubelet.event.max', 'ms', { berth: times }, { share: 1 }),
    ];
  });
}

/** Takes a link that has no slots up and down meanwhile. */
async function underNoise(
  body: () => Promise<number[]>,
): Promise<{ readonly events: number; readonly times: number[] }> {
  let events = 0;
  let up = false;
  const timer = setInterval(() => {
    up = !up;
    setUp(NOISE, up);
    events++;
  }, NOISE_MS);
  try {
    const times = await body();
    return { events, times };
  } finally {
    clearInterval(timer);
  }
}

async function carrierTimes(bench: Bench, kubelet: StandInKubelet): Promise<number[]> {
  const times: number[] = [];
  for (let run = 0; run < bench.runs; run++) {
    for (const [up, healthy] of [
      [false, 0],
      [true, SLOTS],
    ] as const) {
      const start = performance.now();
      setUp(`${UPLINK}-peer`, up);
      await kubelet.until(() => healthySlots(kubelet) === healthy, `${healthy} healthy slots`);
      times.push(performance.now() - start);
    }
  }
  return times;
}

function messages(kubelet: StandInKubelet): number {
  return kubelet.events.filter(({ event }) => event === 'ListAndWatch.send').length;
}

/** By sysfs, which costs microseconds; a program would cost milliseconds of what is measured. */
export function setUp(ifname: string, up: boolean): void {
  const path = `/sys/class/net/${ifname}/flags`;
  const flags = Number(readFileSync(path, 'utf8'));
  writeFileSync(path, `0x${(up ? flags | 1 : flags & ~1).toString(16)}`);
}
