/** `berth dashboard` as a process: its page, its watch of the API server, and what the terminal is told. */
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { DashboardOptions, Output } from '../cli/port.ts';
import { printableLines } from '../cli/table.ts';
import { type ClusterConnection, type ClusterDocument, clusterChange } from '../engine/cluster/document.ts';
import { BerthError } from '../engine/errors.ts';
import { createFeed } from '../engine/feed/feed.ts';
import type { Logger } from '../engine/logger.ts';
import { createClusterStreams } from '../http/cluster-stream.ts';
import { answerDashboard } from '../http/dashboard.ts';
import { servePage } from '../http/page.ts';
import { isLoopback, parseListenAddress } from '../http/tcp-listener.ts';
import { watchInventories } from '../kubernetes/dashboard.ts';
import { pageAssets } from './page-assets.ts';

/** Beside the page of a node, which may be served on the same machine. */
export const DEFAULT_DASHBOARD_ADDRESS = '127.0.0.1:9475';
/** What can be guessed is no token. */
const SHORTEST_TOKEN = 16;
const LONGEST_TOKEN = 1024;

/** Serves until the signal aborts. Throws `Invalid`, `Busy` and `Io` for what keeps it from starting. */
export async function serveDashboard(options: DashboardOptions, output: Output, signal: AbortSignal): Promise<void> {
  const at = parseListenAddress(options.listen ?? DEFAULT_DASHBOARD_ADDRESS);
  const token =
    options.tokenFile === undefined ? randomBytes(32).toString('base64url') : readToken(options.tokenFile, output);
  const { context, kubeconfig } = options;
  const watch = watchInventories({
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(context === undefined ? {} : { context }),
  });
  const log = terminalLog(output);
  const feed = createFeed<ClusterDocument>({
    make: (previous) => {
      const now = watch.document;
      return previous !== undefined && clusterChange(previous, now) === undefined ? previous : now;
    },
    changes: [(listener) => watch.subscribe(listener)],
    log,
  });
  const streams = createClusterStreams({ feed, log });
  const page = await servePage({
    at,
    token,
    tokenRemedy: 'Open the address that `berth dashboard` printed when it started.',
    assets: pageAssets('cluster'),
    answer: (request, response) => answerDashboard({ log, streams }, request, response),
    log,
  });
  const { identity } = watch.document;
  output.out(`${options.tokenFile === undefined ? page.url : page.url.replace(/#.*/, '')}\n`);
  say(output, `the inventories of context ${identity.context}, ${identity.server}; end it with Ctrl-C`);
  if (options.tokenFile === undefined) {
    say(output, 'whoever has this address can read them until then');
  } else say(output, 'it asks for the token of the file');
  if (!isLoopback(at)) say(output, 'warning: other machines can reach it, without encryption');
  const end = tellStates(watch, output);
  try {
    await watch.run(signal);
  } finally {
    end();
    streams.close();
    feed.stop();
    await page.close();
  }
}

function readToken(path: string, output: Output): string {
  let token: string;
  try {
    token = readFileSync(path, 'utf8').trim();
    if ((statSync(path).mode & 0o077) !== 0) say(output, `warning: others than you can read ${path}`);
  } catch (cause) {
    throw unusableToken(path, cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (!/^[!-~]+$/.test(token)) throw unusableToken(path, 'a token is one word of printable ASCII letters');
  if (token.length < SHORTEST_TOKEN || token.length > LONGEST_TOKEN) {
    throw unusableToken(path, `a token has ${SHORTEST_TOKEN} to ${LONGEST_TOKEN} letters, this one ${token.length}`);
  }
  return token;
}

function unusableToken(path: string, why: string, cause?: unknown): BerthError {
  return new BerthError({
    code: 'Invalid',
    reason: 'token-file-unusable',
    message: `the token in ${path} cannot be used: ${why}`,
    remedy: 'Make one with `head -c 32 /dev/urandom | base64 >FILE && chmod 600 FILE`.',
    ...(cause === undefined ? {} : { cause }),
  });
}

/** One line whenever the connection comes to stand otherwise. */
function tellStates(
  watch: {
    readonly document: { readonly connection: ClusterConnection; readonly nodes: { readonly size: number } };
    subscribe(listener: () => void): () => void;
  },
  output: Output,
): () => void {
  let told = '';
  return watch.subscribe(() => {
    const { connection, nodes } = watch.document;
    const now = `${connection.state} ${connection.problem?.reason ?? ''}`;
    if (now === told) return;
    told = now;
    const at = output.now().toISOString().slice(11, 19);
    const { problem } = connection;
    if (connection.state === 'live') say(output, `${at} live, ${nodes.size} ${nodes.size === 1 ? 'node' : 'nodes'}`);
    else if (problem !== undefined)
      say(output, `${at} ${oneLine(problem.message)} [${problem.reason}]\n  ${problem.remedy}`);
  });
}

/** What a server said must not look like lines of ours. */
function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ');
}

/** The log of a program that somebody looks at: what is wrong, in words. */
function terminalLog(output: Output): Logger {
  const tell = (fields: object, message: string): void => {
    const said = Object.entries(fields).map(
      ([key, value]) => `${key} ${value instanceof Error ? value.stack : JSON.stringify(value)}`,
    );
    say(output, [message, ...said].join(', '));
  };
  return { debug: () => undefined, info: () => undefined, warn: tell, error: tell };
}

/** What others said is shown without what a terminal would obey. */
function say(output: Output, words: string): void {
  output.err(`berth: ${printableLines(words)}\n`);
}
