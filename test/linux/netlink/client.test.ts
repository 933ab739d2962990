/**
 * What the client makes of answers that a quiet kernel never gives: dumps that were interrupted or cut
 * off, answers that were lost, cut short or somebody else's. The socket is a script; the live kernel's
 * answers are in test/kernel.
 */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { BerthError } from '../../../src/engine/errors.ts';
import { NetlinkClient } from '../../../src/linux/netlink/client.ts';
import type { NetlinkSocket } from '../../../src/linux/netlink/socket.ts';
import { NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN } from '../../../src/linux/netlink/wire/message.ts';

const RTM_NEWLINK = 16;
/** linux/netlink.h */
const NLM_F_MULTI = 2;
const EBUSY = 16;

/** A message of the kernel; `seq` is that of the request when absent. */
interface Part {
  readonly type: number;
  readonly flags?: number;
  readonly payload?: Buffer;
  readonly seq?: number;
}

/** What arrives after one `send`: a datagram of parts, some bytes, or the loss of it. */
type Arrival = readonly Part[] | ((sequence: number) => Buffer) | 'overrun';

function datagram(parts: readonly Part[], sequence: number): Buffer {
  return Buffer.concat(
    parts.map(({ type, flags = NLM_F_MULTI, payload = Buffer.alloc(0), seq = sequence }) => {
      const header = Buffer.alloc(16);
      header.writeUInt32LE(16 + payload.length, 0);
      header.writeUInt16LE(type, 4);
      header.writeUInt16LE(flags, 6);
      header.writeUInt32LE(seq, 8);
      return Buffer.concat([header, payload]);
    }),
  );
}

/** A socket that answers the first `send` with the first list, and so on. */
class ScriptedSocket {
  readonly sizes: number[] = [];
  sends = 0;
  isClosed = false;
  isStrict = false;
  readonly #script: (readonly Arrival[])[];
  #arrivals: (Buffer | 'overrun')[] = [];

  constructor(...script: (readonly Arrival[])[]) {
    this.#script = script;
  }

  async send(messages: Buffer): Promise<void> {
    const sequence = messages.readUInt32LE(8);
    const arrivals = this.#script[Math.min(this.sends, this.#script.length - 1)] ?? [];
    this.sends += 1;
    this.#arrivals = arrivals.map((each) => {
      if (each === 'overrun') return each;
      return typeof each === 'function' ? each(sequence) : datagram(each, sequence);
    });
  }

  beStrict(): void {
    this.isStrict = true;
  }

  receive(): Buffer | 'overrun' | undefined {
    return this.#arrivals.shift();
  }

  /** As the kernel does with MSG_TRUNC: the whole size, and as much as fits. */
  async receiveDump(buffer: Buffer): Promise<number> {
    assert.ok(this.isStrict, 'the kernel would not heed what the dump is restricted to');
    const next = this.#arrivals.shift();
    if (next === undefined || next === 'overrun') throw new Error('the script has no more for this dump');
    this.sizes.push(buffer.length);
    next.copy(buffer);
    return next.length;
  }

  close(): void {
    this.isClosed = true;
  }
}

function clientOn(socket: ScriptedSocket): NetlinkClient {
  return new NetlinkClient({ protocol: 0, first: socket as unknown as NetlinkSocket });
}

const link = (name: string, flags = 0): Part => ({ type: RTM_NEWLINK, flags: NLM_F_MULTI | flags, payload: pad(name) });
const done = (flags = 0): Part => ({ type: NLMSG_DONE, flags: NLM_F_MULTI | flags, payload: Buffer.alloc(4) });
const request = { type: 18, op: 'link.list', pace: 'quick', fill: () => undefined } as const;

function pad(name: string): Buffer {
  return Buffer.from(name.padEnd(Math.ceil(name.length / 4) * 4, '\0'));
}

function ack(errno: number): Part {
  const payload = Buffer.alloc(20);
  payload.writeInt32LE(-errno, 0);
  return { type: NLMSG_ERROR, flags: 0, payload };
}

const names = (messages: readonly { readonly payload: Buffer }[]): readonly string[] =>
  messages.map(({ payload }) => payload.toString().replaceAll('\0', ''));

