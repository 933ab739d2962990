/** A pool of 1,000 macvlan slots on the private node's uplink, registered with the stand-in kubelet. */
import { writeFileSync } from 'node:fs';
import type { StandInKubelet } from '../../test/standins/kubelet/index.ts';
import { type Agent, withAgent } from './agent-process.ts';
import type { Bench } from './bench.ts';
import { UPLINK, WORK_DIR } from './private-node.ts';

export const SLOTS = 1000;

/** Runs `body` with an agent whose slots kubelet has. */
export async function withSlots<T>(
  bench: Bench,
  kubelet: StandInKubelet,
  body: (agent: Agent) => Promise<T>,
): Promise<T> {
  const config = `${WORK_DIR}/slots.json`;
  const pool = {
    name: 'bench',
    kind: 'macvlan',
    uplinks: [{ names: [UPLINK] }],
    capacity: SLOTS,
    health: { holdDownSeconds: 0 },
  };
  writeFileSync(config, JSON.stringify({ pools: [pool] }));
  return await withAgent(bench, { options: ['--config', config] }, async (agent) => {
    await kubelet.until(() => healthySlots(kubelet) === SLOTS, 'the slots', 60_000);
    return await body(agent);
  });
}

/** How many slots kubelet counts as healthy now. */
export function healthySlots(kubelet: StandInKubelet): number | undefined {
  return kubelet.node().allocatable['berth.dev/bench'];
}
