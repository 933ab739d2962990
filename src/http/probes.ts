/**
 * `/healthz`, `/readyz` and `/metrics` for kubelet and Prometheus: no secrets, no pods' names, and
 * nothing that changes anything.
 *
 * Healthy is an agent that answers. Ready is one on which a pod could count: kubelet knows every pool
 * that has devices, and the runtime would find the shim. Not being ready ends nothing; it holds up a
 * rolling update, which is what it should do.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '../engine/logger.ts';
import type { AgentStatus } from '../engine/view.ts';
import { CONTENT_TYPE } from './exposition.ts';
import type { AgentMetrics } from './metrics.ts';
import { type ListenAddress, listenTcp, type TcpListener } from './tcp-listener.ts';

export interface ProbeOptions {
  readonly at: ListenAddress;
  readonly status: () => AgentStatus;
  readonly metrics: Pick<AgentMetrics, 'render'>;
  readonly log: Logger;
}

/** @throws BerthError when the port cannot be listened on. */
export function serveProbes({ at, status, metrics, log }: ProbeOptions): Promise<TcpListener> {
  return listenTcp({
    at,
    log,
    // Probes and scrapers name the node as they like, and there is nothing to be stolen.
    hostNames: 'any',
    handle: (request, response) => {
      try {
        answer(request, response, status, metrics);
      } catch (error) {
        log.error({ err: error, url: request.url }, 'probe failed');
        send(response, 500, 'text/plain', 'failed, see the log\n');
      }
    },
  });
}

function answer(
  { method, url = '/' }: IncomingMessage,
  response: ServerResponse,
  status: () => AgentStatus,
  metrics: Pick<AgentMetrics, 'render'>,
): void {
  if (method !== 'GET' && method !== 'HEAD') {
    send(response, 405, 'text/plain', 'only GET\n');
    return;
  }
  switch (url.split('?', 1)[0]) {
    case '/healthz':
      send(response, 200, 'text/plain', 'ok\n');
      return;
    case '/readyz': {
      const missing = notReady(status());
      if (missing.length === 0) send(response, 200, 'text/plain', 'ok\n');
      else send(response, 503, 'text/plain', `${missing.join('\n')}\n`);
      return;
    }
    case '/metrics':
      send(response, 200, CONTENT_TYPE, metrics.render(status()));
      return;
    default:
      send(response, 404, 'text/plain', 'paths are /healthz, /readyz and /metrics\n');
  }
}

/** Why pods cannot count on this agent; empty when they can. */
export function notReady({ resources, installation }: AgentStatus): readonly string[] {
  const unregistered = resources
    .filter(({ devices, registered }) => devices > 0 && !registered)
    .map(({ resource, problem }) => `${resource} is not registered${problem === undefined ? '' : `: ${problem}`}`);
  const shim = installation?.problem === undefined ? [] : [`the CNI shim is not installed: ${installation.problem}`];
  return [...unregistered, ...shim];
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  });
  response.end(body);
}
