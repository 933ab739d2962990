/**
 * The agent's probes and metrics for machines: served from the moment at which the agent has nothing
 * more urgent to do, so that kubelet does not end one that waits or recovers. A port that is taken is
 * tried again: the agent before this one may be on its way out.
 */
import { readdirSync } from 'node:fs';
import type { Logger } from '../engine/logger.ts';
import { healthOf, readinessOf, type StartStep } from '../engine/probes.ts';
import type { AgentStatus } from '../engine/view.ts';
import { type MetricsText, serveProbes } from '../http/probes.ts';
import { parseListenAddress, type TcpListener } from '../http/tcp-listener.ts';
import type { MetricSources } from '../metrics/index.ts';
import type { Observations } from './observations.ts';

const RETRY_MS = 2000;

export interface Probes {
  /** What the probes tell from now on. */
  step(step: StartStep, parts?: ProbeParts): void;
  close(): Promise<void>;
}

/** What there is once the agent serves. */
export interface ProbeParts {
  readonly status: () => AgentStatus;
  readonly metrics: () => Promise<MetricsText>;
}

/** Throws `Invalid` for what is no address. */
export function startProbes(listen: string, log: Logger): Probes {
  const at = parseListenAddress(listen);
  let step: StartStep = 'starting';
  let parts: ProbeParts | undefined;
  let listener: TcpListener | undefined;
  let retry: NodeJS.Timeout | undefined;
  let opening: Promise<void> = Promise.resolve();
  let closed = false;
  const open = async (): Promise<void> => {
    try {
      listener = await serveProbes({
        at,
        health: () => healthOf(parts?.status(), new Date()),
        ready: () => readinessOf(step, parts?.status()),
        metrics: () => parts?.metrics() ?? Promise.resolve(undefined),
        log,
      });
    } catch (error) {
      log.warn({ err: error, listen, retryInMs: RETRY_MS }, 'probes and metrics are not served');
      if (!closed) retry = setTimeout(() => (opening = open()), RETRY_MS);
    }
  };
  opening = open();
  return {
    step: (next, more) => {
      step = next;
      parts = more ?? parts;
    },
    close: async () => {
      closed = true;
      clearTimeout(retry);
      await opening;
      await listener?.close();
    },
  };
}

/** Loads the library, which is late enough now, and hands over what has happened so far. */
export async function startMetrics(
  observations: Observations,
  sources: Omit<MetricSources, 'openFiles'>,
): Promise<ProbeParts['metrics']> {
  const { createMetrics } = await import('../metrics/index.ts');
  const metrics = createMetrics({ ...sources, openFiles });
  observations.connect(metrics);
  return async () => ({ contentType: metrics.contentType, body: await metrics.render() });
}

/** Open file descriptors of this process; `undefined` where `/proc` does not tell. */
function openFiles(): number | undefined {
  try {
    // One of them is the folder that is being read.
    return readdirSync('/proc/self/fd').length - 1;
  } catch {
    return undefined;
  }
}
