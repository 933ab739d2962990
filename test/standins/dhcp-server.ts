/**
 * A DHCP server for one client at a time (RFC 2131): gives one address, and remembers what it was
 * asked. On the test's own namespace, whose interface has to have an address and a route to all.
 */
import { createSocket, type Socket } from 'node:dgram';

const SERVER_PORT = 67;
const CLIENT_PORT = 68;
const MAGIC = Buffer.from('63825363', 'hex');
const OPTION = { mask: 1, router: 3, lease: 51, type: 53, server: 54, end: 255 } as const;
const TYPES = ['', 'DISCOVER', 'OFFER', 'REQUEST', 'DECLINE', 'ACK', 'NAK', 'RELEASE'] as const;

export interface DhcpServer {
  /** Types of the messages that came, in order. */
  readonly asked: string[];
  close(): Promise<void>;
}

export async function createDhcpServer(options: {
  /** The interface's address. */
  readonly address: string;
  /** What is given. */
  readonly offer: string;
}): Promise<DhcpServer> {
  const asked: string[] = [];
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  socket.on('message', (message) => {
    const type = TYPES[message.at(optionAt(message, OPTION.type)) ?? 0] ?? '';
    asked.push(type);
    if (type === 'DISCOVER') answer(socket, message, 2, options);
    if (type === 'REQUEST') answer(socket, message, 5, options);
  });
  await new Promise<void>((resolve) => socket.bind(SERVER_PORT, '0.0.0.0', resolve));
  socket.setBroadcast(true);
  return { asked, close: () => new Promise((resolve) => socket.close(() => resolve())) };
}

/** Where the option's value begins; behind the end when there is none. */
function optionAt(message: Buffer, wanted: number): number {
  for (let at = 240; at + 1 < message.length && message[at] !== OPTION.end; at += 2 + (message[at + 1] ?? 0)) {
    if (message[at] === 0) at -= 1;
    else if (message[at] === wanted) return at + 2;
  }
  return message.length;
}

function answer(
  socket: Socket,
  question: Buffer,
  type: number,
  { address, offer }: { readonly address: string; readonly offer: string },
): void {
  const reply = Buffer.alloc(300);
  question.copy(reply, 0, 0, 240);
  reply.writeUInt8(2, 0);
  bytesOf(offer).copy(reply, 16);
  bytesOf(address).copy(reply, 20);
  MAGIC.copy(reply, 236);
  const fields: readonly (readonly [number, Buffer])[] = [
    [OPTION.type, Buffer.from([type])],
    [OPTION.server, bytesOf(address)],
    [OPTION.lease, Buffer.from([0, 0, 14, 16])],
    [OPTION.mask, bytesOf('255.255.255.0')],
    [OPTION.router, bytesOf(address)],
  ];
  const options = Buffer.concat([
    ...fields.map(([code, value]) => Buffer.concat([Buffer.from([code, value.length]), value])),
    Buffer.from([OPTION.end]),
  ]);
  options.copy(reply, 240);
  socket.send(reply, CLIENT_PORT, '255.255.255.255');
}

function bytesOf(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}
