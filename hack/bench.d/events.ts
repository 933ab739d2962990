/**
 * `hack/bench events`: from a change in the kernel until kubelet has the list of devices that says
 * so. The change is the carrier of the private node's uplink, which its 1,000 slots follow. A
 * change that kubelet is not told of within 10 s ends the benchmark.
 */
import { createKubelet, type StandInKubelet } from '../../test/standins/kubelet/index.ts';
import { KUBELET_DIR } from './agent-process.ts';
import type { Bench } from './bench.ts';
import { setUp } from './kubelet-events.ts';
import { type Measurement, measurement, medianAndTail } from './measurement.ts';
import { UPLINK } from './private-node.ts';
import { healthySlots, SLOTS, withSlots } from './slots.ts';

export async function benchEvents(bench: Bench): Promise<Measurement[]> {
  const kubelet = await createKubelet({ dir: KUBELET_DIR });
  try {
    const times = await withSlots(bench, kubelet, () => eventTimes(bench, kubelet));
    return [
      ...medianAndTail('agent.event', 'ms', { berth: times }),
      measurement('agent.event.max', 'ms', { berth: times }, { share: 1 }),
    ];
  } finally {
    await kubelet.stop();
  }
}

/** Milliseconds from just before the change is made until kubelet has the new list, both ways. */
async function eventTimes(bench: Bench, kubelet: StandInKubelet): Promise<number[]> {
  bench.say(`events: ${bench.runs} times the uplink loses its carrier and gets it back`);
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
