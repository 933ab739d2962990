import * as assert from 'node:assert/strict';
import { statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import type { CniHandler } from '../../src/cni/handler.ts';
import { type CniServerOptions, createCniServer } from '../../src/cni/index.ts';
import { toBerthError } from '../../src/engine/errors.ts';
import type { IpamCall } from '../../src/engine/ipam/port.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { temporaryFolder } from '../shim/built-shim.ts';
import { plainPeers } from './plain-peers.ts';
import { encodeRequestFrame } from './shim-side.ts';

const root = temporaryFolder();
let number = 0;
const REQUEST = Buffer.concat([
  Buffer.from([1]),
  encodeRequestFrame({ environment: { CNI_COMMAND: 'ADD' }, stdin: '{}' }),
]);
const ok: CniHandler = async () => ({ exitCode: 0, stdout: '{}' });

async function withServer(
  options: Partial<CniServerOptions>,
  work: (path: string, server: ReturnType<typeof createCniServer>) => Promise<void>,
): Promise<void> {
  const socketPath = join(root, `server-${++number}`, 'cni.sock');
  const server = createCniServer({ socketPath, peers: plainPeers(), handle: ok, log: silentLogger, ...options });
  await server.listen();
  try {
    await work(socketPath, server);
  } finally {
    await server.close();
  }
}

/** Sends and reads until the end: the exit code and the answer, or nothing. */
function talk(path: string, bytes: Buffer): Promise<{ exitCode: number; answer: Record<string, unknown> } | undefined> {
  return new Promise((resolve) => {
    const socket: Socket = connect(path);
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    // A server that refuses closes before it has read everything, which resets the connection behind its answer.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      const reply = Buffer.concat(chunks);
      if (reply.length === 0) resolve(undefined);
      else resolve({ exitCode: reply.readUInt8(5), answer: JSON.parse(reply.toString('utf8', 6)) });
    });
    socket.write(bytes);
  });
}

test('the socket is for root alone, and takes the place of a dead one', async () => {
  const socketPath = join(root, 'replaced', 'cni.sock');
  const options = { socketPath, peers: plainPeers(), handle: ok, log: silentLogger };
  const first = createCniServer(options);
  await first.listen();
  await first.close();
  writeFileSync(socketPath, 'left behind');
  const second = createCniServer(options);
  await second.listen();
  assert.equal(statSync(socketPath).mode & 0o777, 0o600);
  assert.equal(statSync(dirname(socketPath)).mode & 0o777, 0o700);
  assert.deepEqual(await talk(socketPath, REQUEST), { exitCode: 0, answer: {} });
  await second.close();
});

test('a caller of another user is refused', async () => {
  const peers = plainPeers();
  peers.uid = 12_345;
  await withServer({ peers }, async (path) => {
    const reply = await talk(path, REQUEST);
    assert.equal(reply?.exitCode, 1);
    assert.equal(reply?.answer.code, 103);
    assert.match(String(reply?.answer.msg), /user 12345 may not call/);
  });
});

