/**
 * Berth's agent inside the private node, as an operator starts it: `bin/berth agent` with its
 * default folders, which are the node's own. Its log is `WORK_DIR/agent.log`; the end of it is in
 * the error when a benchmark fails.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { type Bench, BenchError } from './bench.ts';
import { UPLINK, WORK_DIR } from './private-node.ts';

/** Where the agent looks for kubelet. */
export const KUBELET_DIR = '/var/lib/kubelet';

const LOG = `${WORK_DIR}/agent.log`;
const LOG_LINES_SHOWN = 20;
const SERVE_LIMIT_MS = 60_000;
const POLL_MS = 20;
/** USER_HZ (asm-generic/param.h): the unit of times in /proc, on every architecture that Berth runs on. */
const TICKS_PER_SECOND = 100;

export interface AgentSetup {
  /** Further options of the command. */
  readonly options?: readonly string[];
  /** Folder of a generated tree that the agent sees in place of /sys; the rest of the node stays. */
  readonly tree?: string;
}

/** A running agent. */
export interface Agent {
  /** Process id of the agent itself: bin/berth becomes it. */
  readonly pid: number;
  /** When it was started, by `performance.now()`. */
  readonly startedAtMs: number;
}

/**
 * Starts an agent, runs `body` without waiting for anything, and stops the agent. Rejects as soon
 * as the agent ends, with the end of its log, as after any failure.
 */
export async function withAgent<T>(bench: Bench, setup: AgentSetup, body: (agent: Agent) => Promise<T>): Promise<T> {
  const { child, agent } = start(bench, setup);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? `status ${code}`));
  });
  const died = ended.then((how) => Promise.reject(new BenchError(`the agent ended with ${how}`)));
  try {
    return await Promise.race([body(agent), died]);
  } catch (error) {
    throw new BenchError(`${error instanceof Error ? error.message : String(error)}\n${endOfLog()}`, { cause: error });
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

/** Resident memory of the agent now. */
export function residentMiB(agent: Agent): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${agent.pid}/status`, 'utf8'))?.[1];
  if (kib === undefined) throw new BenchError(`/proc/${agent.pid}/status tells no VmRSS`);
  return Number(kib) / 1024;
}

/** Processor time that the agent has used since its start, of all its threads, user and system. In units of 10 ms. */
export function processorMs(agent: Agent): number {
  // Behind the name, which is in parentheses and may hold anything: state is field 3, utime 14, stime 15 (proc(5)).
  const stat = readFileSync(`/proc/${agent.pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  if (!Number.isInteger(ticks)) throw new BenchError(`/proc/${agent.pid}/stat tells no times`);
  return (ticks * 1000) / TICKS_PER_SECOND;
}

/** Resolves when the agent answers CNI requests. */
export async function untilServing(bench: Bench): Promise<void> {
  const status = {
    argv: [bench.programs.shim] as const,
    env: { CNI_COMMAND: 'STATUS', CNI_PATH: bench.programs.peer },
    stdin: JSON.stringify({ cniVersion: '1.1.0', name: 'bench', type: 'macvlan', master: UPLINK }),
  };
  for (let waitedMs = 0; waitedMs < SERVE_LIMIT_MS; waitedMs += POLL_MS) {
    const asked = await bench.spawner.run([status]);
    if (asked.jobs[0]?.exit === 0) return;
    await setTimeout(POLL_MS);
  }
  throw new BenchError(`the agent does not serve CNI requests after ${SERVE_LIMIT_MS / 1000} s`);
}

function start(
  bench: Bench,
  { options = [], tree }: AgentSetup,
): { readonly child: ChildProcess; readonly agent: Agent } {
  const command = [bench.programs.berth, 'agent', '--log-level', 'warn', ...options] as const;
  // The tree is mounted for the agent alone, in a mount namespace that ends with it.
  const inTree = [
    'unshare',
    '--mount',
    '--',
    'sh',
    '-c',
    'mount -n --bind "$0" /sys && exec "$@"',
    `${tree}/sys`,
  ] as const;
  const [program, ...args] = tree === undefined ? command : ([...inTree, ...command] as const);
  const log = openSync(LOG, 'a');
  const startedAtMs = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', log, log] });
  closeSync(log);
  if (child.pid === undefined) throw new BenchError(`${program} cannot be started`);
  return { child, agent: { pid: child.pid, startedAtMs } };
}

function endOfLog(): string {
  const lines = readFileSync(LOG, 'utf8').trimEnd().split('\n');
  return ['the end of its log:', ...lines.slice(-LOG_LINES_SHOWN)].join('\n');
}
