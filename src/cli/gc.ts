/** `berth gc`: what is collected, or would be. The agent does it; without one there is nothing to ask. */
import type { GarbageItem, GarbageReport } from '../engine/attachments/garbage.ts';
import { documentText } from './document.ts';
import type { ProgramDeps } from './port.ts';
import { renderTable } from './table.ts';

interface GcQuery {
  readonly output: string;
  readonly runDir: string;
  readonly dryRun?: boolean;
}

/** Exit status 1 when something that was to be done failed. */
export function gcCommand(deps: ProgramDeps) {
  return async ({ output, runDir, dryRun }: GcQuery): Promise<number> => {
    const report = await deps.agent<GarbageReport>(runDir, '/v1/gc', dryRun === true ? 'GET' : 'POST');
    deps.output.out(documentText(report, output) ?? renderGarbage(report));
    return report.items.some((item) => item.outcome === 'failed') ? 1 : 0;
  };
}

export function renderGarbage({ dryRun, items, living }: GarbageReport): string {
  const summary = `${living} ${living === 1 ? 'attachment is as it' : 'attachments are as they'} should be.\n`;
  if (items.length === 0) return `Nothing to collect; ${summary}`;
  const rows = items.map((item) => [
    actionOf(item, dryRun),
    item.pod === undefined ? '' : `${item.pod.namespace}/${item.pod.name}`,
    item.device ?? '',
    item.attachment,
    item.problem ?? item.why,
  ]);
  return `${renderTable(['ACTION', 'POD', 'DEVICE', 'ATTACHMENT', 'WHY'], rows)}\n${summary}`;
}

function actionOf({ action, outcome }: GarbageItem, dryRun: boolean): string {
  if (action === 'keep') return 'keep';
  if (dryRun) return `would ${action}`;
  return outcome === 'failed' ? `${action} failed` : action === 'restore' ? 'restored' : 'released';
}
