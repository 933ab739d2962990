/**
 * The unix socket that shims connect to. It checks who calls, takes the sandbox's descriptor off the
 * first bytes, reads one request, and writes one reply; what a request means is the handler's.
 *
 * A connection is one operation: when the shim's end closes before the reply, the runtime has gone
 * away, and the operation is aborted. To watch it: `strace` of the shim, and this module's `debug` lines.
 */
import { chmodSync, closeSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { limitTime, type TimeLimit } from '../engine/cancellation.ts';
import { BerthError } from '../engine/errors.ts';
import type { Logger } from '../engine/logger.ts';
import { REQUEST_TIMEOUT_MS } from './deadlines.ts';
import { toCniError } from './errors.ts';
import type { CniHandler, CniReply } from './handler.ts';
import type { PeerSocket } from './port.ts';
import {
  decodeRequest,
  decodeRequestHeader,
  EXECUTING_PROTOCOL,
  encodeReply,
  FRAME_HEADER_BYTES,
  SERVED_PROTOCOLS,
} from './protocol.ts';
import { oldShimPrograms, ShimPrograms } from './shim-programs.ts';
import { LATEST_CNI_VERSION } from './versions.ts';

/** Requests in flight: more than a node can have pods starting at once, few enough to bound memory. */
const MAX_IN_FLIGHT = 512;
/** Connections that the kernel queues while the event loop is busy; the shim waits for a place. */
const BACKLOG = 1024;

export interface CniServerOptions {
  readonly socketPath: string;
  readonly peers: PeerSocket;
  readonly handle: CniHandler;
  readonly log: Logger;
  readonly maxInFlight?: number;
  readonly requestTimeoutMs?: number;
}

export interface CniServer {
  /**
   * Serves until `close`. Replaces a socket file that is there: that no other agent serves it is
   * the caller's to know (the agent's lock).
   */
  listen(): Promise<void>;
  /** Takes no more calls, aborts those in flight, and resolves when their undo has ended and they are answered. */
  close(): Promise<void>;
  /** Operations that are being worked on. */
  readonly inFlight: number;
}

export function createCniServer(options: CniServerOptions): CniServer {
  const { socketPath, log } = options;
  const maxInFlight = options.maxInFlight ?? MAX_IN_FLIGHT;
  const operations = new Map<AbortController, Promise<void>>();
  let server: Server | undefined;

  /** Writes the reply and closes, whether or not the peer has sent everything. */
  const end = (socket: Socket, reply: CniReply): void => {
    if (socket.destroyed) return;
    const frame = encodeReply(reply.exitCode, reply.stdout);
    const taken = options.peers.sendNow(socket, frame);
    // An empty write to a shim that has ended meanwhile would be an error, whose stack is dear.
    if (taken === frame.length) socket.destroy();
    else socket.end(frame.subarray(taken), () => socket.destroy());
  };

  const finish = (socket: Socket, reply: CniReply): void => {
    try {
      end(socket, reply);
    } finally {
      reply.sent?.();
    }
  };

  const accept = (socket: Socket): void => {
    // Without a listener a reset connection would end the agent.
    socket.on('error', (error) => log.debug({ error: error.message }, 'shim connection failed'));
    const refusal = refusalOf(socket);
    if (refusal !== undefined) {
      log.warn({ reason: refusal.reason, message: refusal.message }, 'CNI call refused');
      end(socket, errorReply(refusal));
      return;
    }
    const gone = new AbortController();
    const operation = converse(socket, gone).finally(() => operations.delete(gone));
    operations.set(gone, operation);
  };

  const refusalOf = (socket: Socket): BerthError | undefined => {
    try {
      const { uid, pid } = options.peers.credentials(socket);
      if (uid !== 0 && uid !== process.getuid?.()) {
        return new BerthError({
          code: 'Denied',
          reason: 'caller-not-root',
          message: `process ${pid} of user ${uid} may not call the agent`,
          remedy: 'Only root executes CNI plugins.',
        });
      }
    } catch (cause) {
      return new BerthError({
        code: 'Internal',
        reason: 'caller-unknown',
        message: `the kernel does not tell who calls: ${cause instanceof Error ? cause.message : String(cause)}`,
        remedy: 'A caller that has ended already is no problem: the runtime tries again.',
        cause,
      });
    }
    if (operations.size < maxInFlight) return undefined;
    return new BerthError({
      code: 'Exhausted',
      reason: 'too-many-requests',
      message: `${operations.size} CNI calls are being worked on already`,
      remedy: 'The runtime tries again; if it lasts, something holds the calls up: see the log.',
    });
  };

  /** Never rejects. */
  const converse = async (socket: Socket, gone: AbortController): Promise<void> => {
    const leave = (): void => gone.abort(wentAway());
    socket.once('close', leave);
    try {
      const reply = await receiveAndHandle(socket, gone.signal);
      socket.off('close', leave);
      if (reply === undefined) socket.destroy();
      else finish(socket, reply);
    } catch (error) {
      // Only what precedes the handler, which answers its own errors.
      const answer =
        error instanceof BerthError
          ? error
          : new BerthError({ code: 'Internal', reason: 'internal', message: String(error), cause: error });
      log.warn({ reason: answer.reason, message: answer.message }, 'CNI call not understood');
      end(socket, errorReply(answer));
    }
  };

  const receiveAndHandle = async (socket: Socket, gone: AbortSignal): Promise<CniReply | undefined> => {
    const limitMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    let arrival: TimeLimit | undefined;
    let sandboxFd: number | undefined;
    try {
      // Mostly all has arrived before the connection is seen, and nothing has to be waited for.
      let first = options.peers.receiveNow(socket);
      if (first === undefined) {
        const waiting = limitTime(gone, limitMs, slow);
        arrival = waiting;
        first = await options.peers.receive(socket, waiting.signal).catch((error: unknown) => {
          throw waiting.signal.aborted ? waiting.signal.reason : error;
        });
      }
      if (first === undefined) return undefined;
      sandboxFd = first.fd;
      const version = first.bytes.readUInt8(0);
      if (!SERVED_PROTOCOLS.includes(version)) throw unknownProtocol(version);
      const begun = first.bytes.subarray(1);
      let payload = payloadOf(begun);
      if (payload === undefined) {
        arrival ??= limitTime(gone, limitMs, slow);
        payload = await readRest(socket, begun, arrival.signal);
      }
      arrival?.end();
      // Flowing, so that its end is noticed.
      socket.resume();
      const request = decodeRequest(payload);
      const ipamPrograms = version >= EXECUTING_PROTOCOL ? new ShimPrograms(socket) : oldShimPrograms;
      const call = { ...request, ipamPrograms, ...(sandboxFd === undefined ? {} : { sandboxFd }) };
      sandboxFd = undefined;
      return await options.handle(call, gone);
    } finally {
      arrival?.end();
      if (sandboxFd !== undefined) closeSync(sandboxFd);
    }
  };

  return {
    listen: async () => {
      mkdirSync(dirname(socketPath), { recursive: true, mode: 0o700 });
      chmodSync(dirname(socketPath), 0o700);
      rmSync(socketPath, { force: true });
      const listening = createServer({ pauseOnConnect: true }, accept);
      server = listening;
      await new Promise<void>((resolve, reject) => {
        listening.once('error', reject);
        listening.listen({ path: socketPath, backlog: BACKLOG }, () => {
          listening.off('error', reject);
          resolve();
        });
      });
      listening.on('error', (error) => log.error({ error: error.message }, 'CNI socket failed'));
      chmodSync(socketPath, 0o600);
    },
    close: async () => {
      const closing = server;
      server = undefined;
      const closed = closing === undefined ? undefined : new Promise<void>((resolve) => closing.close(() => resolve()));
      const running = [...operations];
      for (const [gone] of running) gone.abort(stopping());
      await Promise.all(running.map(([, operation]) => operation));
      await closed;
    },
    get inFlight() {
      return operations.size;
    },
  };
}

/** The payload of the one frame that follows the version byte; `undefined` until it is whole. */
function payloadOf(received: Buffer): Buffer | undefined {
  const header = decodeRequestHeader(received);
  if (header === undefined) return undefined;
  const end = FRAME_HEADER_BYTES + header.lengthBytes;
  return received.length < end ? undefined : received.subarray(FRAME_HEADER_BYTES, end);
}

/** The same, of which `begun` has arrived. */
function readRest(socket: Socket, begun: Buffer, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [begun];
    let received = begun.length;
    let wanted = FRAME_HEADER_BYTES;
    const finish = (settle: () => void): void => {
      socket.off('data', onData);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onAbort = (): void => finish(() => reject(signal.reason));
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      received += chunk.length;
      if (received < wanted) return;
      // Put together twice: when it says how long it is, and when it is all there.
      const all = Buffer.concat(chunks, received);
      try {
        const payload = payloadOf(all);
        wanted = FRAME_HEADER_BYTES + (decodeRequestHeader(all)?.lengthBytes ?? 0);
        if (payload !== undefined) finish(() => resolve(payload));
      } catch (error) {
        finish(() => reject(error));
      }
    };
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('data', onData);
    socket.resume();
  });
}

