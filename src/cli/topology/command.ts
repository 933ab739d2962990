/** Body of `berth topology`. */
import { runningInventory } from '../commands.ts';
import type { ProgramDeps } from '../port.ts';
import { topologyOf } from './model.ts';
import { renderTopologySvg } from './svg.ts';
import { renderTopologyText } from './text.ts';

interface TopologyQuery {
  readonly output: string;
  readonly root: string;
  readonly runDir: string;
}

/** Of the running agent, which knows the pods; of a tree, or of a node without an agent. */
export function topologyCommand(deps: ProgramDeps) {
  return async ({ output, root, runDir }: TopologyQuery): Promise<number> => {
    const running = await runningInventory(deps, { runDir, root });
    const topology = topologyOf(running ?? (await deps.node.inventory(root)));
    deps.output.out(output === 'svg' ? renderTopologySvg(topology) : renderTopologyText(topology));
    return 0;
  };
}
