/**
 * Unary gRPC calls over a unix socket with as little of their own as possible, so that what is
 * measured is the server: HTTP/2 frames are written and read here, one call after another, as
 * kubelet makes them. It reads no header, so a call counts as answered when the server ended its
 * stream; the caller looks into the message. Not a client for anything else.
 */
import { connect, type Socket } from 'node:net';

const FRAME_HEAD = 9;
const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE] = [0, 1, 3, 4, 6, 7, 8];
const [END_STREAM, ACK, END_HEADERS] = [1, 1, 4];
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
/** All that a connection may have in flight towards us: then no window ever has to be opened again. */
const WINDOW = 2 ** 31 - 1 - 65_535;
const GRPC_HEAD = 5;

interface Pending {
  readonly stream: number;
  readonly chunks: Buffer[];
  readonly resolve: (message: Buffer) => void;
  readonly reject: (error: Error) => void;
}

export class GrpcCaller {
  readonly #socket: Socket;
  #unread: Buffer = Buffer.alloc(0);
  #nextStream = 1;
  #pending: Pending | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data: Buffer) => this.#read(data));
    socket.on('error', (error) => this.#pending?.reject(error));
    socket.on('close', () => this.#pending?.reject(new Error('the server closed the connection')));
  }

  static async open(path: string): Promise<GrpcCaller> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const window = Buffer.alloc(4);
    window.writeUInt32BE(WINDOW);
    socket.write(Buffer.concat([Buffer.from(PREFACE), frame(SETTINGS, 0, 0), frame(WINDOW_UPDATE, 0, 0, window)]));
    return new GrpcCaller(socket);
  }

  /** Sends an encoded message and resolves with the encoded answer; an empty buffer when there was none. */
  call(path: string, message: Uint8Array): Promise<Buffer> {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    const body = Buffer.alloc(GRPC_HEAD + message.length);
    body.writeUInt32BE(message.length, 1);
    body.set(message, GRPC_HEAD);
    return new Promise((resolve, reject) => {
      this.#pending = { stream, chunks: [], resolve, reject };
      this.#socket.write(
        Buffer.concat([frame(HEADERS, END_HEADERS, stream, headers(path)), ...dataFrames(stream, body)]),
      );
    });
  }

  close(): void {
    this.#pending = undefined;
    this.#socket.destroy();
  }

  #read(data: Buffer): void {
    this.#unread = this.#unread.length === 0 ? data : Buffer.concat([this.#unread, data]);
    while (this.#unread.length >= FRAME_HEAD) {
      const length = this.#unread.readUIntBE(0, 3);
      if (this.#unread.length < FRAME_HEAD + length) return;
      const payload = this.#unread.subarray(FRAME_HEAD, FRAME_HEAD + length);
      this.#take(this.#unread.readUInt8(3), this.#unread.readUInt8(4), this.#unread.readUInt32BE(5), payload);
      this.#unread = this.#unread.subarray(FRAME_HEAD + length);
    }
  }

  #take(type: number, flags: number, stream: number, payload: Buffer): void {
    if (type === SETTINGS && (flags & ACK) === 0) this.#socket.write(frame(SETTINGS, ACK, 0));
    else if (type === PING && (flags & ACK) === 0) this.#socket.write(frame(PING, ACK, 0, payload));
    else if (type === GOAWAY) this.#pending?.reject(new Error('the server says GOAWAY'));
    const pending = this.#pending;
    if (pending === undefined || stream !== pending.stream) return;
    if (type === DATA) pending.chunks.push(Buffer.from(payload));
    if (type === RST_STREAM) pending.reject(new Error('the server reset the stream'));
    if ((type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0) {
      this.#pending = undefined;
      pending.resolve(Buffer.concat(pending.chunks).subarray(GRPC_HEAD));
    }
  }
}

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(FRAME_HEAD);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A server that says nothing else takes frames of 16 KiB (RFC 9113, SETTINGS_MAX_FRAME_SIZE). */
const MAX_FRAME = 16_384;

function dataFrames(stream: number, body: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < body.length; at += MAX_FRAME) {
    const part = body.subarray(at, at + MAX_FRAME);
    frames.push(frame(DATA, at + MAX_FRAME >= body.length ? END_STREAM : 0, stream, part));
  }
  return frames;
}

/** HPACK without its dynamic table: names by index of the static table (RFC 7541, appendix A) or in full. */
function headers(path: string): Buffer {
  const [post, http] = [0x83, 0x86];
  return Buffer.concat([
    Buffer.from([post, http]),
    Buffer.from([0x04]),
    text(path),
    Buffer.from([0x01]),
    text('localhost'),
    Buffer.from([0x0f, 31 - 15]),
    text('application/grpc'),
    Buffer.from([0x00]),
    text('te'),
    text('trailers'),
  ]);
}

/** Less than 127 bytes, without Huffman code. */
function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
}