/** For calls whose configuration was not read: of the latest version, without a request id in any log. */
function errorReply(error: BerthError): CniReply {
  return { exitCode: 1, stdout: `${JSON.stringify(toCniError(error, LATEST_CNI_VERSION, 'none'))}\n` };
}

function wentAway(): BerthError {
  return new BerthError({
    code: 'Interrupted',
    reason: 'runtime-went-away',
    message: 'the runtime ended the call before it was answered; what was done is undone',
    remedy: "The runtime's own deadline may be too short, or the runtime was restarted.",
  });
}

function stopping(): BerthError {
  return new BerthError({
    code: 'Interrupted',
    reason: 'agent-stopping',
    message: 'the agent is stopping; what was done is undone',
    remedy: 'The runtime tries again when the agent is back.',
  });
}

function slow(): BerthError {
  return new BerthError({
    code: 'Interrupted',
    reason: 'request-incomplete',
    message: 'the request did not arrive whole in time',
    remedy: 'The runtime tries again.',
  });
}

function unknownProtocol(version: number): BerthError {
  return new BerthError({
    code: 'Unsupported',
    reason: 'unknown-protocol',
    message: `the shim speaks protocol version ${version}, the agent ${SERVED_PROTOCOLS.join(' and ')}`,
    remedy: "Shim and agent are of different releases: install the shim of the agent's release.",
  });
}
