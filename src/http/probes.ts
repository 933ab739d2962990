/**
 * What machines ask the agent over TCP: `/healthz`, `/readyz`, `/metrics`. Plain HTTP without
 * secrets, off unless an address is given. A probe's body names each check, so that `kubectl
 * describe` and a person with curl see what is missing.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '../engine/logger.ts';
import type { ProbeReport } from '../engine/probes.ts';
import { type ListenAddress, listenTcp, type TcpListener } from './tcp-listener.ts';

/** Metrics in their text format. */
export interface MetricsText {
  readonly contentType: string;
  readonly body: string;
}

export interface ProbesOptions {
  readonly at: ListenAddress;
  readonly health: () => ProbeReport;
  readonly ready: () => ProbeReport;
  /** `undefined` while the agent starts. */
  readonly metrics: () => Promise<MetricsText | undefined>;
  readonly log: Logger;
}

/** @throws BerthError when the address cannot be listened on. */
export function serveProbes(options: ProbesOptions): Promise<TcpListener> {
  const { at, log } = options;
  return listenTcp({
    at,
    // Kubelet and scrapers come by the node's address or a service's name; nothing here is a secret.
    anyHost: true,
    handle: (request, response) => {
      answer(options, request, response).catch((error: unknown) => {
        log.error({ err: error, url: request.url }, 'probes: request failed');
        if (response.headersSent) response.destroy();
        else sendText(response, 500, 'failed; see the log of the agent\n');
      });
    },
    log,
  });
}

async function answer(options: ProbesOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    sendText(response, 405, 'only GET\n');
    return;
  }
  switch ((request.url ?? '/').split('?', 1)[0]) {
    case '/healthz':
      return sendReport(response, options.health());
    case '/readyz':
      return sendReport(response, options.ready());
    case '/metrics':
      return sendMetrics(response, await options.metrics());
    default:
      return sendText(response, 404, 'paths are /healthz, /readyz and /metrics\n');
  }
}

function sendReport(response: ServerResponse, { checks, ok }: ProbeReport): void {
  const lines = checks.map(
    ({ name, note, ok: good }) => `${good ? 'ok  ' : 'FAIL'} ${name}${note === undefined ? '' : `: ${note}`}\n`,
  );
  sendText(response, ok ? 200 : 503, lines.join(''));
}

function sendMetrics(response: ServerResponse, metrics: MetricsText | undefined): void {
  if (metrics === undefined) {
    sendText(response, 503, 'the agent is starting\n');
    return;
  }
  response.writeHead(200, { 'content-type': metrics.contentType, 'content-length': Buffer.byteLength(metrics.body) });
  response.end(metrics.body);
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}
