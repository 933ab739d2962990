/** Body of `berth explain`: each pool's verdict on one device. */
import type { Explanation } from '../engine/view.ts';
import { fromRunningAgent } from './commands.ts';
import { documentText } from './document.ts';
import { runningAgent } from './plan.ts';
import type { ProgramDeps } from './port.ts';
import { renderExplanation } from './status-output.ts';

/** Options of the command. */
export interface ExplainOptions {
  readonly output: string;
  readonly runDir: string;
  readonly root: string;
  readonly file?: string;
  readonly resourcePrefix?: string;
}

export function explainCommand(deps: ProgramDeps) {
  return async (device: string, options: ExplainOptions): Promise<number> => {
    const explanation = await explanationOf(deps, device, options);
    const { out, now } = deps.output;
    out(documentText(explanation, options.output) ?? renderExplanation(explanation, now()));
    return 0;
  };
}

async function explanationOf(deps: ProgramDeps, device: string, options: ExplainOptions): Promise<Explanation> {
  const { file, resourcePrefix, root, runDir } = options;
  if (file === undefined && resourcePrefix === undefined) {
    const path = `/v1/explain?device=${encodeURIComponent(device)}`;
    const explanation = await fromRunningAgent<Explanation>(deps, { runDir, root }, path);
    if (explanation !== undefined) return explanation;
    return deps.node.explain({ root, device });
  }
  const running = await runningAgent(deps, options);
  const prefix = resourcePrefix ?? running?.resourcePrefix;
  return deps.node.explain({
    root,
    device,
    ...(file === undefined ? {} : { file }),
    ...(prefix === undefined ? {} : { resourcePrefix: prefix }),
    ...(running === undefined ? {} : { running }),
  });
}