async function failureOf(work: Promise<unknown>): Promise<BerthError> {
  const error = await work.then(
    () => new Error('it did not fail'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof BerthError, String(error));
  return error;
}

for (const [what, first] of [
  ['in a message', [[link('old', NLM_F_DUMP_INTR)], [done()]]],
  ['at its end, after several parts', [[link('old')], [link('older')], [done(NLM_F_DUMP_INTR)]]],
] as const) {
  test(`a dump that says ${what} that it was interrupted is asked anew, and only the whole one counts`, async () => {
    const socket = new ScriptedSocket(first, [[link('new')], [done()]]);
    assert.deepEqual(names(await clientOn(socket).dump(request)), ['new']);
    assert.equal(socket.sends, 2);
  });
}

test('what came in one part is whole, whatever changed behind it', async () => {
  const socket = new ScriptedSocket([[link('one'), link('two')], [done(NLM_F_DUMP_INTR)]]);
  assert.deepEqual(names(await clientOn(socket).dump(request)), ['one', 'two']);
  assert.equal(socket.sends, 1);
});

test('a dump that is interrupted every time ends as Busy, and says what to do', async () => {
  const socket = new ScriptedSocket([[link('old', NLM_F_DUMP_INTR)], [done()]]);
  const { code, reason, remedy } = await failureOf(clientOn(socket).dump(request));
  assert.deepEqual([code, reason], ['Busy', 'netlink-dump-interrupted']);
  assert.match(remedy ?? '', /Try again/);
});

test('a datagram that does not fit is asked for again with room for it', async () => {
  const large = link('x'.repeat(60_000));
  const socket = new ScriptedSocket([[large], [done()]]);
  const found = await clientOn(socket).dump(request);
  assert.equal(found[0]?.payload.length, 60_000);
  assert.ok((socket.sizes.at(-1) ?? 0) > 60_000);
});

for (const [what, arrivals] of [
  ['dropped by the kernel (ENOBUFS)', ['overrun']],
  ['not there', []],
] as const) {
  test(`an answer that is ${what} is an error, and its socket is not used again`, async () => {
    const socket = new ScriptedSocket(arrivals);
    const { reason, message } = await failureOf(clientOn(socket).request(request));
    assert.equal(reason, 'netlink-answer-lost');
    assert.match(message, /what it did is not known/);
    assert.ok(socket.isClosed);
  });
}

test('a dump whose answers the kernel dropped is an error, and its socket is not used again', async () => {
  const socket = new ScriptedSocket([[link('one')], [{ type: NLMSG_OVERRUN }]]);
  assert.equal((await failureOf(clientOn(socket).dump(request))).reason, 'netlink-answer-lost');
  assert.ok(socket.isClosed);
});

test('a request that the kernel refuses with EBUSY is Busy', async () => {
  const { code, errno, op } = await failureOf(clientOn(new ScriptedSocket([[ack(EBUSY)]])).request(request));
  assert.deepEqual([code, errno, op], ['Busy', 'EBUSY', 'link.list']);
});

test('an answer that is cut short anywhere is an error and never a success', async () => {
  const whole = datagram([ack(0)], 1).length;
  for (let bytes = 0; bytes < whole; bytes += 1) {
    const socket = new ScriptedSocket([(sequence) => datagram([ack(0)], sequence).subarray(0, bytes)]);
    await failureOf(clientOn(socket).request(request));
    assert.ok(socket.isClosed, `${bytes} bytes`);
  }
});

test("answers to somebody else's requests are passed over", async () => {
  const stranger = [
    { ...link('theirs'), seq: 4711 },
    { ...ack(EBUSY), seq: 4711 },
  ];
  const socket = new ScriptedSocket([stranger, [link('ours'), ack(0)]]);
  assert.deepEqual(names(await clientOn(socket).request(request)), ['ours']);
});

/** What the kernel answers to messages that were sent together: sequences go up by one. */
const answers =
  (...errnos: readonly number[]) =>
  (first: number): Buffer =>
    Buffer.concat(
      errnos.map((errno, at) =>
        datagram(
          [
            { ...link(`link${at}`), seq: first + at },
            { ...ack(errno), seq: first + at },
          ],
          0,
        ),
      ),
    );

test('quick requests of one turn go in one send, and each has its own answer', async () => {
  const socket = new ScriptedSocket([answers(0, 0, 0)]);
  const client = clientOn(socket);
  const lockFree = { ...request, pace: 'lock-free' } as const;
  const [one, both] = await Promise.all([client.request(request), client.batch([lockFree, request])]);
  assert.deepEqual([names(one), both.map(({ messages }) => names(messages))], [['link0'], [['link1'], ['link2']]]);
  assert.equal(socket.sends, 1);
  await client.request(request);
  assert.equal(socket.sends, 2);
});

test('one of them that fails fails alone, and with its own name', async () => {
  const client = clientOn(new ScriptedSocket([answers(0, EBUSY, 0)]));
  const [first, failure, last] = await Promise.all([
    client.request(request),
    failureOf(client.request({ ...request, op: 'link.get', target: 'eth7' })),
    client.request(request),
  ]);
  assert.deepEqual([names(first), names(last)], [['link0'], ['link2']]);
  assert.deepEqual([failure.errno, failure.op], ['EBUSY', 'link.get']);
  assert.match(failure.message, /eth7/);
});

test('an answer that is lost is lost to all of them', async () => {
  const client = clientOn(new ScriptedSocket(['overrun']));
  const failures = await Promise.all([failureOf(client.request(request)), failureOf(client.request(request))]);
  assert.deepEqual(
    failures.map(({ reason }) => reason),
    ['netlink-answer-lost', 'netlink-answer-lost'],
  );
});

test('what may take long is sent by itself', async () => {
  const socket = new ScriptedSocket([answers(0)]);
  const client = new NetlinkClient({ protocol: 0, first: socket as unknown as NetlinkSocket, mostIdle: 2 });
  await client.request({ ...request, pace: 'slow' });
  await client.request({ ...request, pace: 'change' });
  assert.equal(socket.sends, 2);
  const quick = client.request(request);
  await Promise.resolve();
  assert.equal(socket.sends, 3);
  await quick;
});

test('as many are sent together as their answers have room', async () => {
  const socket = new ScriptedSocket([answers(...Array(64).fill(0))]);
  const client = clientOn(socket);
  const batches = [client.batch(Array(40).fill(request)), client.batch(Array(24).fill(request))];
  assert.equal((await Promise.all(batches)).flat().length, 64);
  assert.equal(socket.sends, 1);
});

test.run();
