import * as assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, fstatSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import { BerthError } from '../../src/engine/errors.ts';
import { peerCredentials, receiveWithDescriptors, sendNow } from '../../src/linux/peer-socket.ts';
import { requireFeature } from '../runner/features.ts';

interface Scene {
  readonly path: string;
  /** The next connection, paused. */
  accept(): Promise<Socket>;
}

async function withServer(run: (scene: Scene) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'berth-peer-'));
  const path = join(folder, 's');
  const server = createServer({ pauseOnConnect: true });
  const accepted: Socket[] = [];
  server.on('connection', (socket) => accepted.push(socket));
  server.listen(path);
  await once(server, 'listening');
  try {
    await run({
      path,
      async accept() {
        if (accepted.length === 0) await once(server, 'connection');
        const socket = accepted.pop();
        assert.ok(socket);
        return socket;
      },
    });
  } finally {
    const closed = once(server, 'close');
    server.close();
    for (const socket of accepted) socket.destroy();
    await closed;
    rmSync(folder, { recursive: true });
  }
}

/** Sends bytes with the descriptors of the given files from another process, then what comes next, and ends. */
function send(path: string, files: readonly string[], first: string, rest = ''): Promise<number | null> {
  const script = `
import array, os, socket, sys
path, first, rest, *files = sys.argv[1:]
s = socket.socket(socket.AF_UNIX)
s.connect(path)
fds = array.array('i', [os.open(f, os.O_RDONLY) for f in files])
s.sendmsg([first.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if files else [])
if rest: s.sendall(rest.encode())
s.shutdown(socket.SHUT_WR)
try: s.recv(1)
except ConnectionResetError: pass
`;
  const child = spawn('python3', ['-c', script, path, first, rest, ...files], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return once(child, 'exit').then(([code]: unknown[]) => (typeof code === 'number' ? code : null));
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

test('the peer is known by process, user and group', () =>
  withServer(async ({ path, accept }) => {
    const client = createConnection(path);
    const socket = await accept();
    assert.deepEqual(peerCredentials(socket), {
      pid: process.pid,
      uid: process.getuid?.(),
      gid: process.getgid?.(),
    });
    client.destroy();
    socket.destroy();
  }));

test('a peer that is gone has no descriptor, and that is said', () =>
  withServer(async ({ path, accept }) => {
    const client = createConnection(path);
    const socket = await accept();
    socket.destroy();
    await once(socket, 'close');
    client.destroy();
    assert.throws(
      () => peerCredentials(socket),
      (error) => error instanceof BerthError && error.reason === 'peer-gone',
    );
  }));

test('bytes that arrive later than the connection are received, and the rest by the stream', () =>
  withServer(async ({ path, accept }) => {
    const client = createConnection(path);
    const socket = await accept();
    const message = receiveWithDescriptors(socket, { mostBytes: 5 });
    setImmediate(() => client.end('firstsecond'));
    assert.deepEqual(
      { ...(await message), bytes: (await message).bytes.toString() },
      { bytes: 'first', descriptors: [] },
    );
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.resume();
    await once(socket, 'end');
    assert.equal(Buffer.concat(chunks).toString(), 'second');
    socket.destroy();
  }));

test('bytes that are sent past the stream arrive before what the stream sends', () =>
  withServer(async ({ path, accept }) => {
    const client = createConnection(path);
    const socket = await accept();
    const frame = Buffer.from('first second');
    assert.equal(sendNow(socket, frame.subarray(0, 6)), 6);
    socket.end(frame.subarray(6));
    const chunks: Buffer[] = [];
    client.on('data', (chunk: Buffer) => chunks.push(chunk));
    await once(client, 'end');
    assert.equal(Buffer.concat(chunks).toString(), 'first second');
    client.destroy();
    socket.destroy();
  }));

test('what a slow peer has no room for is left to the stream', () =>
  withServer(async ({ path, accept }) => {
    const client = createConnection(path);
    client.pause();
    const socket = await accept();
    const large = Buffer.alloc(4 * 1024 * 1024, 'x');
    const taken = sendNow(socket, large);
    assert.ok(taken < large.length, `${taken} bytes`);
    // Behind bytes that wait in the stream nothing may go past it.
    socket.write(large.subarray(taken));
    assert.equal(sendNow(socket, Buffer.from('late')), 0);
    let received = 0;
    client.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received === large.length) socket.end();
    });
    client.resume();
    await once(client, 'end');
    assert.equal(received, large.length);
    client.destroy();
    socket.destroy();
  }));

test('nothing is sent to a peer that is gone', () =>
  withServer(async ({ path, accept }) => {
    const client = createConnection(path);
    const socket = await accept();
    client.destroy();
    await once(client, 'close');
    assert.equal(sendNow(socket, Buffer.from('answer')), 0);
    socket.destroy();
    await once(socket, 'close');
    assert.equal(sendNow(socket, Buffer.from('answer')), 0);
  }));

test('a peer that closes without a word gives no bytes', () =>
  withServer(async ({ path, accept }) => {
    const client = createConnection(path);
    const socket = await accept();
    client.end();
    const { bytes, descriptors } = await receiveWithDescriptors(socket);
    assert.deepEqual([bytes.length, descriptors], [0, []]);
    socket.destroy();
  }));

test('a peer that sends nothing is given up', () =>
  withServer(async ({ path, accept }) => {
    const client = createConnection(path);
    const socket = await accept();
    await assert.rejects(
      receiveWithDescriptors(socket, { timeoutMs: 30 }),
      (error) => error instanceof BerthError && error.reason === 'peer-silent' && error.code === 'Interrupted',
    );
    client.destroy();
    socket.destroy();
  }));

test('waiting for a peer can be cancelled', () =>
  withServer(async ({ path, accept }) => {
    const client = createConnection(path);
    const socket = await accept();
    const controller = new AbortController();
    const waiting = receiveWithDescriptors(socket, { signal: controller.signal });
    controller.abort();
    await assert.rejects(waiting, (error) => error instanceof BerthError && error.reason === 'cancelled');
    client.destroy();
    socket.destroy();
  }));

if (requireFeature('python3', spawnSync('python3', ['--version']).status === 0)) {
  test('a descriptor comes with the first bytes, and no program inherits it', () =>
    withServer(async ({ path, accept }) => {
      const sender = send(path, ['/etc/passwd'], 'hello', ' and more');
      const socket = await accept();
      const { bytes, descriptors } = await receiveWithDescriptors(socket);
      assert.ok(bytes.toString().startsWith('hello'));
      const [fd, ...surplus] = descriptors;
      assert.ok(fd !== undefined);
      assert.deepEqual(surplus, []);
      assert.equal(fstatSync(fd).ino, statSync('/etc/passwd').ino);
      const listed = spawnSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' }).stdout;
      assert.ok(!listed.includes('/etc/passwd'), listed);
      closeSync(fd);
      socket.destroy();
      assert.equal(await sender, 0);
    }));

  test('descriptors beyond the asked number are closed', () =>
    withServer(async ({ path, accept }) => {
      const sender = send(path, ['/etc/passwd', '/etc/group', '/etc/hostname'], 'x');
      const socket = await accept();
      const before = openDescriptors();
      const { descriptors } = await receiveWithDescriptors(socket, { mostDescriptors: 1 });
      assert.equal(descriptors.length, 1);
      assert.equal(openDescriptors(), before + 1);
      for (const fd of descriptors) closeSync(fd);
      socket.destroy();
      assert.equal(await sender, 0);
      assert.ok(existsSync(path));
    }));
}

test.run();
