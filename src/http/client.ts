/** The command line's way to the agent: the other end of `server.ts`. */
import { request } from 'node:http';
import { BerthError, type ErrorCode } from '../engine/errors.ts';

/** An inventory of 2,048 VFs is about 2 MiB; this only stops a runaway peer. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
const TIMEOUT_MS = 10_000;
/** What is done may wait for drivers. */
const ACTION_TIMEOUT_MS = 120_000;

/**
 * Asks the agent's socket for `path`, or has it do what `POST` means there, and parses the answer.
 * @throws BerthError `NotFound` (reason `agent-away`) when nothing listens there, or the agent's own error.
 */
export async function getFromAgent<T>(socketPath: string, path: string, method: 'GET' | 'POST' = 'GET'): Promise<T> {
  const { status, text } = await ask(socketPath, path, method);
  const body = parseAnswer(text, socketPath);
  if (status === 200) return body as T;
  throw errorOf(body, status, path);
}

function ask(socketPath: string, path: string, method: 'GET' | 'POST'): Promise<{ status: number; text: string }> {
  const timeout = method === 'GET' ? TIMEOUT_MS : ACTION_TIMEOUT_MS;
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, method, timeout, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > MAX_ANSWER_BYTES) call.destroy(new Error('the answer is too long'));
        else chunks.push(chunk);
      });
      response.on('error', (cause: NodeJS.ErrnoException) => reject(unreachable(socketPath, cause)));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
    });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${timeout} ms`)));
    call.on('error', (cause: NodeJS.ErrnoException) => reject(unreachable(socketPath, cause)));
    call.end();
  });
}

/** Nothing answers there, or it may not be opened. */
export function unreachable(socketPath: string, cause: NodeJS.ErrnoException): BerthError {
  if (cause.code === 'EACCES') {
    return new BerthError({
      code: 'Denied',
      reason: 'agent-denied',
      message: `${socketPath} may only be opened by root`,
      remedy: 'Run the command as root.',
      cause,
    });
  }
  return new BerthError({
    code: 'NotFound',
    reason: 'agent-away',
    message: `no agent answers at ${socketPath}: ${whyAway(cause)}`,
    remedy:
      'Start it with `berth agent`, or give its run directory with --run-dir; if it runs, its log says what holds it up.',
    cause,
  });
}

function whyAway({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'ENOENT':
      return 'no socket is there';
    case 'ECONNREFUSED':
      return 'nobody listens at the socket, so the agent has ended';
    default:
      return message;
  }
}

/** Throws `Internal` (reason `agent-answer`). */
export function parseAnswer(text: string, socketPath: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BerthError({
      code: 'Internal',
      reason: 'agent-answer',
      message: `${socketPath} answered no JSON`,
      remedy: 'Something else than an agent listens there, or an agent of another release: restart it.',
      cause,
    });
  }
}

const CODES: ReadonlySet<string> = new Set<ErrorCode>([
  'NotFound',
  'Busy',
  'Invalid',
  'Unsupported',
  'Denied',
  'Exhausted',
  'Io',
  'Interrupted',
  'Internal',
]);

/** The error that the agent answered with. */
export function errorOf(body: unknown, status: number, path: string): BerthError {
  const fields = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const text = (key: string) => (typeof fields[key] === 'string' ? fields[key] : undefined);
  const code = text('code');
  const remedy = text('remedy');
  return new BerthError({
    code: code !== undefined && CODES.has(code) ? (code as ErrorCode) : 'Internal',
    reason: text('reason') ?? 'agent-answer',
    message: text('message') ?? `the agent answered ${path} with status ${status}`,
    ...(remedy === undefined ? {} : { remedy }),
  });
}
