/** The agent and the dashboard as processes: signals, and what must never go unnoticed. */
import type { AgentOptions, DashboardOptions, Output } from '../cli/port.ts';
import { createLog } from './log.ts';

/** Runs the agent until SIGTERM or SIGINT; resolves with the exit status. A second signal ends at once. */
export async function runUntilSignal(options: AgentOptions, version: string, shim: string): Promise<number> {
  const log = createLog(options.logLevel);
  const stopping = new AbortController();
  const signalled = new Promise<void>((resolve) => {
    const onSignal = (name: NodeJS.Signals): void => {
      if (stopping.signal.aborted) process.exit(1);
      log.info({ signal: name }, 'stopping');
      stopping.abort();
      resolve();
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
  // A bug of ours. What is half done is in the records; a fresh start recovers it, going on might not.
  process.on('uncaughtException', (error) => {
    log.error({ err: error }, 'a bug: the agent ends, and recovers at its next start');
    process.exit(70);
  });
  const { startAgent } = await import('./agent.ts');
  const agent = await startAgent({ options, version, shim, log, signal: stopping.signal });
  await signalled;
  await agent.stop();
  log.info({}, 'stopped');
  return 0;
}

/** Serves the dashboard until SIGTERM or SIGINT; resolves with the exit status. A second signal ends at once. */
export async function dashboardUntilSignal(options: DashboardOptions, output: Output): Promise<number> {
  const stopping = new AbortController();
  const onSignal = (): void => {
    if (stopping.signal.aborted) process.exit(1);
    stopping.abort();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  const { serveDashboard } = await import('./dashboard.ts');
  await serveDashboard(options, output, stopping.signal);
  return 0;
}
