/**
 * Requests to the kernel over netlink sockets of one namespace. Each exchange has a socket of its
 * own for its time, so answers never mix; idle ones are kept for the next.
 *
 * The kernel does a request's work inside `send`: when it returns all answers are waiting, and are
 * taken on the event loop without waiting. On which thread `send` runs `pace.ts` decides.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { BerthError } from '../../engine/errors.ts';
import { errnoName, errorFromErrno } from '../ffi/index.ts';
import { type Pace, rtnlPace, type SendPace, slowest } from './pace.ts';
import { NetlinkSocket, type SocketPlace } from './socket.ts';
import { AttributeWriter } from './wire/attribute.ts';
import {
  type Ack,
  type Message,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  readAck,
  readMessages,
  writeMessage,
} from './wire/message.ts';

/** Answers of one exchange wait in the receive buffer (208 KiB, about 750 bytes each): no more than fit with ease. */
const MOST_PER_SEND = 64;
/** Pauses before each further attempt of a dump: bursts of changes (64 pods at once) are over in 0.1 s. */
const DUMP_PAUSES_MS = [0, 0, 0, 1, 2, 5, 10, 20, 50, 100, 200, 400, 800];
const DUMP_BYTES = 32 * 1024;
const MOST_DUMP_BYTES = 16 * 1024 * 1024;

export interface Request {
  /** RTM_*, or a generic family's id. */
  readonly type: number;
  /** NLM_F_* beside NLM_F_REQUEST and, for the last of an exchange, NLM_F_ACK. */
  readonly flags?: number;
  /** `noun.verb`, for errors. */
  readonly op: string;
  /** What it is done to, for errors. */
  readonly target?: string;
  /** How long the kernel works on it; `slow` when absent. */
  readonly pace?: Pace;
  fill(writer: AttributeWriter): void;
}

export interface Answer {
  /** What came before the acknowledgement. */
  readonly messages: readonly Message[];
  /** `ENODEV` and the like; `undefined` on success. */
  readonly errno: string | undefined;
  /** What `errno` stands for, with the kernel's words; `undefined` on success. Made when asked for: its stack is dear. */
  error(): BerthError | undefined;
}

interface Pending {
  readonly request: Request;
  readonly messages: Message[];
  ack: Ack | undefined;
}

/** Requests that wait for the end of the turn. */
interface Gathered {
  readonly requests: readonly Request[];
  readonly resolve: (answers: readonly Answer[]) => void;
  readonly reject: (error: unknown) => void;
}

type DumpResult =
  | { readonly kind: 'complete'; readonly messages: readonly Message[] }
  | { readonly kind: 'interrupted' }
  /** A datagram was cut off: it has so many bytes. */
  | { readonly kind: 'too-small'; readonly bytes: number };

export interface ClientOptions {
  readonly protocol: number;
  readonly place?: SocketPlace;
  /** A socket that is open already; the client owns it from now on. */
  readonly first?: NetlinkSocket;
  /** Idle sockets kept; 1 when absent. */
  readonly mostIdle?: number;
  /** The program's when absent. */
  readonly pace?: SendPace;
}