test('a protocol version that is not served is said so', async () => {
  await withServer({}, async (path) => {
    const reply = await talk(path, Buffer.concat([Buffer.from([9]), REQUEST.subarray(1)]));
    assert.equal(reply?.answer.code, 102);
    assert.match(String(reply?.answer.msg), /version 9, the agent 2 and 1/);
    assert.match(String(reply?.answer.details), /install the shim of the agent's release/);
  });
});

test('a request that is none is refused, and one that comes in single bytes is served', async () => {
  await withServer({}, async (path) => {
    assert.equal((await talk(path, Buffer.from([1, 9, 0, 0, 0, 1])))?.answer.code, 6);
    const reply = await new Promise((resolve) => {
      const socket = connect(path);
      socket.on('data', (chunk) => resolve(chunk));
      for (const byte of REQUEST) socket.write(Buffer.from([byte]));
    });
    assert.deepEqual(reply, Buffer.from('0200000003007b7d', 'hex'));
  });
});

test('a request that does not arrive whole is given up', async () => {
  await withServer({ requestTimeoutMs: 20 }, async (path) => {
    for (const bytes of [Buffer.alloc(0), Buffer.from([1]), REQUEST.subarray(0, REQUEST.length - 1)]) {
      const reply = await talk(path, bytes);
      assert.equal(reply?.answer.code, 11);
      assert.match(String(reply?.answer.details), /request-incomplete/);
    }
  });
});

test('a request is read whole, in whatever pieces it comes', async () => {
  const stdin = JSON.stringify({ filler: 'x'.repeat(200_000) });
  const request = Buffer.concat([REQUEST.subarray(0, 1), encodeRequestFrame({ environment: {}, stdin })]);
  const handle: CniHandler = async (call) => ({ exitCode: 0, stdout: JSON.stringify({ bytes: call.stdin.length }) });
  await withServer({ handle }, async (path) => {
    for (const cuts of [[], [1], [3], [6], [7, 100, 150_000], [100_000], [request.length - 1]]) {
      const reply = await new Promise<Buffer>((resolve, reject) => {
        const socket = connect(path);
        const chunks: Buffer[] = [];
        socket.on('data', (chunk: Buffer) => chunks.push(chunk));
        socket.on('error', reject);
        socket.on('close', () => resolve(Buffer.concat(chunks)));
        const writeFrom = (start: number, [end, ...rest]: readonly number[]): void => {
          socket.write(request.subarray(start, end), () => end !== undefined && setTimeout(writeFrom, 2, end, rest));
        };
        writeFrom(0, cuts);
      });
      assert.deepEqual(JSON.parse(reply.toString('utf8', 6)), { bytes: stdin.length }, `cut at ${cuts}`);
    }
  });
});

test('requests in flight are bounded, and places become free again', async () => {
  const started = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const handle: CniHandler = async () => {
    started.resolve();
    await finish.promise;
    return { exitCode: 0, stdout: '{}' };
  };
  await withServer({ handle, maxInFlight: 1 }, async (path, server) => {
    const first = talk(path, REQUEST);
    await started.promise;
    assert.equal(server.inFlight, 1);
    const second = await talk(path, REQUEST);
    assert.equal(second?.answer.code, 11);
    assert.match(String(second?.answer.details), /too-many-requests/);
    finish.resolve();
    assert.equal((await first)?.exitCode, 0);
    assert.equal((await talk(path, REQUEST))?.exitCode, 0);
  });
});

test('what is left to do is done behind the reply, also where nobody takes it', async () => {
  const order: string[] = [];
  const plain = plainPeers();
  const peers: CniServerOptions['peers'] = {
    ...plain,
    sendNow: (socket, bytes) => {
      order.push('reply');
      return plain.sendNow(socket, bytes);
    },
  };
  let started = Promise.withResolvers<void>();
  let sent = Promise.withResolvers<void>();
  let waitsForAbort = false;
  const handle: CniHandler = async (_call, signal) => {
    started.resolve();
    if (waitsForAbort) await new Promise((resolve) => signal.addEventListener('abort', resolve));
    return {
      exitCode: 0,
      stdout: '{}',
      sent: () => {
        order.push('sent');
        sent.resolve();
      },
    };
  };
  await withServer({ handle, peers }, async (path) => {
    await talk(path, REQUEST);
    assert.deepEqual(order.splice(0), ['reply', 'sent']);
    waitsForAbort = true;
    [started, sent] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const caller = connect(path);
    caller.write(REQUEST);
    await started.promise;
    caller.destroy();
    await sent.promise;
    assert.deepEqual(order, ['sent']);
  });
});

test('closing aborts what is in flight, and its answer still gets through', async () => {
  const started = Promise.withResolvers<void>();
  const handle: CniHandler = (_call, signal) =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () =>
        resolve({ exitCode: 1, stdout: JSON.stringify({ why: signal.reason.reason }) }),
      );
      started.resolve();
    });
  const reply = await new Promise((resolve, reject) => {
    withServer({ handle }, async (path) => {
      talk(path, REQUEST).then(resolve, reject);
      await started.promise;
    }).catch(reject);
  });
  assert.deepEqual(reply, { exitCode: 1, answer: { why: 'agent-stopping' } });
});

test('a shim of the version before is served, and told that it cannot execute programs when it is asked to', async () => {
  const seen: (string | undefined)[] = [];
  const call: IpamCall = { command: 'ADD', program: 'pool', stdin: '', environment: {}, timeoutMs: 1 };
  const handle: CniHandler = async ({ ipamPrograms }, signal) => {
    const error = await ipamPrograms?.execute(call, signal).catch((thrown: unknown) => thrown);
    seen.push(toBerthError(error).reason);
    return { exitCode: 0, stdout: '{}' };
  };
  await withServer({ handle }, async (path) => {
    const older = Buffer.from(REQUEST);
    older[0] = 1;
    assert.equal((await talk(path, older))?.exitCode, 0);
  });
  assert.deepEqual(seen, ['shim-too-old']);
});

test.run();
