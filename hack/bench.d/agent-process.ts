/**
 * Berth's agent inside the private node, as an operator starts it: `bin/berth agent` with its
 * default folders, which are the node's own. Its log is `WORK_DIR/agent.log`; the end of it is in
 * the error when the agent ends too early.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { type Bench, BenchError } from './bench.ts';
import { WORK_DIR } from './private-node.ts';

/** Where the agent looks for kubelet. */
export const KUBELET_DIR = '/var/lib/kubelet';

const LOG = `${WORK_DIR}/agent.log`;
const LOG_LINES_SHOWN = 20;
const START_LIMIT_MS = 60_000;
const POLL_MS = 20;

/** A running agent. */
export interface Agent {
  /** Process id of the agent itself: bin/berth becomes it. */
  readonly pid: number;
  /** Throws, with the end of its log, when it has ended. */
  assertRunning(): void;
  /** Asks it to end and waits for it. */
  stop(): Promise<void>;
}

/** Starts the agent with further options, without waiting for anything. */
export function startAgent(bench: Bench, options: readonly string[]): Agent {
  const log = openSync(LOG, 'a');
  const child = spawn(bench.programs.berth, ['agent', '--log-level', 'warn', ...options], {
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve());
    child.once('exit', () => resolve());
  });
  if (child.pid === undefined) throw new BenchError(`${bench.programs.berth} cannot be started`);
  return {
    pid: child.pid,
    assertRunning: () => assertRunning(child),
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** Runs `body` while an agent serves CNI requests. A failure has the end of the agent's log added. */
export async function withAgent<T>(
  bench: Bench,
  options: readonly string[],
  body: (agent: Agent) => Promise<T>,
): Promise<T> {
  const agent = startAgent(bench, options);
  try {
    await untilServing(bench, agent);
    return await body(agent);
  } catch (error) {
    throw new BenchError(`${error instanceof Error ? error.message : String(error)}\n${endOfLog()}`, { cause: error });
  } finally {
    await agent.stop();
  }
}

async function untilServing(bench: Bench, agent: Agent): Promise<void> {
  const status = {
    argv: [bench.programs.shim] as const,
    env: { CNI_COMMAND: 'STATUS', CNI_PATH: bench.programs.peer },
    stdin: JSON.stringify({ cniVersion: '1.1.0', name: 'bench', type: 'macvlan' }),
  };
  for (let waitedMs = 0; waitedMs < START_LIMIT_MS; waitedMs += POLL_MS) {
    agent.assertRunning();
    const asked = await bench.spawner.run([status]);
    if (asked.jobs[0]?.exit === 0) return;
    await setTimeout(POLL_MS);
  }
  throw new BenchError(`the agent does not serve CNI requests after ${START_LIMIT_MS / 1000} s`);
}

function assertRunning(child: ChildProcess): void {
  if (child.exitCode === null && child.signalCode === null) return;
  throw new BenchError(`the agent ended with ${child.signalCode ?? `status ${child.exitCode}`}`);
}

function endOfLog(): string {
  const lines = readFileSync(LOG, 'utf8').trimEnd().split('\n');
  return ['the end of its log:', ...lines.slice(-LOG_LINES_SHOWN)].join('\n');
}