export class NetlinkClient {
  readonly #options: ClientOptions;
  readonly #pace: SendPace;
  readonly #idle: NetlinkSocket[];
  #open = true;
  #sequence = 0;
  readonly #writers: AttributeWriter[] = [];
  readonly #gathered: Gathered[] = [];

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#pace = options.pace ?? rtnlPace;
    this.#idle = options.first === undefined ? [] : [options.first];
  }

  /** One request and what answers it. Throws what the kernel says. */
  async request(request: Request): Promise<readonly Message[]> {
    const [answer] = await this.batch([request]);
    if (answer === undefined) throw lost(request);
    const error = answer.error();
    if (error !== undefined) throw error;
    return answer.messages;
  }

  /**
   * Several requests in one `send` (in portions of 64), done by the kernel in order; a failure does
   * not stop those behind it. Answers one entry for each. Throws only when the exchange itself fails.
   */
  async batch(requests: readonly Request[]): Promise<readonly Answer[]> {
    const answers: Answer[] = [];
    for (let from = 0; from < requests.length; from += MOST_PER_SEND) {
      const portion = requests.slice(from, from + MOST_PER_SEND);
      const isQuick = portion.every(({ pace }) => pace === 'lock-free' || pace === 'quick');
      answers.push(...(await (isQuick ? this.#gather(portion) : this.#exchangeOn(portion))));
    }
    return answers;
  }

  /** Quick requests of one turn go in one `send`, which takes longer than the kernel takes for any of them. */
  #gather(requests: readonly Request[]): Promise<readonly Answer[]> {
    return new Promise((resolve, reject) => {
      const count = this.#gathered.reduce((sum, each) => sum + each.requests.length, requests.length);
      if (count > MOST_PER_SEND) this.#sendGathered();
      if (this.#gathered.length === 0) queueMicrotask(() => this.#sendGathered());
      this.#gathered.push({ requests, resolve, reject });
    });
  }

  #sendGathered(): void {
    const gathered = this.#gathered.splice(0);
    if (gathered.length === 0) return;
    this.#exchangeOn(gathered.flatMap(({ requests }) => requests)).then(
      (answers) => {
        let from = 0;
        for (const { requests, resolve } of gathered) {
          resolve(answers.slice(from, from + requests.length));
          from += requests.length;
        }
      },
      (error: unknown) => {
        for (const { reject } of gathered) reject(error);
      },
    );
  }

  #exchangeOn(requests: readonly Request[]): Promise<readonly Answer[]> {
    return this.#withSocket((socket) => this.#exchange(socket, requests));
  }

  /** All messages of a dump, consistent: asked again, for up to 1.6 s, when something changed meanwhile. */
  async dump(request: Request): Promise<readonly Message[]> {
    let bytes = DUMP_BYTES;
    for (const pauseMs of DUMP_PAUSES_MS) {
      if (pauseMs > 0) await pause(pauseMs);
      const result = await this.#withSocket((socket) => this.#dumpOnce(socket, request, bytes));
      if (result.kind === 'complete') return result.messages;
      if (result.kind === 'too-small') bytes = Math.min(MOST_DUMP_BYTES, Math.max(result.bytes, bytes * 2));
    }
    throw new BerthError({
      code: 'Busy',
      reason: 'netlink-dump-interrupted',
      message: `${request.op}: what is listed changed during each of ${DUMP_PAUSES_MS.length} attempts`,
      op: request.op,
      remedy: 'Try again when fewer interfaces are being created and deleted.',
    });
  }

  /** Closes idle sockets now and busy ones when their exchange ends. */
  close(): void {
    this.#open = false;
    for (const socket of this.#idle.splice(0)) socket.close();
  }

  async #withSocket<T>(use: (socket: NetlinkSocket) => Promise<T>): Promise<T> {
    if (!this.#open) {
      throw new BerthError({ code: 'Internal', reason: 'namespace-closed', message: 'netlink request after close' });
    }
    const socket = this.#idle.pop() ?? NetlinkSocket.open(this.#options.protocol, this.#options.place);
    let isClean = false;
    try {
      const result = await use(socket);
      isClean = true;
      return result;
    } finally {
      if (isClean && this.#open && this.#idle.length < (this.#options.mostIdle ?? 1)) this.#idle.push(socket);
      else socket.close();
    }
  }

  async #exchange(socket: NetlinkSocket, requests: readonly Request[]): Promise<Answer[]> {
    const pending = new Map<number, Pending>();
    const writer = this.#writers.pop() ?? new AttributeWriter(1024);
    writer.clear();
    let left = requests.length;
    for (const request of requests) {
      left -= 1;
      const sequence = this.#nextSequence();
      // Failures are always answered, and in order: once the last answer is there, silence was success.
      const flags = NLM_F_REQUEST | (left === 0 ? NLM_F_ACK : 0) | (request.flags ?? 0);
      writeMessage(writer, { type: request.type, flags, sequence }, (into) => request.fill(into));
      pending.set(sequence, { request, messages: [], ack: undefined });
    }
    const pace = slowest(requests.map((request) => request.pace ?? 'slow'));
    await this.#send(socket, writer.bytes(), requests[0]?.op ?? 'netlink.send', pace);
    this.#writers.push(writer);
    const last = [...pending.values()].at(-1);
    while (last !== undefined && last.ack === undefined) {
      const datagram = socket.receive();
      if (datagram === undefined || datagram === 'overrun') throw lost(last.request);
      for (const message of readMessages(datagram)) {
        const entry = pending.get(message.sequence);
        if (entry === undefined || entry.ack !== undefined || message.type === NLMSG_NOOP) continue;
        if (message.type !== NLMSG_ERROR) entry.messages.push(message);
        else entry.ack = readAck(message);
      }
    }
    return [...pending.values()].map(({ request, messages, ack }) => {
      if (ack === undefined || ack.errno === 0) return { messages, errno: undefined, error: () => undefined };
      return { messages, errno: errnoName(ack.errno), error: () => errorOf(ack, request) };
    });
  }

  /**
   * One dump, always read to its end: that leaves the socket clean, and a socket that has received
   * 32 KiB once is sent as much at a time from then on, which makes dumps shorter.
   */
  async #dumpOnce(socket: NetlinkSocket, request: Request, bytes: number): Promise<DumpResult> {
    const writer = new AttributeWriter(256);
    const sequence = this.#nextSequence();
    const flags = NLM_F_REQUEST | NLM_F_DUMP | (request.flags ?? 0);
    writeMessage(writer, { type: request.type, flags, sequence }, (into) => request.fill(into));
    const pace = request.pace ?? 'slow';
    socket.beStrict();
    await this.#send(socket, writer.bytes(), request.op, pace);
    const messages: Message[] = [];
    let isInterrupted = false;
    let neededBytes = 0;
    let parts = 0;
    for (;;) {
      // A new one each time: the messages are views of it.
      const buffer = Buffer.allocUnsafe(bytes);
      const size = await socket.receiveDump(buffer, request.op, (here, pooled) => this.#pace.run(pace, here, pooled));
      if (size > bytes) {
        neededBytes = size;
        continue;
      }
      const found = messages.length;
      for (const message of readMessages(buffer.subarray(0, size))) {
        if (message.sequence !== sequence || message.type === NLMSG_NOOP) continue;
        if (message.type === NLMSG_OVERRUN) throw lost(request);
        const wasChanged = (message.flags & NLM_F_DUMP_INTR) !== 0;
        if (message.type !== NLMSG_DONE && message.type !== NLMSG_ERROR) {
          isInterrupted ||= wasChanged;
          messages.push(message);
          continue;
        }
        const error = errorOf(readAck(message), request);
        if (error !== undefined) throw error;
        if (neededBytes > 0) return { kind: 'too-small', bytes: neededBytes };
        // What came in one part was listed under one lock: a change after it does not matter.
        if (messages.length > found) parts += 1;
        if (isInterrupted || (wasChanged && parts > 1)) return { kind: 'interrupted' };
        return { kind: 'complete', messages };
      }
      if (messages.length > found) parts += 1;
    }
  }

  async #send(socket: NetlinkSocket, messages: Buffer, op: string, pace: Pace): Promise<void> {
    await socket.send(messages, op, (here, pooled) => this.#pace.run(pace, here, pooled));
  }

  #nextSequence(): number {
    this.#sequence = (this.#sequence + 1) >>> 0 || 1;
    return this.#sequence;
  }
}

function errorOf(ack: Ack, request: Request): BerthError | undefined {
  if (ack.errno === 0) return undefined;
  return errorFromErrno(ack.errno, request.op, {
    ...(request.target === undefined ? {} : { target: request.target }),
    ...(ack.extack === undefined ? {} : { extack: ack.extack }),
  });
}

function lost(request: Request): BerthError {
  return new BerthError({
    code: 'Internal',
    reason: 'netlink-answer-lost',
    message: `${request.op}: the kernel's answer was lost; what it did is not known`,
    op: request.op,
  });
}
