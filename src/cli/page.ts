/** Body of `berth page`. */
import type { PageAccess } from '../engine/view.ts';
import type { ProgramDeps } from './port.ts';

/** Only who may open the agent's socket learns the token. Throws `NotFound` when no page is served. */
export function pageCommand(deps: ProgramDeps) {
  return async ({ runDir }: { readonly runDir: string }): Promise<number> => {
    const { url } = await deps.agent<PageAccess>(runDir, '/v1/page');
    deps.output.out(`${url}\n`);
    deps.output.err('berth: whoever has this address can read the inventory of this node, until the agent ends\n');
    return 0;
  };
}
